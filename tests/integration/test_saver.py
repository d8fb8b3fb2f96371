import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.saver import EPOCH, FencedSaver
from failsoft.checkpoints.store import Store
from failsoft.errors import DatabaseUnavailableError, LeaseLostError
from failsoft.events import Event

LANE = "a@1"


class State(TypedDict, total=False):
    seen: list[str]


Graph: TypeAlias = CompiledStateGraph[State, None, State, State]


class Node(Protocol):
    """A node as LangGraph's types want it: they look at the parameter's name."""

    def __call__(self, state: State) -> Awaitable[State]: ...


@dataclass
class Custom:
    """A type of our own, which a strict reader does not build."""

    n: int


async def driven(store: Store, key: str = "k", lease: float = 10.0) -> Lease:
    await store.runs.admit("a", LANE, Event(key=key, source="cli", text=""))
    worker = await store.workers.register("w", lease)
    (claim,) = await store.runs.claim(worker, [LANE], 1)
    return claim.lease


async def lose(store: Store) -> None:
    """Take every run back, as if all workers had died."""
    await store.runs.database.all("UPDATE workers SET expires_at = now() - interval '1 s'")
    await store.workers.sweep()
    await store.runs.expire(backoff=0.0)


def on(lease: Lease) -> RunnableConfig:
    return {"configurable": {"thread_id": str(lease.run_id), EPOCH: lease.epoch}}


def step(name: str) -> Node:
    async def node(state: State) -> State:
        return {"seen": [*state["seen"], name]}

    return node


def compile_path(saver: FencedSaver, **nodes: Node | Graph) -> Graph:
    graph = StateGraph(State)
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph.compile(checkpointer=saver)


async def test_a_driven_run_keeps_its_checkpoints_after_its_end(
    store: Store, database: Database
) -> None:
    lease, saver = await driven(store), FencedSaver(database)
    graph = compile_path(saver, m=step("m"), n=step("n"))

    await graph.ainvoke({"seen": []}, on(lease), durability="sync")
    await store.runs.settle(lease, RunState.DONE)

    stored = await graph.aget_state({"configurable": {"thread_id": str(lease.run_id)}})
    assert stored.values == {"seen": ["m", "n"]}


async def test_a_driver_that_lost_its_run_reaches_no_further_node(
    store: Store, database: Database
) -> None:
    lease, saver, reached = await driven(store), FencedSaver(database), []

    async def taken_over(state: State) -> State:
        await lose(store)
        return {"seen": [*state["seen"], "m"]}

    async def last(state: State) -> State:
        reached.append("n")
        return state

    graph = compile_path(saver, m=taken_over, n=last)

    with pytest.raises(LeaseLostError):
        await graph.ainvoke({"seen": []}, on(lease), durability="sync")
    assert reached == []

    again = await driven(store)
    values = await compile_path(saver, m=step("m"), n=step("n")).ainvoke(
        None, on(again), durability="sync"
    )
    assert values == {"seen": ["m", "n"]}


async def test_a_refused_write_leaves_nothing_behind(store: Store, database: Database) -> None:
    lease, saver = await driven(store), FencedSaver(database)
    config, checkpoint = at(lease), empty_checkpoint()
    checkpoint["channel_values"] = {"seen": ["x"]}
    config["configurable"]["checkpoint_id"] = checkpoint["id"]
    await lose(store)

    with pytest.raises(LeaseLostError):
        await saver.aput(config, checkpoint, {"source": "loop", "step": 1}, {"seen": "1"})
    with pytest.raises(LeaseLostError):
        await saver.aput_writes(config, [("seen", ["x"])], "task")

    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        assert await count(database, table) == 0


@pytest.mark.parametrize(
    "configurable",
    [
        {"thread_id": "{run}"},
        {"thread_id": "{run}", EPOCH: 7},
        {"thread_id": "no run", EPOCH: 1},
        {"thread_id": "00000000-0000-0000-0000-000000000000", EPOCH: 1},
    ],
    ids=["no epoch", "another epoch", "no uuid", "no run"],
)
async def test_nothing_is_written_without_the_lease_of_the_thread(
    store: Store, database: Database, configurable: dict[str, Any]
) -> None:
    lease, saver = await driven(store), FencedSaver(database)
    thread = configurable["thread_id"].replace("{run}", str(lease.run_id))
    config: RunnableConfig = {"configurable": configurable | {"thread_id": thread}}

    with pytest.raises(LeaseLostError):
        await compile_path(saver, m=step("m")).ainvoke({"seen": []}, config, durability="sync")
    assert await count(database, "checkpoints") == 0


async def test_the_epoch_is_stored_nowhere(store: Store, database: Database) -> None:
    lease, saver = await driven(store), FencedSaver(database)

    await compile_path(saver, m=step("m")).ainvoke({"seen": []}, on(lease), durability="sync")

    rows = await database.all("SELECT checkpoint::text || metadata::text AS text FROM checkpoints")
    assert rows
    assert not [row for row in rows if "epoch" in row["text"]]


