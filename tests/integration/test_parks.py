import time
from uuid import UUID

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.parks import Delivery, Park
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.events import Event

LANE = "a@1"
FAR = time.time() + 3600


async def driven(store: Store) -> Lease:
    await store.runs.admit("a", LANE, Event(key="k", source="cli", text=""))
    lease = await claim(store)
    assert lease is not None
    return lease


async def claim(store: Store) -> Lease | None:
    worker = await store.workers.register("w", 10.0)
    claims = await store.runs.claim(worker, [LANE], 1)
    return claims[0].lease if claims else None


async def open_review(database: Database, lease: Lease, review_id: str = "r") -> None:
    await database.all(
        "INSERT INTO reviews(review_id, run_no, node, question, allowed, step_seconds)"
        " VALUES (%(review)s, %(run_no)s, 'n', '{}', '{ok}', 60)",
        review=review_id,
        run_no=lease.run_no,
    )


async def answer(database: Database, run_id: UUID, review_id: str = "r") -> None:
    """What a person's answer does to the tables, by plain SQL."""
    await database.all(
        "WITH v AS (UPDATE reviews SET state = 'answered', answer = '{\"choice\": \"ok\"}'"
        " WHERE review_id = %(review)s)"
        " UPDATE runs SET wakes = wakes + 1,"
        " due_at = CASE WHEN state = 'parked' THEN now() END WHERE run_id = %(run_id)s",
        review=review_id,
        run_id=run_id,
    )


async def test_a_timer_that_is_due_is_delivered_and_one_that_is_not_waits(store: Store) -> None:
    await store.runs.park(
        await driven(store),
        [
            Park(interrupt_id="now", kind="timer", due_at=time.time() - 1),
            Park(interrupt_id="later", kind="timer", due_at=FAR),
        ],
    )

    lease = await claim(store)
    assert lease is not None
    assert await store.parks.deliverable(lease) == [
        Delivery(interrupt_id="now", kind="timer", answer=None)
    ]


async def test_a_run_that_waits_for_a_time_is_not_claimed_before_it(store: Store) -> None:
    lease = await driven(store)
    await store.runs.park(lease, [Park(interrupt_id="i", kind="timer", due_at=FAR)])

    assert await claim(store) is None


async def test_a_run_that_waits_for_a_person_is_claimed_once_there_is_an_answer(
    store: Store, database: Database
) -> None:
    lease = await driven(store)
    await open_review(database, lease)
    await store.runs.park(lease, [Park(interrupt_id="i", kind="person", review_id="r")])
    assert await claim(store) is None

    await answer(database, lease.run_id)

    again = await claim(store)
    assert again is not None
    assert await store.parks.deliverable(again) == [
        Delivery(interrupt_id="i", kind="person", answer={"choice": "ok"})
    ]


async def test_an_answer_that_comes_before_the_park_makes_it_due_at_once(
    store: Store, database: Database
) -> None:
    lease = await driven(store)
    await open_review(database, lease)
    await answer(database, lease.run_id)
    await store.runs.park(lease, [Park(interrupt_id="i", kind="person", review_id="r")])

    again = await claim(store)

    assert again is not None
    assert again.wakes == lease.wakes + 1
    assert [d.interrupt_id for d in await store.parks.deliverable(again)] == ["i"]


async def test_an_answer_that_came_before_the_claim_makes_the_park_due_at_once(
    store: Store, database: Database
) -> None:
    first = await driven(store)
    await open_review(database, first)
    await answer(database, first.run_id)  # the worker dies before it could park
    await store.runs.settle(first, RunState.QUEUED)
    second = await claim(store)
    assert second is not None
    assert second.wakes == 1

    await store.runs.park(second, [Park(interrupt_id="i", kind="person", review_id="r")])

    third = await claim(store)
    assert third is not None
    assert [d.interrupt_id for d in await store.parks.deliverable(third)] == ["i"]


async def test_the_answer_to_another_question_does_not_make_a_park_due(
    store: Store, database: Database
) -> None:
    first = await driven(store)
    for review_id in ("r", "old"):
        await open_review(database, first, review_id)
    await answer(database, first.run_id, "old")
    await store.runs.settle(first, RunState.QUEUED)
    second = await claim(store)
    assert second is not None

    await store.runs.park(second, [Park(interrupt_id="i", kind="person", review_id="r")])

    assert await claim(store) is None


async def test_a_park_replaces_the_parks_before_it(store: Store) -> None:
    first = await driven(store)
    await store.runs.park(
        first, [Park(interrupt_id=i, kind="timer", due_at=0.0) for i in ("one", "two")]
    )
    second = await claim(store)
    assert second is not None
    await store.runs.park(
        second, [Park(interrupt_id=i, kind="timer", due_at=0.0) for i in ("two", "three")]
    )

    third = await claim(store)
    assert third is not None
    deliveries = await store.parks.deliverable(third)
    assert {delivery.interrupt_id for delivery in deliveries} == {"two", "three"}


async def test_a_released_run_still_gets_what_was_not_delivered(store: Store) -> None:
    await store.runs.park(await driven(store), [Park(interrupt_id="i", kind="timer", due_at=0.0)])
    lease = await claim(store)
    assert lease is not None
    await store.runs.settle(lease, RunState.QUEUED)

    again = await claim(store)
    assert again is not None
    assert [d.interrupt_id for d in await store.parks.deliverable(again)] == ["i"]


@pytest.mark.parametrize("state", [RunState.DONE, RunState.CANCELLED])
async def test_a_finished_run_waits_for_nothing(
    store: Store, database: Database, state: RunState
) -> None:
    await store.runs.park(await driven(store), [Park(interrupt_id="i", kind="timer", due_at=0.0)])
    lease = await claim(store)
    assert lease is not None
    await store.runs.settle(lease, state)

    assert await database.all("SELECT interrupt_id FROM parks") == []


async def test_a_lost_lease_gets_nothing_delivered(store: Store) -> None:
    first = await driven(store)
    await store.runs.park(first, [Park(interrupt_id="i", kind="timer", due_at=0.0)])
    await claim(store)

    assert await store.parks.deliverable(first) == []


async def test_waiting_for_nothing_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="never"):
        await store.runs.park(await driven(store), [])
    with pytest.raises(ValueError, match="never"):
        Park(interrupt_id="i", kind="timer")
