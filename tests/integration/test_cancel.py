"""From the moment of its cancel a run begins nothing, and decides what is in the air."""

import pytest

from failsoft.checkpoints.effects import Effect, EffectState
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.model_calls import CallLimits, Reservation
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import LeaseLostError, RunCancelledError
from failsoft.events import Event

LANE = "triage@1"


async def drive(store: Store) -> Lease:
    await store.runs.admit("triage", LANE, Event(key="e1", source="test", text="hi"))
    worker = await store.workers.register("test", 60)
    [claim] = await store.runs.claim(worker, [LANE], 1)
    return claim.lease


async def claim(store: Store, lease: Lease, node: str = "write") -> Effect:
    return await store.effects.claim(
        lease, node=node, operation="jira.create_issue", request={}, mark={}, within=1, settle=1
    )


async def reserve(store: Store, lease: Lease, key: str = "classify:1") -> Reservation:
    limits = CallLimits(calls=9, tokens=9_000, micros=None)
    return await store.model_calls.reserve(
        lease, call_key=key, model="openai:small", tokens=100, micros=50, limits=limits
    )


async def test_a_cancelled_run_begins_no_write(store: Store) -> None:
    lease = await drive(store)
    await store.runs.cancel(lease.run_id)
    before = await store.audit.events(lease.run_id)

    with pytest.raises(RunCancelledError):
        await claim(store, lease)

    assert await store.effects.of_run(lease.run_no) == []
    assert await store.audit.events(lease.run_id) == before


async def test_a_cancelled_run_does_not_send_again_what_waits(store: Store) -> None:
    lease = await drive(store)
    await store.effects.settle(lease, await claim(store, lease), EffectState.WAITING)
    await store.runs.cancel(lease.run_id)
    before = await store.audit.events(lease.run_id)

    with pytest.raises(RunCancelledError):
        await store.effects.take(lease, node="write", within=1)

    [effect] = await store.effects.of_run(lease.run_no)
    assert (effect.state, effect.attempts) == (EffectState.WAITING, 1)
    assert await store.audit.events(lease.run_id) == before


async def test_a_cancelled_run_decides_the_write_that_is_in_the_air(store: Store) -> None:
    lease = await drive(store)
    await claim(store, lease)
    await store.runs.cancel(lease.run_id)

    unknown = await store.effects.take(lease, node="write", within=1)
    await store.effects.settle(lease, unknown, EffectState.DONE, external_id="KEY-1")

    [effect] = await store.effects.of_run(lease.run_no)
    assert (effect.state, effect.external_id) == (EffectState.DONE, "KEY-1")


async def test_a_lost_lease_of_a_cancelled_run_is_a_lost_lease(store: Store) -> None:
    lease = await drive(store)
    await store.runs.cancel(lease.run_id)
    await store.runs.settle(lease, RunState.CANCELLED)

    with pytest.raises(LeaseLostError):
        await claim(store, lease)


async def test_a_cancelled_run_reserves_no_call_of_a_model(store: Store) -> None:
    lease = await drive(store)
    await store.runs.cancel(lease.run_id)
    before = await store.runs.get(lease.run_id)

    with pytest.raises(RunCancelledError):
        await reserve(store, lease)

    assert await store.runs.get(lease.run_id) == before
    assert await store.model_calls.of_run(lease.run_no) == []


async def test_a_cancelled_run_still_reads_an_answer_that_was_paid_for(store: Store) -> None:
    lease = await drive(store)
    call = await reserve(store, lease)
    await store.model_calls.answer(
        lease, call.call_id, answer={"route": "billing"}, input_tokens=60, output_tokens=10,
        micros=21, estimated=False,
    )  # fmt: skip
    await store.runs.cancel(lease.run_id)

    assert (await reserve(store, lease)).answer == {"route": "billing"}
