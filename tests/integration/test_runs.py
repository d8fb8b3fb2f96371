import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.runs import Claim, Runs, RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import LeaseLostError
from failsoft.events import Event, run_id_of

LANE = "a@1"


def event(key: str = "k1", *, thread: str | None = None) -> Event:
    return Event(key=key, source="cli", text="help", facts={"n": 1}, thread=thread)


async def claim_one(store: Store, *, suspects: bool = False) -> Claim:
    worker = await store.workers.register("w", 10.0)
    (claim,) = await store.runs.claim(worker, [LANE], 1, suspects=suspects)
    return claim


async def lose(store: Store, *, suspects: bool = False) -> list[RunState]:
    """Let a worker die while it drives the only due run; return the states that this left."""
    await claim_one(store, suspects=suspects)
    return await expire(store)


async def expire(store: Store, *, backoff: float = 0.0) -> list[RunState]:
    """Let every lease end, and take the runs back."""
    await store.runs.database.all("UPDATE workers SET expires_at = now() - interval '1 second'")
    await store.workers.sweep()
    return [RunState(row["state"]) for row in await store.runs.expire(backoff=backoff)]


async def test_twenty_concurrent_admissions_of_an_event_make_one_run(store: Store) -> None:
    got = await asyncio.gather(*(store.runs.admit("a", LANE, event()) for _ in range(20)))

    assert sorted(admission.new for admission in got) == [False] * 19 + [True]
    assert {admission.run_id for admission in got} == {run_id_of("a", "k1")}
    assert len(await store.runs.list()) == 1
    assert len(await store.audit.events(got[0].run_id)) == 1


async def test_a_claim_brings_the_event_as_it_was_admitted(store: Store) -> None:
    await store.runs.admit("a", LANE, event(thread="k0"), dry_run=True)

    claim = await claim_one(store)

    assert (claim.agent, claim.lane, claim.event) == ("a", LANE, event(thread="k0"))
    assert (claim.lease.epoch, claim.lease.dry_run, claim.cancel_asked) == (1, True, False)


async def test_eight_workers_claim_each_run_once(store: Store) -> None:
    for number in range(40):
        await store.runs.admit("a", LANE, event(f"k{number}"))

    async def work() -> list[UUID]:
        worker = await store.workers.register("w", 10.0)
        got = []
        while claims := await store.runs.claim(worker, [LANE], 3):
            got += [claim.lease.run_id for claim in claims]
        return got

    batches = await asyncio.gather(*(work() for _ in range(8)))
    claimed = [run_id for batch in batches for run_id in batch]

    assert len(claimed) == len(set(claimed)) == 40


async def test_a_worker_claims_only_from_its_lanes_and_no_more_than_it_has_room_for(
    store: Store,
) -> None:
    for number in range(3):
        await store.runs.admit("a", LANE, event(f"k{number}"))
        await store.runs.admit("b", "b@1", event(f"k{number}"))
    worker = await store.workers.register("w", 10.0)

    got = await store.runs.claim(worker, [LANE, "c@1"], 2)

    assert [claim.agent for claim in got] == ["a", "a"]


