import asyncio
import time
from collections.abc import Mapping

import pytest

from failsoft.checkpoints.database import Database
from failsoft.clock import Clock
from failsoft.errors import HeldError
from failsoft.limits.gate import Gate, Held, Reason, Slot
from failsoft.settings import Limit

OPEN = Limit(rate=1_000_000, burst=1_000, in_flight=1_000)
NARROW = Limit(rate=1_000_000, burst=1_000, in_flight=1)


def gate(database: Database, limits: Mapping[str, Limit] | None = None) -> Gate:
    table = limits or {}
    return Gate(database, lambda dependency: table.get(dependency, OPEN))


async def admitted(asked: Gate, key: str) -> Slot:
    answer = await asked.ask(key, lease=60)
    assert isinstance(answer, Slot)
    return answer


async def held(asked: Gate, key: str) -> Held:
    answer = await asked.ask(key, lease=60)
    assert isinstance(answer, Held)
    return answer


async def test_no_more_calls_pass_than_rate_and_burst_allow(database: Database, dsn: str) -> None:
    limit = Limit(rate=50, burst=5, in_flight=1_000)
    seconds = 1.5
    async with Database(dsn, size=4) as other:
        gates = [gate(each, {"jira": limit}) for each in (database, database, other, other)]
        start = time.monotonic()

        async def ask(one: Gate) -> int:
            count = 0
            while time.monotonic() - start < seconds:
                answer = await one.ask("jira", lease=60)
                if isinstance(answer, Slot):
                    count += 1
                else:
                    await asyncio.sleep(answer.seconds)
            return count

        passed = sum(await asyncio.gather(*(ask(one) for one in gates)))
        took = time.monotonic() - start

    assert passed <= 50 * took + 5 + 1
    assert passed >= 50 * seconds / 2


async def test_never_more_calls_are_in_flight_than_allowed(database: Database) -> None:
    shared = gate(database, {"jira": Limit(rate=1_000_000, burst=1_000, in_flight=3)})
    now, peak = 0, 0

    async def call() -> None:
        nonlocal now, peak
        async with shared.passing("jira", lease=60, clock=Clock(), patience=30):
            now += 1
            peak = max(peak, now)
            await asyncio.sleep(0.02)
            now -= 1

    await asyncio.gather(*(call() for _ in range(20)))

    assert peak == 3


async def test_the_slot_of_a_dead_caller_is_free_when_its_lease_ends(database: Database) -> None:
    shared = gate(database, {"jira": NARROW})
    assert isinstance(await shared.ask("jira", lease=0.1), Slot)
    assert (await held(shared, "jira")).reason is Reason.IN_FLIGHT

    await asyncio.sleep(0.15)

    await admitted(shared, "jira")


async def test_a_shorter_cool_down_does_not_shorten_a_longer_one(database: Database) -> None:
    shared = gate(database)
    await shared.cool("jira", 30)
    await shared.cool("jira", 0.01)

    answer = await held(shared, "jira")

    assert answer.reason is Reason.COOLDOWN
    assert 29 < answer.seconds <= 30


async def test_a_cool_down_holds_every_process_and_no_other_key(
    database: Database, dsn: str
) -> None:
    await gate(database).cool("jira", 30)

    async with Database(dsn, size=2) as other:
        assert (await held(gate(other), "jira")).reason is Reason.COOLDOWN
        await admitted(gate(other), "slack")


async def test_calls_pass_again_when_the_cool_down_is_over(database: Database) -> None:
    shared = gate(database)
    await shared.cool("jira", 0.1)
    await asyncio.sleep(0.15)

    await admitted(shared, "jira")


async def test_a_call_that_is_held_costs_no_rate(database: Database) -> None:
    shared = gate(database, {"jira": Limit(rate=0.02, burst=1)})
    for _ in range(2):
        await admitted(shared, "jira")
    answers = [await held(shared, "jira") for _ in range(20)]
    assert {answer.reason for answer in answers} == {Reason.RATE}
    waits = [answer.seconds for answer in answers]
    assert waits == sorted(waits, reverse=True)


async def test_the_limit_belongs_to_the_dependency_and_the_count_to_the_key(
    database: Database,
) -> None:
    shared = gate(database, {"slack": NARROW})
    await admitted(shared, "slack:C1")

    assert (await held(shared, "slack:C1")).reason is Reason.IN_FLIGHT
    await admitted(shared, "slack:C2")


async def test_a_short_wait_is_waited_in_place(database: Database) -> None:
    shared = gate(database)
    await shared.cool("jira", 0.1)
    start = time.monotonic()

    async with shared.passing("jira", lease=60, clock=Clock()):
        assert time.monotonic() - start >= 0.1


async def test_a_long_wait_is_told_at_once(database: Database) -> None:
    shared = gate(database)
    await shared.cool("jira", 30)

    with pytest.raises(HeldError, match="jira holds calls back: cooldown") as caught:
        async with shared.passing("jira", lease=60, clock=Clock()):
            pytest.fail("the gate was closed")

    assert 29 < caught.value.retry_after <= 33


async def test_many_short_waits_together_pass_no_patience(database: Database) -> None:
    shared = gate(database, {"jira": NARROW})
    await admitted(shared, "jira")
    start = time.monotonic()

    with pytest.raises(HeldError, match="in_flight"):
        async with shared.passing("jira", lease=60, clock=Clock(), patience=0.2):
            pytest.fail("the gate was full")

    assert time.monotonic() - start < 5


async def test_a_call_that_raises_gives_its_slot_back(database: Database) -> None:
    shared = gate(database, {"jira": NARROW})
    with pytest.raises(RuntimeError):
        async with shared.passing("jira", lease=60, clock=Clock()):
            raise RuntimeError

    await admitted(shared, "jira")


async def test_a_cancelled_call_gives_its_slot_back(database: Database) -> None:
    shared = gate(database, {"jira": NARROW})
    inside = asyncio.Event()

    async def call() -> None:
        async with shared.passing("jira", lease=60, clock=Clock()):
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.ensure_future(call())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await admitted(shared, "jira")


async def test_a_lost_connection_does_not_cover_what_the_call_returned(dsn: str) -> None:
    database = Database(dsn, lease=1, size=2)
    await database.open()
    shared = gate(database)

    async with shared.passing("jira", lease=60, clock=Clock()):
        await database.close()
        outcome = "done"

    assert outcome == "done"


async def test_of_two_slots_that_end_together_one_is_given_back(database: Database) -> None:
    limit = Limit(rate=1_000_000, burst=1_000, in_flight=2)
    shared = gate(database, {"jira": limit})
    slot = await admitted(shared, "jira")
    await database.all("UPDATE gates SET leases = leases || leases")

    await shared.back(slot)

    await admitted(shared, "jira")
    await held(shared, "jira")


async def test_a_slot_is_given_back_once(database: Database) -> None:
    shared = gate(database, {"jira": Limit(rate=1_000_000, burst=1_000, in_flight=2)})
    first = await admitted(shared, "jira")
    await admitted(shared, "jira")
    await shared.back(first)
    await shared.back(first)

    await admitted(shared, "jira")
    await held(shared, "jira")


async def test_the_gate_starts_anew_when_a_crash_emptied_its_table(database: Database) -> None:
    shared = gate(database, {"jira": NARROW})
    slot = await admitted(shared, "jira")
    await database.all("TRUNCATE gates")

    await admitted(shared, "jira")
    await shared.back(slot)
