"""Parallel branches are subgraphs: each fails, waits and writes on its own, and they join once."""

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.types import Command, Send

from failsoft.checkpoints.runs import RunState
from failsoft.connectors.jira import Jira
from failsoft.errors import RefusedError, TransientError
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.policy import Retry
from failsoft.nodes.state import BranchOutput, Json
from failsoft.nodes.state import RunState as State
from failsoft.nodes.write import Request
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf

Work = Callable[[State], Awaitable[Any]]


def ticket(state: State) -> Json:
    return {
        "project": "OPS", "issue_type": "Bug", "summary": state["item"], "description": "x",
        "labels": [], "components": [], "assignee": None, "priority": None,
    }  # fmt: skip


def nested(work: Work, joined: list[str], request: Request = ticket) -> ResilientGraph:
    """Split into two branches, each a lookup and a ticket, and join."""
    branch = ResilientGraph(
        "branch", retry=Retry(attempts=3), input_schema=State, output_schema=BranchOutput
    )
    branch.add_tool("lookup", work).add_write("create", Jira.create_issue, request=request)
    branch.add_path(START, "lookup", "create", END)

    async def split(state: State) -> Command[Any]:
        return Command(
            goto=[Send("branch", {"event": state["event"], "item": item}) for item in ("a", "b")]
        )

    def join(state: State) -> dict[str, str]:
        joined.append(",".join(sorted(state["tool"])))
        return {"status": "joined"}

    graph = ResilientGraph("nested")
    graph.add_node("split", split, destinations=("branch",))
    graph.add_node("branch", branch.compile())
    graph.add_node("join", join)
    return graph.add_path(START, "split").add_path("branch", "join", END)


async def test_two_branches_write_one_ticket_each_and_join_once(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    failed: list[str] = []

    async def work(state: State) -> str:
        if state["item"] == "a" and not failed:
            failed.append("a")
            raise TransientError("away for a moment")
        return f"found {state['item']}"

    joined: list[str] = []
    async with bench_of(nested(work, joined)) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert (rest.state, rest.outcome) == (RunState.DONE, "joined")
        assert joined == ["create/a,create/b,lookup/a,lookup/b"]
        assert sorted(i["fields"]["summary"] for i in sandbox.issues()) == ["a", "b"]


async def test_one_branch_goes_on_while_a_person_thinks_about_the_other(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    tries: list[str] = []

    async def work(state: State) -> str:
        tries.append(state["item"])
        if state["item"] == "a" and tries.count("a") == 1:
            raise TransientError("busy", 2.5)
        if state["item"] == "b" and tries.count("b") == 1:
            raise RefusedError("no such customer")
        return "found"

    joined: list[str] = []
    async with bench_of(nested(work, joined)) as bench:
        run_id = await bench.admit()
        assert (await bench.drive(run_id)).reason == "person, timer"
        assert (await bench.drive_on(run_id)).reason == "person"
        assert [issue["fields"]["summary"] for issue in sandbox.issues()] == ["a"]
        assert joined == []
        rest = await bench.answer(run_id, "retry")
        assert rest.outcome == "joined"
        assert len(joined) == 1
        assert sorted(i["fields"]["summary"] for i in sandbox.issues()) == ["a", "b"]


async def test_a_branch_that_comes_back_to_a_write_still_knows_what_it_found_before(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async def work(state: State) -> str:
        return f"customer {state['item']}"

    def found(state: State) -> Json:
        return {**ticket(state), "summary": state["tool"][f"lookup/{state['item']}"]["result"]}

    graph = nested(work, [], request=found)
    # What the claim must know cannot be read at first: nothing is stored, the request made anew.
    sandbox.faults({"match": "POST /jira/rest/api/3/search/jql", "kind": "status", "status": 503,
                    "nth": [1, 2]})  # fmt: skip
    async with bench_of(graph) as bench:
        assert (await bench.drive_on(await bench.admit())).outcome == "joined"
    assert sandbox.occurred()["status"] == 2
    summaries = sorted(issue["fields"]["summary"] for issue in sandbox.issues())
    assert summaries == ["customer a", "customer b"]


async def test_a_write_in_a_loop_is_told_apart_by_its_key(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    def count(state: State) -> dict[str, str]:
        return {"status": str(int(state.get("status") or 0) + 1)}

    def numbered(state: State) -> Json:
        return {**ticket({**state, "item": state["status"]})}

    graph = ResilientGraph("loop")
    graph.add_node("count", count)
    graph.add_write(
        "create", Jira.create_issue, request=numbered, key=lambda state: state["status"]
    )
    graph.add_node("more", lambda _: {})
    graph.add_path(START, "count", "create", "more")
    graph.add_conditional_edges(
        "more", lambda state: "count" if int(state["status"]) < 3 else END, ["count", END]
    )
    async with bench_of(graph) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).state is RunState.DONE
        assert [i["fields"]["summary"] for i in sandbox.issues()] == ["1", "2", "3"]
        assert len(await bench.effects(run_id)) == 3


async def test_subgraphs_with_nodes_of_one_name_write_once_each(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    def part(name: str) -> Any:
        graph = ResilientGraph(name)
        graph.add_write(
            "create", Jira.create_issue, request=lambda state: ticket({**state, "item": name})
        )
        return graph.add_path(START, "create", END).compile()

    graph = ResilientGraph("parts")
    graph.add_node("first", part("first"))
    graph.add_node("second", part("second"))
    graph.add_path(START, "first", "second", END)
    async with bench_of(graph) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).state is RunState.DONE
        assert [i["fields"]["summary"] for i in sandbox.issues()] == ["first", "second"]
        assert len(await bench.effects(run_id)) == 2


async def test_two_tasks_that_share_a_write_end_the_run_and_never_write_twice(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    """Started by Send without an item: nobody can tell the two writes apart."""

    async def split(state: State) -> Command[Any]:
        sends = [Send("create", {"event": state["event"], "n": n}) for n in (1, 2)]
        return Command(goto=sends)

    graph = ResilientGraph("sharing")
    graph.add_node("split", split, destinations=("create",))
    graph.add_write(
        "create", Jira.create_issue, request=lambda state: ticket({**state, "item": "x"})
    )
    graph.add_path(START, "split").add_path("create", END)
    async with bench_of(graph) as bench:
        rest = await bench.drive(await bench.admit())
        assert rest.state is RunState.DEAD
        assert "key" in rest.reason
        assert len(sandbox.issues()) <= 1


async def test_a_cancel_lets_the_other_branch_decide_its_write_first(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    """Branch a's ticket may be there or not; branch b has not written and must not now."""
    slow: list[str] = []

    async def work(state: State) -> str:
        if state["item"] == "b" and not slow:
            slow.append("b")
            raise TransientError("busy", 3.0)
        return "found"

    sandbox.faults({"match": "POST /jira/rest/api/3/issue", "kind": "drop_before", "nth": [1]})
    async with bench_of(nested(work, [])) as bench:
        run_id = await bench.admit()
        assert (await bench.drive(run_id)).state is RunState.PARKED
        await bench.parts.store.runs.cancel(run_id)
        assert (await bench.drive_on(run_id)).state is RunState.CANCELLED
        states = {effect.item_key: effect.state for effect in await bench.effects(run_id)}
        assert states.keys() == {"a"}
        assert states["a"] not in {"in_flight", "unknown"}
        assert sandbox.issues() == []
