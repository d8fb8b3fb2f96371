from typing import LiteralString
from uuid import UUID, uuid4

import pytest

from failsoft.checkpoints.audit import body
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import NotFoundError
from failsoft.events import Event


async def lived(store: Store, key: str = "k") -> UUID:
    """Admit a run, drive it, lose it, park it and end it; return its id."""
    run_id = (await store.runs.admit("a", "a@1", Event(key=key, source="cli", text=""))).run_id
    lost = await store.workers.register("lost", 0.2)
    await store.runs.claim(lost, ["a@1"], 1)
    while not await store.workers.sweep():
        pass
    await store.runs.expire(backoff=0.0)
    worker = await store.workers.register("w", 10.0)
    (claim,) = await store.runs.claim(worker, ["a@1"], 1)
    await store.runs.begin(claim.lease, uuid4())
    await store.runs.park(claim.lease, [Park(interrupt_id="i", kind="timer", due_at=0.0)])
    (claim,) = await store.runs.claim(worker, ["a@1"], 1)
    await store.runs.progress(claim.lease, "node.left", node="classify")
    await store.runs.settle(claim.lease, RunState.DONE)
    return run_id


async def test_the_chain_of_a_run_tells_its_life_and_verifies(store: Store) -> None:
    run_id = await lived(store)

    events = await store.audit.events(run_id)
    assert [event.kind for event in events] == [
        "run.admitted",
        "run.lost",
        "run.attempt",
        "run.parked",
        "node.left",
        "run.done",
    ]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[4].facts == {"node": "classify"}
    assert await store.audit.verify(run_id)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_event SET body = set_byte(body, 3, 88) WHERE seq = 2",
        "UPDATE audit_event SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) WHERE seq = 3",
        "DELETE FROM audit_event WHERE seq = 6",
        "DELETE FROM audit_event WHERE seq = 2",
        "DELETE FROM audit_event",
        "UPDATE runs SET audit_head = set_byte(audit_head, 0, get_byte(audit_head, 0) # 1)",
        "UPDATE audit_event SET body = '{}', hash = sha256('{}') WHERE seq = 6",
    ],
)
async def test_tampering_with_the_chain_is_found(
    store: Store, database: Database, tampering: LiteralString
) -> None:
    run_id = await lived(store)

    await database.all(tampering)

    assert not await store.audit.verify(run_id)


async def test_a_chain_that_was_moved_to_another_run_is_found(
    store: Store, database: Database
) -> None:
    one = await store.runs.admit("a", "a@1", Event(key="one", source="cli", text=""))
    two = await store.runs.admit("a", "a@1", Event(key="two", source="cli", text=""))
    await database.all(
        "WITH moved AS (UPDATE audit_event e SET body = o.body, hash = o.hash FROM audit_event o"
        " WHERE e.run_no = 2 AND o.run_no = 1 AND e.seq = o.seq)"
        " UPDATE runs r SET audit_head = o.audit_head FROM runs o"
        " WHERE r.run_no = 2 AND o.run_no = 1"
    )

    assert await store.audit.verify(one.run_id)
    assert not await store.audit.verify(two.run_id)


async def test_the_chain_of_an_unknown_run_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.audit.verify(uuid4())


def test_a_body_has_the_same_bytes_whatever_the_order_of_its_facts() -> None:
    run_id = uuid4()

    one, two = body("x.y", run_id, b=1, a="ä"), body("x.y", run_id, a="ä", b=1)

    assert one[:12] == b'{"a":"\\u00e4'
    assert one[:20] == two[:20]
