import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from uuid import UUID

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import Effect, EffectState, transaction_id
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import InvalidGraphError, LeaseLostError, NotFoundError
from failsoft.events import Event

LANE = "triage@1"
WITHIN = SETTLE = 0.1  # seconds
RUN = UUID(int=7)


class Point(StrEnum):
    """Where the process of a write dies."""

    BEFORE_T1 = "before T1"
    AFTER_T1 = "after T1"
    AFTER_SEND = "after the send"
    AFTER_T2 = "after T2"


class Crash(Exception):  # noqa: N818
    """Stands for kill -9."""


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


async def claim(store: Store, lease: Lease, **request: str) -> Effect:
    return await store.effects.claim(
        lease, node="write", operation="jira.create_issue", request={"text": "t", **request},
        mark={"low": 3}, within=WITHIN, settle=SETTLE,
    )  # fmt: skip


async def write(store: Store, lease: Lease, server: list[str], dies: Point | None) -> None:
    """Write once, to a server whose every answer is direct: found, or absent for sure."""
    if dies is Point.BEFORE_T1:
        raise Crash
    known = await store.effects.newest(lease, node="write")
    effect = (
        await store.effects.take(lease, node="write", within=WITHIN)
        if known
        else await claim(store, lease)
    )
    if dies is Point.AFTER_T1:
        raise Crash
    if effect.state is EffectState.UNKNOWN:
        if effect.transaction_id in server:
            await store.effects.settle(lease, effect, EffectState.DONE, external_id="KEY-1")
            return
        await asyncio.sleep(max(0.0, effect.absence_in))
        await store.effects.settle(lease, effect, EffectState.WAITING)
        effect = await store.effects.take(lease, node="write", within=WITHIN)
    if effect.state is EffectState.IN_FLIGHT:
        server.append(effect.transaction_id)
        if dies is Point.AFTER_SEND:
            raise Crash
        await store.effects.settle(lease, effect, EffectState.DONE, external_id="KEY-1")
    if dies is Point.AFTER_T2:
        raise Crash


@pytest.mark.parametrize("point", Point)
async def test_a_write_whose_process_dies_is_sent_once(store: Store, point: Point) -> None:
    server: list[str] = []
    lease = await drive(store)
    with pytest.raises(Crash):
        await write(store, lease, server, point)

    await write(store, await taken_over(store, lease), server, None)

    [effect] = await store.effects.of_run(lease.run_no)
    assert (effect.state, effect.external_id) == (EffectState.DONE, "KEY-1")
    assert server == [effect.transaction_id]
    assert await store.audit.verify(lease.run_id)


async def test_a_write_that_comes_back_keeps_its_first_request(store: Store) -> None:
    lease = await drive(store)
    first = await claim(store, lease, text="what the model said first")

    again = await store.effects.take(await taken_over(store, lease), node="write", within=WITHIN)

    assert again.request == first.request == {"text": "what the model said first"}


async def test_a_write_found_in_flight_is_unknown_even_in_its_own_epoch(
    store: Store, database: Database
) -> None:
    lease = await drive(store)
    await claim(store, lease)

    effect = await store.effects.take(lease, node="write", within=WITHIN)

    assert effect.state is EffectState.UNKNOWN
    assert (await database.all("SELECT was_unknown FROM effects")) == [{"was_unknown": True}]


async def test_a_write_that_waits_goes_out_again_with_a_deadline_of_its_own(store: Store) -> None:
    lease = await drive(store)
    effect = await claim(store, lease)
    await store.effects.settle(lease, effect, EffectState.WAITING, reason="429")

    again = await store.effects.take(lease, node="write", within=50)

    assert (again.state, again.attempts, again.generation) == (EffectState.IN_FLIGHT, 2, 1)
    assert again.transaction_id == effect.transaction_id
    assert 40 < again.seconds_left <= 50


async def test_absence_counts_only_after_the_deadline_and_the_settle_time(store: Store) -> None:
    lease = await drive(store)
    effect = await store.effects.claim(
        lease, node="write", operation="jira.create_issue", request={}, mark={},
        within=10, settle=20,
    )  # fmt: skip

    assert 9 < effect.seconds_left <= 10
    assert 29 < effect.absence_in <= 30


async def test_each_send_after_an_unknown_one_counts_as_a_round(store: Store) -> None:
    lease = await drive(store)
    effect = await claim(store, lease)
    for state in (EffectState.UNKNOWN, EffectState.WAITING):
        await store.effects.settle(lease, effect, state)
        effect = (await store.effects.of_run(lease.run_no))[0]

    assert effect.unknown_rounds == 1


async def test_a_done_write_gives_its_answer_back_and_changes_nothing(store: Store) -> None:
    lease = await drive(store)
    effect = await claim(store, lease)
    response = {"key": "KEY-1", "note": "a\x00b"}
    await store.effects.settle(
        lease, effect, EffectState.DONE, external_id="KEY-1", response={**response}
    )
    later = await taken_over(store, lease)

    done = await store.effects.take(later, node="write", within=WITHIN)

    assert (done.state, done.attempts, done.external_id) == (EffectState.DONE, 1, "KEY-1")
    assert done.response == {"key": "KEY-1", "note": "a\N{REPLACEMENT CHARACTER}b"}