async def test_a_worker_whose_lease_has_ended_claims_nothing(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    worker = await store.workers.register("w", 0.0)

    assert await store.runs.claim(worker, [LANE], 1) == []


def begin(runs: Runs, lease: Lease) -> Awaitable[object]:
    return runs.begin(lease, uuid4())


def progress(runs: Runs, lease: Lease) -> Awaitable[object]:
    return runs.progress(lease, "node.left", node="classify")


def done(runs: Runs, lease: Lease) -> Awaitable[object]:
    return runs.settle(lease, RunState.DONE)


def release(runs: Runs, lease: Lease) -> Awaitable[object]:
    return runs.settle(lease, RunState.QUEUED)


def park(runs: Runs, lease: Lease) -> Awaitable[object]:
    return runs.park(lease, [Park(interrupt_id="i", kind="timer", due_at=0.0)])


@pytest.mark.parametrize("write", [begin, progress, done, release, park])
async def test_after_a_takeover_the_first_driver_can_write_nothing(
    store: Store, write: Callable[[Runs, Lease], Awaitable[object]]
) -> None:
    await store.runs.admit("a", LANE, event())
    first = await claim_one(store)
    await expire(store)
    between = await store.runs.get(first.lease.run_id)

    with pytest.raises(LeaseLostError):
        await write(store.runs, first.lease)
    assert await store.runs.get(first.lease.run_id) == between

    second = await claim_one(store)
    held = await store.runs.get(first.lease.run_id)
    with pytest.raises(LeaseLostError):
        await write(store.runs, first.lease)
    assert await store.runs.get(first.lease.run_id) == held

    await write(store.runs, second.lease)


async def test_a_finished_run_is_never_claimed_again(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    claim = await claim_one(store)
    await store.runs.settle(claim.lease, RunState.DONE, outcome="filed")

    worker = await store.workers.register("w", 10.0)
    assert await store.runs.claim(worker, [LANE], 1) == []
    row = await store.runs.get(claim.lease.run_id)
    assert (row["state"], row["outcome"], row["due_at"]) == ("done", "filed", None)


async def test_a_release_is_no_progress(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    await lose(store)
    claim = await claim_one(store)
    await store.runs.settle(claim.lease, RunState.QUEUED)

    assert (await claim_one(store)).lease.crash_count == 1


async def test_two_crashes_make_a_suspect_that_only_a_lone_driver_gets(store: Store) -> None:
    await store.runs.admit("a", LANE, event())

    assert [await lose(store), await lose(store)] == [[RunState.QUEUED], [RunState.QUEUED]]
    worker = await store.workers.register("w", 10.0)
    assert await store.runs.claim(worker, [LANE], 1) == []
    assert (await claim_one(store, suspects=True)).lease.alone


async def test_two_crashes_alone_make_a_run_dead(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event())
    states = [
        await lose(store),
        await lose(store),
        await lose(store, suspects=True),
        await lose(store, suspects=True),
    ]

    assert states == [[RunState.QUEUED]] * 3 + [[RunState.DEAD]]
    assert (await store.runs.get(admission.run_id))["reason"]
    assert await store.audit.verify(admission.run_id)


async def test_progress_forgets_crashes(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    await lose(store)
    claim = await claim_one(store)
    await store.runs.progress(claim.lease, "node.left", node="classify")
    await store.runs.settle(claim.lease, RunState.QUEUED)

    assert (await claim_one(store)).lease.crash_count == 0


async def test_from_its_second_crash_on_a_run_waits_before_it_is_due(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    await lose(store)
    await claim_one(store)
    await expire(store, backoff=30.0)

    due = await store.runs.next_due([LANE])
    assert due is not None
    assert 25 < due <= 30


async def test_the_runs_of_a_live_worker_are_not_taken_back(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    await claim_one(store)

    assert await store.workers.sweep() == []
    assert await store.runs.expire(backoff=0.0) == []


async def test_next_due_is_zero_for_due_work_and_none_without_any(store: Store) -> None:
    assert await store.runs.next_due([LANE]) is None
    await store.runs.admit("a", LANE, event())
    assert await store.runs.next_due([LANE, "b@1"]) == 0.0
    await store.runs.park(
        (await claim_one(store)).lease,
        [Park(interrupt_id="i", kind="timer", due_at=time.time() + 60)],
    )
    due = await store.runs.next_due([LANE])
    assert due is not None
    assert 55 < due <= 60


async def test_the_ring_is_heard_by_whoever_listens(store: Store, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as listener:
        await listener.execute("LISTEN failsoft_runs")
        await store.runs.ring()

        heard = [n.channel async for n in listener.notifies(timeout=5, stop_after=1)]

    assert heard == ["failsoft_runs"]


async def test_an_attempt_is_stored_once_with_its_trace(store: Store, database: Database) -> None:
    await store.runs.admit("a", LANE, event())
    claim, trace = await claim_one(store), uuid4()
    for _ in range(2):
        await store.runs.begin(claim.lease, trace)

    rows = await database.all("SELECT run_no, trace_id, epoch FROM attempts")
    assert rows == [{"run_no": claim.lease.run_no, "trace_id": trace, "epoch": 1}]


async def test_a_run_whose_claim_was_never_heard_of_is_given_back_without_a_crash(
    store: Store,
) -> None:
    for key in ("k1", "k2"):
        await store.runs.admit("a", LANE, event(key))
    worker = await store.workers.register("w", 10.0)
    driven, unheard = (claim.lease for claim in await store.runs.claim(worker, [LANE], 2))

    assert await store.runs.give_back(worker, [driven.run_id]) == [unheard.run_id]

    with pytest.raises(LeaseLostError):
        await store.runs.progress(unheard, "node.left")
    again = (await claim_one(store)).lease
    assert (again.run_id, again.crash_count) == (unheard.run_id, 0)
    assert await store.audit.verify(unheard.run_id)


async def test_a_named_run_is_claimed_alone_and_only_while_it_is_free(store: Store) -> None:
    for key in ("k1", "k2"):
        await store.runs.admit("a", LANE, event(key))
    worker, run_id = await store.workers.register("w", 10.0), run_id_of("a", "k2")

    claim = await store.runs.claim_one(worker, run_id)

    assert claim is not None
    assert claim.lease.run_id == run_id
    assert await store.runs.claim_one(worker, run_id) is None


async def test_suspects_are_counted_in_the_lanes_asked_for(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    assert await store.runs.suspects([LANE]) == 0
    for _ in range(2):
        await lose(store)

    assert await store.runs.suspects([LANE]) == 1
    assert await store.runs.suspects(["b@1"]) == 0
