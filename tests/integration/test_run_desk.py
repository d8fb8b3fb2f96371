from uuid import UUID, uuid4

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.runs import Admission, Claim, RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import NotFoundError, UsageError
from failsoft.events import MAX_KEY, Event, Ignored, run_id_of
from failsoft.intake.admission import Reception

LANE = "a@1"


def event(key: str = "k1", *, thread: str | None = None) -> Event:
    return Event(key=key, source="cli", text="help", facts={"n": 1}, thread=thread)


async def claim_one(store: Store, *, suspects: bool = False) -> Claim:
    worker = await store.workers.register("w", 10.0)
    (claim,) = await store.runs.claim(worker, [LANE], 1, suspects=suspects)
    return claim


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


async def test_the_longest_event_key_can_be_replayed_again_and_again(store: Store) -> None:
    origin = await store.runs.admit("a", LANE, event("k" * MAX_KEY))
    other = await store.runs.admit("a", LANE, event("k" * (MAX_KEY - 1) + "x"))

    replays = [await store.runs.replay(run.run_id, write=False) for run in (origin, origin, other)]

    rows = [await store.runs.get(replay.run_id) for replay in replays]
    assert len({row["run_id"] for row in rows}) == 3
    assert [row["replay_of"] for row in rows] == [origin.run_id, origin.run_id, other.run_id]
    worker = await store.workers.register("w", 10.0)
    claims = await store.runs.claim(worker, [LANE], 9)
    assert {row["run_id"] for row in rows} < {claim.lease.run_id for claim in claims}


async def test_a_dead_run_is_retried_in_the_lane_that_was_given(store: Store) -> None:
    admission = await store.runs.admit("a", LANE, event())
    await store.runs.settle((await claim_one(store)).lease, RunState.DEAD)

    await store.runs.retry_dead(admission.run_id, lane="a@2")

    assert (await store.runs.get(admission.run_id))["lane"] == "a@2"


async def in_each_state(store: Store, agent: str, lane: str) -> dict[RunState, UUID]:
    """Leave one run of the agent in every state."""
    left = {}
    for state in RunState:
        run_id = (await store.runs.admit(agent, lane, event(f"{agent}-{state}"))).run_id
        left[state] = run_id
        if state is RunState.QUEUED:
            continue
        worker = await store.workers.register("w", 60.0)
        claim = await store.runs.claim_one(worker, run_id)
        assert claim is not None
        if state is RunState.PARKED:
            await store.runs.park(
                claim.lease, [Park(interrupt_id="i", kind="person", review_id="r")]
            )
        elif state is not RunState.RUNNING:
            await store.runs.settle(claim.lease, state)
    return left


async def test_what_waits_for_a_version_that_nobody_here_has_is_counted_by_lane(
    store: Store,
) -> None:
    for agent, lane in (("a", "a@1"), ("a2", "a@2"), ("b", "b@1"), ("c", "c@1")):
        await in_each_state(store, agent, lane)

    rows = await store.runs.stranded(["a@2", "b@1"], ["a", "a2", "b"])

    assert rows == [{"lane": "a@1", "runs": 2}]
    assert await store.runs.stranded([], ["b"]) == [{"lane": "b@1", "runs": 2}]


async def test_what_waits_or_is_dead_is_moved_and_the_move_is_in_its_chain(store: Store) -> None:
    left = await in_each_state(store, "a", LANE)
    others = await in_each_state(store, "b", "b@1")

    assert await store.runs.move("a", "a@2") == 3
    assert await store.runs.move("a", "a@2") == 0

    moved = {RunState.QUEUED, RunState.PARKED, RunState.DEAD}
    for state, run_id in left.items():
        row, events = await store.runs.get(run_id), await store.audit.events(run_id)
        assert (row["state"], row["lane"]) == (state, "a@2" if state in moved else LANE)
        facts = [each.facts for each in events if each.kind == "run.moved"]
        assert facts == ([{"from": LANE, "to": "a@2"}] if state in moved else [])
        assert await store.audit.verify(run_id)
    assert {(await store.runs.get(run_id))["lane"] for run_id in others.values()} == {"b@1"}


async def test_a_moved_run_is_driven_in_its_new_lane(store: Store) -> None:
    admission = await store.runs.admit("a", "a@0", event())
    await store.runs.move("a", LANE)

    claim = await claim_one(store)

    assert (claim.lease.run_id, claim.lane) == (admission.run_id, LANE)


async def test_the_attempts_of_a_run_are_read_oldest_first(store: Store) -> None:
    await store.runs.admit("a", LANE, event())
    traces = [uuid4(), uuid4()]
    for trace in traces:
        lease = (await claim_one(store)).lease
        await store.runs.begin(lease, trace)
        await store.runs.settle(lease, RunState.QUEUED)

    [run] = await store.runs.list()
    rows = await store.runs.attempts(run["run_no"])

    assert [(row["trace_id"], row["epoch"]) for row in rows] == [(traces[0], 1), (traces[1], 2)]
    assert rows[0]["started_at"] < rows[1]["started_at"]


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


async def taken(store: Store, event: Event) -> Admission | Ignored:
    return await Reception(runs=store.runs, agent="a", lane=LANE).admit(event)


async def test_a_reply_in_the_thread_of_a_run_starts_nothing_and_is_listed(
    store: Store, database: Database
) -> None:
    root = await store.runs.admit("a", LANE, event("root"))

    got = await taken(store, event("reply", thread="root"))
    again = await taken(store, event("reply", thread="root"))
    deeper = await taken(store, event("reply 2", thread="reply"))

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
    first = await taken(store, event(thread=thread))
    again = await taken(store, event(thread=thread))

    run_id = run_id_of("a", "k1")
    assert [first, again] == [
        Admission(run_id=run_id, new=True),
        Admission(run_id=run_id, new=False),
    ]


async def test_a_thread_of_another_agent_is_not_joined(store: Store) -> None:
    await store.runs.admit("b", "b@1", event("root"))

    assert isinstance(await taken(store, event("reply", thread="root")), Admission)


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
