"""What a killed worker leaves is taken up in time, and nothing is paid for or written twice."""

import time
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

MODEL = "POST /v1/chat/completions"
TICKET = "POST /jira/rest/api/3/issue"
HELD = {"kind": "hold", "seconds": 60}

# The sandbox profile, in seconds.
LEASE, SEND, SETTLE = 3.0, 2.0, 1.0
GRACE = 3.0

# 28 runs, 4 at a time; all four calls of a group are under way when the worker is killed, so 12
# are asked again: 40 calls.
RUNS, SIDE_BY_SIDE = 28, 4
KILLED_WITH = ((9, 12), (21, 24), (25, 28))


async def killed_while_executed(station: "Station", match: str) -> tuple[UUID, str, float]:
    """Kill a worker when the request was executed, its answer on the way; start the next one."""
    await station.reset({"match": match, "nth": [1], **HELD})
    worker = station.fork_worker()
    run_id, nonce = await station.admit()
    assert await station.executed(match, 1)
    await station.kill(worker)
    killed_at = time.time()
    station.fork_worker()
    return run_id, nonce, killed_at


async def when(station: "Station", run_id: UUID, kind: str, nth: int = 0) -> float:
    """Return when an audit event was written, in seconds since 1970."""
    events = [event for event in await station.store.audit.events(run_id) if event.kind == kind]
    return datetime.fromisoformat(events[nth].at).timestamp()


async def test_a_durable_classification_needs_no_model_any_more(station: "Station") -> None:
    await station.reset({"match": TICKET, "nth": [1], **HELD})
    worker = station.fork_worker()
    run_id, nonce = await station.admit()
    assert await station.executed(TICKET, 1)
    await station.kill(worker)
    await station.faults({"match": MODEL, "kind": "status", "status": 500})
    station.fork_worker()
    await station.all_rest()
    assert (await station.row(run_id))["state"] == "done"
    assert (await station.world())["model"]["calls"] == 1
    routes = [entry["path"] for entry in (await station.world())["requests"]]
    assert routes.count("/v1/chat/completions") == 1
    assert len(await station.tickets(nonce)) == 1


async def test_killed_between_post_and_record_ends_with_one_ticket_in_time(
    station: "Station",
) -> None:
    run_id, nonce, killed_at = await killed_while_executed(station, TICKET)
    await station.all_rest()
    assert len(await station.tickets(nonce)) == 1
    assert await station.store.audit.verify(run_id)
    (claimed,) = await station.query(
        "SELECT extract(epoch FROM started_at)::float8 AS at FROM attempts WHERE epoch > 1"
    )
    assert claimed["at"] - killed_at <= LEASE + GRACE
    decided = await when(station, run_id, "effect.done")
    assert decided - killed_at <= max(LEASE, SEND + SETTLE) + GRACE


async def test_a_write_that_never_arrived_is_decided_in_time_and_sent_again(
    station: "Station",
) -> None:
    here = {"match": TICKET, "nth": [1]}
    await station.reset({**here, "kind": "latency", "seconds": 1}, {**here, "kind": "drop_before"})
    worker = station.fork_worker()
    run_id, nonce = await station.admit()

    async def sent() -> bool:
        paths = [entry["path"] for entry in (await station.world())["requests"]]
        return "/jira/rest/api/3/issue" in paths

    await station.until(sent, "the ticket is on its way")
    await station.kill(worker)
    killed_at = time.time()
    station.fork_worker()
    await station.all_rest()
    assert await when(station, run_id, "effect.waiting") - killed_at <= (
        max(LEASE, SEND + SETTLE) + GRACE
    )
    assert len(await station.tickets(nonce)) == 1
    assert await station.store.audit.verify(run_id)


@pytest.mark.timeout(150)
async def test_reservations_and_answers_add_up_to_what_the_provider_served(
    station: "Station",
) -> None:
    station.options["FAILSOFT_CONCURRENCY"] = str(SIDE_BY_SIDE)
    held = [number for first, last in KILLED_WITH for number in range(first, last + 1)]
    await station.reset({"match": MODEL, "nth": held, **HELD})
    for number in range(RUNS):
        await station.admit("The Save button does nothing in Firefox. " * (number % 3 + 1))
    for _, last in KILLED_WITH:
        worker = station.fork_worker()
        assert await station.executed(MODEL, last, seconds=40)
        await station.kill(worker)
    station.fork_worker()
    await station.all_rest()
    await check_accounts(station)


async def check_accounts(station: "Station") -> None:
    served = (await station.world())["model"]
    calls = await station.query("SELECT * FROM model_calls")
    answered = [call for call in calls if call["state"] == "answered"]
    reserved = [call for call in calls if call["state"] == "reserved"]
    assert (served["calls"], len(answered), len(reserved)) == (40, RUNS, 40 - RUNS)
    price = {call["call_key"]: call["input_tokens"] + call["output_tokens"] for call in answered}
    recorded = sum(price[call["call_key"]] for call in answered)
    # The same question was answered later: that is what the lost answer has cost.
    lost = sum(price[call["call_key"]] for call in reserved)
    assert served["tokens_in"] + served["tokens_out"] == recorded + lost
    spend = await station.store.model_calls.totals()
    assert (spend.answered, spend.unanswered) == (RUNS, 40 - RUNS)
    assert spend.tokens == recorded + sum(call["reserved_tokens"] for call in reserved)
    (counted,) = await station.query(
        "SELECT sum(tokens)::bigint AS tokens, sum(model_calls)::int AS calls FROM runs"
    )
    assert counted == {"tokens": spend.tokens, "calls": 40}
    assert (await station.states())["done"] == RUNS
    assert len(await station.tickets()) == RUNS
    await station.chains_verify()
