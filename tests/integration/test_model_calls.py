import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.model_calls import CallLimits, CallState, Reservation
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import BudgetExceededError, LeaseLostError
from failsoft.events import Event

LANE = "triage@1"
CROWD = """SELECT count(*) AS waiting FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""
PLENTY = CallLimits(calls=100, tokens=100_000, micros=None)


async def crowd(database: Database, size: int) -> None:
    """Return when `size` connections wait for a lock."""
    while (await database.all(CROWD))[0]["waiting"] < size:  # noqa: ASYNC110 - only Postgres knows
        await asyncio.sleep(0.01)


async def drive(store: Store, key: str = "e1") -> Lease:
    await store.runs.admit("triage", LANE, Event(key=key, source="test", text="hi"))
    return await claim_run(store)


async def claim_run(store: Store) -> Lease:
    worker = await store.workers.register("test", 60)
    [claim] = await store.runs.claim(worker, [LANE], 1)
    return claim.lease


async def taken_over(store: Store, lease: Lease) -> Lease:
    await store.runs.settle(lease, RunState.QUEUED)
    return await claim_run(store)


async def reserve(
    store: Store, lease: Lease, key: str = "classify:1", limits: CallLimits = PLENTY
) -> Reservation:
    return await store.model_calls.reserve(
        lease, call_key=key, model="openai:small", tokens=100, micros=50, limits=limits
    )


async def answer(store: Store, lease: Lease, call_id: UUID) -> None:
    await store.model_calls.answer(
        lease, call_id, answer={"route": "billing"}, input_tokens=60, output_tokens=10, micros=21,
        estimated=False,
    )  # fmt: skip


async def spent(store: Store, lease: Lease) -> tuple[int, int, int]:
    row = await store.runs.get(lease.run_id)
    return row["model_calls"], row["tokens"], row["usd_micros"]


async def test_forty_reservations_at_once_with_four_calls_allowed_are_four(
    store: Store, database: Database, dsn: str
) -> None:
    lease = await drive(store)
    limits = CallLimits(calls=4, tokens=100_000, micros=None)
    async with Database(dsn, size=20) as many:
        shared = Store.of(many)
        async with database.transaction() as connection:
            # Nobody gets through before a crowd stands at the row, each with an old snapshot.
            await connection.execute("SELECT FROM runs FOR NO KEY UPDATE")
            tasks = [
                asyncio.ensure_future(reserve(shared, lease, f"k{number}", limits))
                for number in range(40)
            ]
            await crowd(database, 15)
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(isinstance(result, Reservation) for result in results) == 4
    assert sum(isinstance(result, BudgetExceededError) for result in results) == 36
    assert await spent(store, lease) == (4, 400, 200)
    assert await store.audit.verify(lease.run_id)


async def test_a_reservation_that_nobody_answered_keeps_counting(store: Store) -> None:
    lease = await drive(store)
    limits = CallLimits(calls=1, tokens=1_000, micros=None)
    await reserve(store, lease, limits=limits)
    later = await taken_over(store, lease)

    with pytest.raises(BudgetExceededError):
        await reserve(store, later, limits=limits)

    [call] = await store.model_calls.of_run(lease.run_no)
    assert (call.state, call.tokens, call.estimated) == (CallState.RESERVED, 100, True)


async def test_an_answer_puts_the_truth_in_the_place_of_the_reservation(store: Store) -> None:
    lease = await drive(store)
    reservation = await reserve(store, lease)
    assert await spent(store, lease) == (1, 100, 50)

    await answer(store, lease, reservation.call_id)

    assert await spent(store, lease) == (1, 70, 21)
    [call] = await store.model_calls.of_run(lease.run_no)
    assert (call.state, call.tokens, call.micros) == (CallState.ANSWERED, 70, 21)
    assert not call.estimated


async def test_a_durable_answer_is_not_asked_for_again(store: Store) -> None:
    lease = await drive(store)
    first = await reserve(store, lease)
    await answer(store, lease, first.call_id)
    later = await taken_over(store, lease)

    again = await reserve(store, later, limits=CallLimits(calls=1, tokens=1, micros=0))

    assert again == Reservation(call_id=first.call_id, answer={"route": "billing"})
    assert await spent(store, lease) == (1, 70, 21)
    assert await store.audit.verify(lease.run_id)


async def test_another_prompt_is_another_call(store: Store) -> None:
    lease = await drive(store)
    first = await reserve(store, lease)
    await answer(store, lease, first.call_id)

    assert (await reserve(store, lease, "classify:2")).answer is None


async def test_another_run_does_not_get_the_answer(store: Store) -> None:
    lease = await drive(store)
    first = await reserve(store, lease)
    await answer(store, lease, first.call_id)

    assert (await reserve(store, await drive(store, "e2"))).answer is None


async def test_a_call_that_was_surely_not_executed_gives_everything_back(store: Store) -> None:
    lease = await drive(store)
    reservation = await reserve(store, lease)

    await store.model_calls.refuse(lease, reservation.call_id, "rate_limited")

    assert await spent(store, lease) == (0, 0, 0)
    assert (await store.model_calls.of_run(lease.run_no))[0].state is CallState.REFUSED
    assert await store.audit.verify(lease.run_id)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        pytest.param(
            CallLimits(calls=1, tokens=1000, micros=1000), "1 of the 1 model calls", id="calls"
        ),
        pytest.param(
            CallLimits(calls=9, tokens=199, micros=1000), "100 of its 199 tokens", id="tokens"
        ),
        pytest.param(
            CallLimits(calls=9, tokens=1000, micros=99), r"\$0.000050 of its \$0.000099", id="money"
        ),
    ],
)
async def test_the_error_names_the_limit_and_the_figures(
    store: Store, limits: CallLimits, sentence: str
) -> None:
    lease = await drive(store)
    await reserve(store, lease, "first", limits)

    with pytest.raises(BudgetExceededError, match=sentence):
        await reserve(store, lease, "second", limits)

    assert await spent(store, lease) == (1, 100, 50)


async def test_a_call_that_just_fits_its_limits_is_made(store: Store) -> None:
    lease = await drive(store)

    reservation = await reserve(store, lease, limits=CallLimits(calls=1, tokens=100, micros=50))

    assert reservation.answer is None


Verb = Callable[[Store, Lease, UUID], Awaitable[object]]
STALE: dict[str, Verb] = {
    "reserve": lambda store, lease, _: reserve(store, lease, "other"),
    "answer": answer,
    "refuse": lambda store, lease, call_id: store.model_calls.refuse(lease, call_id, "away"),
}


@pytest.mark.parametrize("verb", STALE.values(), ids=STALE)
async def test_a_stale_epoch_changes_no_call(store: Store, verb: Verb) -> None:
    lease = await drive(store)
    reservation = await reserve(store, lease)
    await taken_over(store, lease)

    with pytest.raises(LeaseLostError):
        await verb(store, lease, reservation.call_id)

    assert await spent(store, lease) == (1, 100, 50)
    assert await store.audit.verify(lease.run_id)


async def test_a_call_is_settled_once(store: Store) -> None:
    lease = await drive(store)
    reservation = await reserve(store, lease)
    await answer(store, lease, reservation.call_id)

    with pytest.raises(LeaseLostError):
        await store.model_calls.refuse(lease, reservation.call_id, "away")

    assert await spent(store, lease) == (1, 70, 21)


async def test_the_totals_count_what_is_unanswered_as_it_was_reserved(store: Store) -> None:
    one, two = await drive(store), await drive(store, "e2")
    await answer(store, one, (await reserve(store, one)).call_id)
    await reserve(store, two)
    refused = await reserve(store, two, "other")
    await store.model_calls.refuse(two, refused.call_id, "away")

    totals = await store.model_calls.totals()

    assert (totals.answered, totals.unanswered) == (1, 1)
    assert (totals.tokens, totals.micros) == (170, 71)