async def test_of_two_tasks_that_claim_one_write_the_second_is_told_to_use_a_key(
    store: Store,
) -> None:
    lease = await drive(store)

    both = await asyncio.gather(claim(store, lease), claim(store, lease), return_exceptions=True)

    [wrong] = [got for got in both if isinstance(got, InvalidGraphError)]
    assert "'write'" in str(wrong)
    assert "add_write(key=…)" in str(wrong)
    [effect] = await store.effects.of_run(lease.run_no)
    assert (effect.state, effect.attempts) == (EffectState.IN_FLIGHT, 1)
    kinds = [event.kind for event in await store.audit.events(lease.run_id)]
    assert kinds.count("effect.claimed") == 1
    assert await store.audit.verify(lease.run_id)


async def test_a_verdict_is_refused_when_the_write_has_moved_on(store: Store) -> None:
    lease = await drive(store)
    seen = await claim(store, lease)
    await store.effects.settle(lease, seen, EffectState.FAILED, reason="no such project")

    with pytest.raises(LeaseLostError):
        await store.effects.settle(lease, seen, EffectState.DONE, external_id="KEY-1")

    assert (await store.effects.of_run(lease.run_no))[0].state is EffectState.FAILED
    assert await store.audit.verify(lease.run_id)


async def test_a_verdict_tells_that_the_run_was_asked_to_cancel(store: Store) -> None:
    lease = await drive(store)
    effect = await claim(store, lease)
    assert await store.runs.cancel(lease.run_id) is RunState.RUNNING

    assert await store.effects.settle(lease, effect, EffectState.DONE, external_id="KEY-1")


Verb = Callable[[Store, Lease, Effect], Awaitable[object]]
STALE: dict[str, Verb] = {
    "claim": lambda store, lease, _: store.effects.claim(
        lease, node="other", operation="o", request={}, mark={}, within=1, settle=1
    ),
    "take what is in flight": lambda store, lease, _: store.effects.take(
        lease, node="write", within=1
    ),
    "take what waits": lambda store, lease, _: store.effects.take(lease, node="waits", within=1),
    "settle": lambda store, lease, effect: store.effects.settle(
        lease, effect, EffectState.DONE, external_id="KEY-1"
    ),
}


@pytest.mark.parametrize("verb", STALE.values(), ids=STALE)
@pytest.mark.parametrize("ended", RunState)
async def test_a_stale_epoch_changes_no_write(store: Store, verb: Verb, ended: RunState) -> None:
    lease = await drive(store)
    effect = await claim(store, lease)
    waits = await store.effects.claim(
        lease, node="waits", operation="o", request={}, mark={}, within=1, settle=1
    )
    await store.effects.settle(lease, waits, EffectState.WAITING)
    if ended in {RunState.RUNNING, RunState.PARKED}:
        await taken_over(store, lease)
    else:
        await store.runs.settle(lease, ended)

    with pytest.raises(LeaseLostError):
        await verb(store, lease, effect)

    effects = {found.node: found.state for found in await store.effects.of_run(lease.run_no)}
    assert effects == {"write": EffectState.IN_FLIGHT, "waits": EffectState.WAITING}
    assert await store.audit.verify(lease.run_id)


async def test_what_was_never_claimed_cannot_be_taken(store: Store) -> None:
    lease = await drive(store)

    with pytest.raises(NotFoundError):
        await store.effects.take(lease, node="write", within=1)


async def test_the_audit_chain_tells_each_step_of_a_write_and_nothing_that_was_said(
    store: Store,
) -> None:
    lease = await drive(store)
    effect = await claim(store, lease, text="private words")
    await store.effects.settle(lease, effect, EffectState.WAITING, reason="private reason")
    again = await store.effects.take(lease, node="write", within=1)
    await store.effects.settle(lease, again, EffectState.DONE, external_id="KEY-1")

    events = await store.audit.events(lease.run_id)

    assert [event.kind for event in events if event.kind.startswith("effect.")] == [
        "effect.claimed", "effect.waiting", "effect.claimed", "effect.done",
    ]  # fmt: skip
    assert "private" not in str(events)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((UUID(int=8), "write", "a", 1), id="run"),
        pytest.param((RUN, "reply", "a", 1), id="node"),
        pytest.param((RUN, "write", "b", 1), id="item"),
        pytest.param((RUN, "write", "a", 2), id="generation"),
        pytest.param((RUN, "writea", "", 1), id="where one part ends"),
    ],
)
def test_no_two_writes_share_an_id(other: tuple[UUID, str, str, int]) -> None:
    one = transaction_id(RUN, "write", "a", 1)

    assert one != transaction_id(*other)
    assert one == transaction_id(RUN, "write", "a", 1)


def test_an_id_fits_where_only_26_lower_case_characters_do() -> None:
    one = transaction_id(RUN, "write", "a", 1)

    assert len(one) == 26
    assert one.isalnum()
    assert one == one.lower()
