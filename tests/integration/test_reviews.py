import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import Effect, EffectState
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.reviews import Review, ReviewState, review_id_of
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import LeaseLostError, NotFoundError, UsageError
from failsoft.events import Event
from failsoft.parsing import JSON

LANE = "triage@1"
SOON = 0.05  # seconds
LONG = 3600.0
CROWD = """SELECT count(*) AS waiting FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""
CHANNELS = ("slack:#triage", "email:desk")


async def crowd(database: Database, size: int) -> None:
    """Return when `size` connections wait for a lock."""
    while (await database.all(CROWD))[0]["waiting"] < size:  # noqa: ASYNC110 - only Postgres knows
        await asyncio.sleep(0.01)


async def drive(store: Store, key: str = "e1") -> Lease:
    await store.runs.admit("triage", LANE, Event(key=key, source="test", text="hi"))
    [lease] = await claim_runs(store)
    return lease


async def claim_runs(store: Store) -> list[Lease]:
    worker = await store.workers.register("test", 60)
    return [claim.lease for claim in await store.runs.claim(worker, [LANE], 1)]


async def ask(
    store: Store,
    lease: Lease,
    *,
    step: float = LONG,
    escalations: Sequence[str] = (),
    transaction_id: str | None = None,
    task: str = "task-1",
) -> str:
    review_id = review_id_of(lease.run_id, task)
    await store.reviews.open(
        lease, review_id=review_id, node="triage", question={"text": "Which queue?"},
        allowed=["accept", "edit", "retry", "respond", "ignore"], channels=CHANNELS,
        step_seconds=step, escalations=escalations, transaction_id=transaction_id,
    )  # fmt: skip
    return review_id


async def park(store: Store, lease: Lease, review_id: str) -> None:
    await store.runs.park(lease, [Park(interrupt_id="i1", kind="person", review_id=review_id)])


async def asked_about(store: Store, lease: Lease, state: EffectState) -> tuple[str, Effect]:
    """Ask about a write that ended as `state`, and park."""
    effect = await store.effects.claim(
        lease, node="write", operation="jira.create_issue", request={"text": "bad"}, mark={},
        within=1, settle=1,
    )  # fmt: skip
    if state is EffectState.NEEDS_HUMAN:
        for step in (EffectState.UNKNOWN, EffectState.WAITING):
            await store.effects.settle(lease, effect, step)
            effect = (await store.effects.of_run(lease.run_no))[0]
    if state is not EffectState.IN_FLIGHT:
        await store.effects.settle(lease, effect, state, reason="for a person")
    review_id = await ask(store, lease, transaction_id=effect.transaction_id)
    await park(store, lease, review_id)
    return review_id, effect


async def keys(database: Database) -> list[str]:
    rows = await database.all(
        "SELECT idempotency_key AS key FROM outbox WHERE body->>'kind' = 'review' "
        "ORDER BY outbox_id"
    )
    return [row["key"] for row in rows]


async def test_eight_people_who_answer_at_once_give_one_answer(
    store: Store, database: Database
) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)
    await park(store, lease, review_id)

    async with database.transaction() as connection:
        # Nobody gets through before all eight stand at the run.
        await connection.execute("SELECT FROM runs FOR NO KEY UPDATE")
        tasks = [
            asyncio.ensure_future(store.reviews.answer(review_id, choice="accept", by=f"p{n}"))
            for n in range(8)
        ]
        await crowd(database, 8)
    results = await asyncio.gather(*tasks, return_exceptions=True)

    [won] = [result for result in results if isinstance(result, Review)]
    refusals = [str(result) for result in results if isinstance(result, UsageError)]
    assert len(refusals) == 7
    assert all(f"already answered by {won.answered_by} at 20" in text for text in refusals)
    assert (await store.runs.get(lease.run_id))["wakes"] == 1
    assert await store.audit.verify(lease.run_id)


async def test_an_answer_is_kept_with_its_value_and_its_person(store: Store) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)

    await store.reviews.answer(review_id, choice="respond", value={"route": "billing"}, by="ann")

    review = await store.reviews.get(review_id)
    assert (review.state, review.answered_by) == (ReviewState.ANSWERED, "ann")
    assert review.answer == {"choice": "respond", "value": {"route": "billing"}}
    [event] = [e for e in await store.audit.events(lease.run_id) if e.kind == "human.answered"]
    assert event.facts == {"review_id": review_id, "choice": "respond", "actor": "ann"}


async def test_only_the_allowed_answers_are_taken(store: Store) -> None:
    review_id = await ask(store, await drive(store))

    with pytest.raises(UsageError, match="allowed answers are accept, edit, retry"):
        await store.reviews.answer(review_id, choice="rm -rf", by="ann")

    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN


async def test_an_unknown_review_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.reviews.answer("nothing", choice="accept", by="ann")
    with pytest.raises(NotFoundError):
        await store.reviews.get("nothing")


async def test_an_answer_makes_the_parked_run_due(store: Store) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)
    await park(store, lease, review_id)
    assert await claim_runs(store) == []

    await store.reviews.answer(review_id, choice="accept", by="ann")

    assert [again.run_id for again in await claim_runs(store)] == [lease.run_id]


async def test_an_answer_that_comes_before_the_park_is_not_lost(store: Store) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)

    await store.reviews.answer(review_id, choice="accept", by="ann")
    await park(store, lease, review_id)

    assert [again.run_id for again in await claim_runs(store)] == [lease.run_id]


async def test_a_question_asked_twice_is_asked_once(store: Store, database: Database) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)

    assert await ask(store, lease) == review_id

    assert await keys(database) == [f"review:{review_id}:0:{channel}" for channel in CHANNELS]
    assert [review.review_id for review in await store.reviews.of_run(lease.run_no)] == [review_id]
    assert await store.audit.verify(lease.run_id)


async def test_a_message_carries_what_a_person_needs_to_answer(store: Store) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)

    [first, _] = await store.outbox.take(10, 60)

    assert first.channel in CHANNELS
    assert first.body == {
        "kind": "review", "review_id": review_id, "run_id": str(lease.run_id), "node": "triage",
        "level": 0, "question": {"text": "Which queue?"},
        "allowed": ["accept", "edit", "retry", "respond", "ignore"],
    }  # fmt: skip


async def test_a_stale_epoch_asks_nothing(store: Store, database: Database) -> None:
    lease = await drive(store)
    await store.runs.settle(lease, RunState.QUEUED)

    with pytest.raises(LeaseLostError):
        await ask(store, lease)

    assert await keys(database) == []
    assert await store.audit.verify(lease.run_id)


async def test_an_edit_by_two_people_is_one_next_generation_with_the_first_request(
    store: Store,
) -> None:
    lease = await drive(store)
    review_id, failed = await asked_about(store, lease, EffectState.FAILED)

    results = await asyncio.gather(
        *(
            store.reviews.answer(review_id, choice="edit", value={"text": name}, by=name)
            for name in ("ann", "bob")
        ),
        return_exceptions=True,
    )

    [won] = [result for result in results if isinstance(result, Review)]
    [again] = await claim_runs(store)
    effect = await store.effects.take(again, node="write", within=1)
    assert (effect.generation, effect.state) == (2, EffectState.IN_FLIGHT)
    assert effect.request == {"text": won.answered_by}
    assert (effect.attempts, effect.unknown_rounds) == (1, 0)
    assert effect.transaction_id != failed.transaction_id
    assert len(await store.effects.of_run(lease.run_no)) == 2
    assert await store.audit.verify(lease.run_id)


async def test_a_retry_of_a_refused_write_is_its_next_generation_with_the_same_request(
    store: Store,
) -> None:
    lease = await drive(store)
    review_id, _ = await asked_about(store, lease, EffectState.FAILED)

    await store.reviews.answer(review_id, choice="retry", by="ann")

    first, second = await store.effects.of_run(lease.run_no)
    assert (first.state, second.state) == (EffectState.FAILED, EffectState.WAITING)
    assert (second.generation, second.request) == (2, first.request)


async def test_a_retry_of_an_undecided_write_has_it_looked_for_before_any_send(
    store: Store,
) -> None:
    lease = await drive(store)
    review_id, effect = await asked_about(store, lease, EffectState.NEEDS_HUMAN)
    assert effect.unknown_rounds == 1

    await store.reviews.answer(review_id, choice="retry", by="ann")

    [again] = await store.effects.of_run(lease.run_no)
    assert (again.state, again.unknown_rounds) == (EffectState.UNKNOWN, 0)
    assert again.transaction_id == effect.transaction_id
    assert await store.audit.verify(lease.run_id)


async def test_a_person_who_found_an_undecided_write_makes_it_done(store: Store) -> None:
    lease = await drive(store)
    review_id, _ = await asked_about(store, lease, EffectState.NEEDS_HUMAN)

    await store.reviews.answer(review_id, choice="respond", value=" KEY-9 ", by="ann")

    [effect] = await store.effects.of_run(lease.run_no)
    assert (effect.state, effect.external_id) == (EffectState.DONE, "KEY-9")


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        pytest.param("respond", None, id="respond without an id"),
        pytest.param("edit", {"text": "good"}, id="edit of what may be there"),
    ],
)
async def test_an_answer_that_does_not_fit_leaves_the_question_open(
    store: Store, choice: str, value: JSON
) -> None:
    lease = await drive(store)
    review_id, _ = await asked_about(store, lease, EffectState.NEEDS_HUMAN)

    with pytest.raises(UsageError):
        await store.reviews.answer(review_id, choice=choice, value=value, by="ann")

    [effect] = await store.effects.of_run(lease.run_no)
    assert effect.state is EffectState.NEEDS_HUMAN
    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN
    assert (await store.runs.get(lease.run_id))["wakes"] == 0
    assert await store.audit.verify(lease.run_id)


async def test_an_edit_of_a_write_that_was_never_executed_replaces_it(store: Store) -> None:
    lease = await drive(store)
    review_id, _ = await asked_about(store, lease, EffectState.WAITING)

    await store.reviews.answer(review_id, choice="edit", value={"text": "good"}, by="ann")

    first, second = await store.effects.of_run(lease.run_no)
    assert (first.state, second.state) == (EffectState.FAILED, EffectState.WAITING)
    assert second.request == {"text": "good"}


async def test_an_accepted_write_stays_as_it_is(store: Store) -> None:
    lease = await drive(store)
    review_id, effect = await asked_about(store, lease, EffectState.FAILED)

    await store.reviews.answer(review_id, choice="accept", by="ann")

    [same] = await store.effects.of_run(lease.run_no)
    assert (same.state, same.generation) == (EffectState.FAILED, effect.generation)


async def test_escalations_go_on_from_the_rows_whoever_opened_the_review(
    store: Store, database: Database, dsn: str
) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease, step=SOON, escalations=["email:lead", "pager:ops"])
    await park(store, lease, review_id)

    for level in (1, 2):
        await asyncio.sleep(2 * SOON)
        async with Database(dsn, size=2) as other:
            [review] = await Store.of(other).reviews.escalate()
        assert (review.state, review.level) == (ReviewState.OPEN, level)

    assert (await keys(database))[2:] == [
        f"review:{review_id}:1:email:lead", f"review:{review_id}:2:pager:ops",
    ]  # fmt: skip
    assert await store.audit.verify(lease.run_id)


async def expired(store: Store, lease: Lease) -> str:
    review_id = await ask(store, lease, step=SOON)
    await park(store, lease, review_id)
    await asyncio.sleep(2 * SOON)
    await store.reviews.escalate()
    return review_id


async def test_after_the_last_step_the_review_is_expired_and_its_run_is_dead(
    store: Store,
) -> None:
    lease = await drive(store)

    review_id = await expired(store, lease)

    review, run = await store.reviews.get(review_id), await store.runs.get(lease.run_id)
    assert (review.state, review.answer) == (ReviewState.EXPIRED, None)
    assert (run["state"], run["due_at"]) == ("dead", None)
    assert run["reason"] == f"nobody answered review {review_id}"
    assert await store.audit.verify(lease.run_id)
    with pytest.raises(UsageError, match="has expired"):
        await store.reviews.answer(review_id, choice="accept", by="ann")


async def test_a_dead_run_that_is_retried_asks_its_question_again(
    store: Store, database: Database
) -> None:
    lease = await drive(store)
    review_id = await expired(store, lease)
    await store.runs.retry_dead(lease.run_id)
    [again] = await claim_runs(store)

    await ask(store, again, step=LONG)

    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN
    assert (await keys(database))[2:] == [f"review:{review_id}:1:{name}" for name in CHANNELS]
    await store.reviews.answer(review_id, choice="accept", by="ann")
    assert await store.audit.verify(lease.run_id)


async def test_a_run_that_is_being_driven_does_not_die_of_an_old_question(store: Store) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease, step=SOON)
    await asyncio.sleep(2 * SOON)

    assert await store.reviews.escalate() == []

    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN
    assert (await store.runs.get(lease.run_id))["state"] == "running"


async def discarded(store: Store, lease: Lease) -> None:
    await store.runs.settle(lease, RunState.DEAD)
    await store.runs.discard_dead(lease.run_id, "ann")


async def cancelled_while_parked(store: Store, lease: Lease) -> None:
    await store.runs.park(lease, [Park(interrupt_id="i", kind="timer", due_at=9e9)])
    assert await store.runs.cancel(lease.run_id) is RunState.CANCELLED


ENDS: dict[str, Callable[[Store, Lease], Awaitable[None]]] = {
    "done": lambda store, lease: store.runs.settle(lease, RunState.DONE),
    "cancelled by its driver": lambda store, lease: store.runs.settle(lease, RunState.CANCELLED),
    "cancelled while parked": cancelled_while_parked,
    "discarded": discarded,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_the_questions_of_a_run_end_with_it_and_without_a_word(
    store: Store, database: Database, end: Callable[[Store, Lease], Awaitable[None]]
) -> None:
    lease = await drive(store)
    answered = await ask(store, lease, task="answered")
    await store.reviews.answer(answered, choice="accept", by="ann")
    left_open = await ask(store, lease, task="open", escalations=["email:lead"])
    told = await keys(database)

    await end(store, lease)

    reviews = {each.review_id: each for each in await store.reviews.of_run(lease.run_no)}
    assert reviews[answered].state is ReviewState.ANSWERED
    assert reviews[left_open].state is ReviewState.EXPIRED
    assert reviews[left_open].escalate_at is None
    assert await keys(database) == told
    with pytest.raises(UsageError, match=f"Run {lease.run_id} is (done|cancelled)"):
        await store.reviews.answer(left_open, choice="accept", by="bob")


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.DEAD])
async def test_the_questions_of_a_run_that_may_go_on_stay_open(
    store: Store, state: RunState
) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)

    await store.runs.settle(lease, state)

    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN


async def test_the_question_of_a_dead_run_is_answered_only_after_its_retry(store: Store) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease)
    await store.runs.settle(lease, RunState.DEAD)

    with pytest.raises(UsageError, match=f"failsoft dead retry {lease.run_id}"):
        await store.reviews.answer(review_id, choice="accept", by="ann")
    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN

    await store.runs.retry_dead(lease.run_id)
    await store.reviews.answer(review_id, choice="accept", by="ann")


async def test_the_late_question_of_a_dead_run_is_closed_without_a_word(
    store: Store, database: Database
) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease, step=SOON, escalations=["email:lead"])
    await store.runs.settle(lease, RunState.DEAD)
    await asyncio.sleep(2 * SOON)

    await store.reviews.escalate()

    assert (await store.reviews.get(review_id)).state is ReviewState.EXPIRED
    assert (await store.runs.get(lease.run_id))["state"] == "dead"
    assert len(await keys(database)) == len(CHANNELS)
    assert await store.audit.verify(lease.run_id)


async def test_four_who_escalate_at_once_tell_the_next_one_once(
    store: Store, database: Database
) -> None:
    lease = await drive(store)
    review_id = await ask(store, lease, step=SOON, escalations=["email:lead"])
    await park(store, lease, review_id)
    await asyncio.sleep(2 * SOON)
    await database.all("UPDATE reviews SET step_seconds = 3600")

    moved = await asyncio.gather(*(store.reviews.escalate() for _ in range(4)))

    assert sum(map(len, moved)) == 1
    assert (await keys(database))[2:] == [f"review:{review_id}:1:email:lead"]
    assert await store.audit.verify(lease.run_id)


async def test_two_late_questions_of_one_run_are_both_escalated(store: Store) -> None:
    lease = await drive(store)
    await ask(store, lease, step=SOON, escalations=["email:lead"], task="task-1")
    last = await ask(store, lease, step=SOON, escalations=["email:lead"], task="task-2")
    await park(store, lease, last)
    await asyncio.sleep(2 * SOON)

    assert len(await store.reviews.escalate()) == 2

    assert await store.audit.verify(lease.run_id)


async def test_the_open_question_whose_deadline_is_nearest_is_listed_first(store: Store) -> None:
    lease = await drive(store)
    late = await ask(store, lease, step=LONG, task="late")
    soon = await ask(store, lease, step=LONG / 2, task="soon")
    answered = await ask(store, lease, task="answered")
    await store.reviews.answer(answered, choice="ignore", by="ann")

    assert [review.review_id for review in await store.reviews.list()] == [soon, late]
    [review] = await store.reviews.list(state=ReviewState.ANSWERED)
    assert review.review_id == answered


def test_a_review_id_is_short_enough_to_type() -> None:
    review_id = review_id_of(UUID(int=1), "task-1")

    assert len(review_id) == 12
    assert review_id == review_id.lower()
    assert review_id != review_id_of(UUID(int=1), "task-2")