async def test_a_subgraph_writes_under_the_same_lease(store: Store, database: Database) -> None:
    lease, saver = await driven(store), FencedSaver(database)
    inner = StateGraph(State).add_node("i", step("i")).add_edge(START, "i").compile()

    values = await compile_path(saver, m=step("m"), sub=inner).ainvoke(
        {"seen": []}, on(lease), durability="sync"
    )

    assert values == {"seen": ["m", "i"]}
    rows = await database.all("SELECT DISTINCT checkpoint_ns FROM checkpoints")
    assert len(rows) == 2


async def test_a_type_of_our_own_is_not_built_when_it_is_read(
    store: Store, database: Database
) -> None:
    lease, saver = await driven(store), FencedSaver(database)
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {"seen": Custom(1)}
    checkpoint["channel_versions"] = {"seen": "1"}
    await saver.aput(at(lease), checkpoint, {"source": "loop", "step": 0}, {"seen": "1"})

    stored = await saver.aget_tuple(at(lease))

    assert stored is not None
    assert stored.checkpoint["channel_values"] == {"seen": {"n": 1}}


async def test_a_finished_step_forgets_crashes(store: Store, database: Database) -> None:
    lease, saver = await crashed(store), FencedSaver(database)
    assert lease.crash_count == 1

    await compile_path(saver, m=step("m")).ainvoke({"seen": []}, on(lease), durability="sync")

    assert (await store.runs.get(lease.run_id))["crash_count"] == 0


async def test_the_stored_input_alone_is_no_progress(store: Store, database: Database) -> None:
    lease, saver = await crashed(store), FencedSaver(database)

    async def killer(state: State) -> State:
        raise RuntimeError(f"dies in its first node: {state}")

    with pytest.raises(RuntimeError):
        await compile_path(saver, m=killer).ainvoke({"seen": []}, on(lease), durability="sync")

    assert await count(database, "checkpoints") > 0
    assert (await store.runs.get(lease.run_id))["crash_count"] == 1


async def test_a_run_that_dies_in_a_subgraph_again_and_again_makes_no_progress(
    store: Store, database: Database
) -> None:
    saver = FencedSaver(database)

    async def killer(state: State) -> State:
        raise RuntimeError(f"dies after a step of its own graph: {state}")

    inner = StateGraph(State).add_node("i", step("i")).add_node("j", killer)
    inner.add_edge(START, "i").add_edge("i", "j")
    graph = compile_path(saver, m=step("m"), sub=inner.compile())
    counts = []
    for given in (State(seen=[]), None):
        lease = await driven(store)
        with pytest.raises(RuntimeError):
            await graph.ainvoke(given, on(lease), durability="sync")
        await lose(store)
        counts.append((await store.runs.get(lease.run_id))["crash_count"])

    assert counts == [1, 2]


async def test_a_write_does_not_wait_for_another_runs_write(
    store: Store, database: Database, dsn: str
) -> None:
    held, free = await driven(store, "held"), await driven(store, "free")
    saver, checkpoint = FencedSaver(database), empty_checkpoint()

    def save(lease: Lease) -> Awaitable[RunnableConfig]:
        return saver.aput(at(lease), checkpoint, {"source": "loop", "step": 0}, {})

    async with await psycopg.AsyncConnection.connect(dsn) as blocker:
        await blocker.execute("SELECT FROM runs WHERE run_id = %s FOR UPDATE", [held.run_id])
        waiting = asyncio.ensure_future(save(held))
        await asyncio.wait_for(save(free), 2)
        assert not waiting.done()
        await blocker.rollback()
        await waiting


async def test_a_cut_connection_is_reported_as_a_missing_database(
    database: Database, dsn: str
) -> None:
    saver = FencedSaver(database)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
        await admin.execute("ALTER TABLE checkpoints RENAME TO elsewhere")
        await admin.execute(
            "CREATE VIEW checkpoints AS"
            " SELECT *, pg_terminate_backend(pg_backend_pid()) FROM elsewhere"
        )
        await admin.execute("INSERT INTO elsewhere VALUES ('t', '', 'c', NULL, NULL, '{}', '{}')")

        with pytest.raises(DatabaseUnavailableError):
            await saver.aget_tuple({"configurable": {"thread_id": "t"}})


def at(lease: Lease) -> RunnableConfig:
    config = on(lease)
    config["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": None}
    return config


async def crashed(store: Store) -> Lease:
    await driven(store)
    await lose(store)
    return await driven(store)


async def count(database: Database, table: str) -> int:
    row = await database.one(
        "SELECT CASE %(table)s WHEN 'checkpoints' THEN (SELECT count(*) FROM checkpoints)"
        " WHEN 'checkpoint_blobs' THEN (SELECT count(*) FROM checkpoint_blobs)"
        " ELSE (SELECT count(*) FROM checkpoint_writes) END AS n",
        table=table,
    )
    assert row is not None
    return int(row["n"])
