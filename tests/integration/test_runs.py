import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.runs import Admission, Claim, Runs, RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import LeaseLostError, NotFoundError, UsageError
from failsoft.events import Event, Ignored, run_id_of

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

    assert (claim.agent, claim.event) == ("a", event(thread="k0"))
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


async def test_a_dead_run_that_is_retried_goes_on_as_if_it_had_never_crashed(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event())
    claim = await claim_one(store)
    await store.runs.settle(claim.lease, RunState.DEAD, reason="cannot go on")

    await store.runs.retry_dead(admission.run_id)

    again = (await claim_one(store)).lease
    assert (again.run_id, again.crash_count, again.alone) == (admission.run_id, 0, False)
    assert again.epoch == claim.lease.epoch + 2


async def test_a_dead_run_that_is_discarded_is_cancelled_and_says_by_whom(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event())
    await store.runs.settle((await claim_one(store)).lease, RunState.DEAD)

    await store.runs.discard_dead(admission.run_id, "ann")

    row = await store.runs.get(admission.run_id)
    assert (row["state"], row["reason"]) == ("cancelled", "discarded by ann")


async def test_a_run_that_is_not_dead_is_neither_retried_nor_discarded(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event())

    with pytest.raises(UsageError, match="queued, not dead"):
        await store.runs.retry_dead(admission.run_id)
    with pytest.raises(UsageError, match="queued, not dead"):
        await store.runs.discard_dead(admission.run_id, "ann")


async def test_a_replay_is_a_new_dry_run_with_the_next_number(store: Store) -> None:
    origin = await store.runs.admit("a", LANE, event())

    second = await store.runs.replay(origin.run_id, write=False)
    third = await store.runs.replay(second.run_id, write=True, lane="a@2")

    rows = [await store.runs.get(run.run_id) for run in (second, third)]
    assert [row["event_key"] for row in rows] == ["k1#2", "k1#3"]
    assert [row["dry_run"] for row in rows] == [True, False]
    assert [row["lane"] for row in rows] == [LANE, "a@2"]
    assert {row["replay_of"] for row in rows} == {origin.run_id}


async def test_a_run_that_nobody_drives_is_cancelled_at_once(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event())

    assert await store.runs.cancel(admission.run_id) is RunState.CANCELLED
    worker = await store.workers.register("w", 10.0)
    assert await store.runs.claim(worker, [LANE], 1) == []
    assert await store.audit.verify(admission.run_id)


async def test_the_driver_of_a_cancelled_run_is_told_at_its_next_write(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    claim = await claim_one(store)

    assert await store.runs.cancel(claim.lease.run_id) is RunState.RUNNING
    assert await store.runs.progress(claim.lease, "node.left")
    assert await store.runs.begin(claim.lease, uuid4())


async def test_a_driver_that_parks_a_cancelled_run_gets_it_back_to_end_it(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    claim = await claim_one(store)
    await store.runs.cancel(claim.lease.run_id)
    await store.runs.park(claim.lease, [Park(interrupt_id="i", kind="person", review_id="r")])

    assert (await claim_one(store)).cancel_asked


async def test_a_run_with_an_undecided_write_is_not_cancelled_but_driven_on(
    store: Store, database: Database
) -> None:
    await store.runs.admit("a", LANE, event())
    claim = await claim_one(store)
    await database.all(
        "INSERT INTO effects(transaction_id, run_no, node, operation, request, request_hash, state,"
        " epoch, send_deadline, settle_seconds)"
        " VALUES ('t', %(run_no)s, 'n', 'jira.create', '{}', '', 'unknown', 1, now(), 1)",
        run_no=claim.lease.run_no,
    )
    await store.runs.park(claim.lease, [Park(interrupt_id="i", kind="timer", due_at=9e9)])

    assert await store.runs.cancel(claim.lease.run_id) is RunState.PARKED
    assert (await claim_one(store)).cancel_asked


async def test_a_finished_run_stays_as_it_is_when_a_cancel_comes(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    claim = await claim_one(store)
    await store.runs.settle(claim.lease, RunState.DONE)

    assert await store.runs.cancel(claim.lease.run_id) is RunState.DONE
    with pytest.raises(NotFoundError):
        await store.runs.cancel(uuid4())


async def test_a_reply_in_the_thread_of_a_run_starts_nothing_and_is_listed(
    store: Store, database: Database
) -> None:
    root = await store.runs.admit("a", LANE, event("root"))

    got = await store.runs.admit_or_join("a", LANE, event("reply", thread="root"))
    again = await store.runs.admit_or_join("a", LANE, event("reply", thread="root"))
    deeper = await store.runs.admit_or_join("a", LANE, event("reply 2", thread="reply"))

    assert got == again == Ignored(key="reply", reason="reply in the thread of a run")
    assert isinstance(deeper, Ignored)
    rows = await database.all("SELECT event_key, run_id FROM ignored ORDER BY event_key")
    assert [(row["event_key"], row["run_id"]) for row in rows] == [
        ("reply", root.run_id),
        ("reply 2", root.run_id),
    ]
    assert len(await store.runs.list()) == 1


@pytest.mark.parametrize("thread", ["somebody else's", "k1", None])
async def test_an_event_whose_thread_has_no_run_is_admitted(
    store: Store, thread: str | None
) -> None:
    first = await store.runs.admit_or_join("a", LANE, event(thread=thread))
    again = await store.runs.admit_or_join("a", LANE, event(thread=thread))

    run_id = run_id_of("a", "k1")
    assert [first, again] == [
        Admission(run_id=run_id, new=True),
        Admission(run_id=run_id, new=False),
    ]


async def test_a_thread_of_another_agent_is_not_joined(store: Store) -> None:
    await store.runs.admit("b", "b@1", event("root"))

    assert isinstance(
        await store.runs.admit_or_join("a", LANE, event("reply", thread="root")), Admission
    )


async def test_what_is_ignored_twice_is_listed_once(store: Store, database: Database) -> None:
    for _ in range(2):
        await store.runs.ignore("a", Ignored(key="k1", reason="a bot wrote it"))

    rows = await database.all("SELECT agent, event_key, reason, run_id FROM ignored")
    assert rows == [{"agent": "a", "event_key": "k1", "reason": "a bot wrote it", "run_id": None}]


async def test_a_run_is_found_by_id_prefix_and_event_key(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event("slack:T1:C2:17.1"))
    text = str(admission.run_id)

    for search in (text, text[:6], text[:11], text.upper(), "slack:T1:C2:17.1"):
        assert (await store.runs.find(search))["run_id"] == admission.run_id
    for search in (text[:5], "slack:T1", "ffffff"[:6] if text[:6] != "ffffff" else "000000"):
        with pytest.raises(NotFoundError):
            await store.runs.find(search)


async def test_an_event_key_of_two_agents_is_ambiguous(store: Store) -> None:
    for agent in ("a", "b"):
        await store.runs.admit(agent, f"{agent}@1", event())

    with pytest.raises(UsageError, match="several"):
        await store.runs.find("k1")


async def test_runs_are_counted_and_listed_by_state(store: Store) -> None:
    for key in ("k1", "k2"):
        await store.runs.admit("a", LANE, event(key))
    claim = await claim_one(store)
    await store.runs.settle(claim.lease, RunState.DONE)

    counts = await store.runs.counts()
    assert counts == dict.fromkeys(RunState, 0) | {"queued": 1, "done": 1}
    assert [row["run_id"] for row in await store.runs.list(state=RunState.DONE, agent="a")] == [
        claim.lease.run_id
    ]
    assert await store.runs.list(agent="b") == []


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
