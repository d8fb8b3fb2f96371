"""Each event is delivered ten times, by every door that can carry it: one run and one object each.

Four real workers drive the runs. Tickets and cases are counted by the sandbox, which is told
nothing. FAILSOFT_TEST_EVENTS says how many events there are; `make soak` sets 500.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.ignored import latest
from failsoft.checkpoints.store import Store
from failsoft.intake.admission import Reception
from failsoft.intake.slack import Reason
from failsoft.settings import Settings, load_settings
from tests.acceptance.mail_ways import Imap, Maildir, MailHttp, Smtp
from tests.acceptance.slack_ways import SlackHistory, SlackHttp, SlackSocket
from tests.acceptance.ways import CHANNEL, MAIL, SLACK, Queued, Thing, Way
from tests.integration.test_queue_doors import Queue, rabbit_queue, redis_queue, sqs_queue

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

EVENTS = int(os.environ.get("FAILSOFT_TEST_EVENTS", "50"))
DELIVERIES = 10
WORKERS = 4
AT_ONCE = 16  # deliveries under way
CONNECTIONS = 12  # of all doors together
SECONDS = 40 + EVENTS  # for all of it to come to rest
AGENTS = {MAIL: "email-salesforce", SLACK: "slack-jira"}
KINDS = (MAIL, SLACK)
# Ways that need no broker.
ALONE = (Maildir, Smtp, Imap, MailHttp, SlackSocket, SlackHistory, SlackHttp)
BROKERS: dict[str, Callable[[str], Awaitable[Queue]]] = {
    "RabbitMQ": lambda _: rabbit_queue(),
    "Redis": lambda _: redis_queue(),
    "SQS": sqs_queue,
}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(station: "Station", monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the doors are set up with; the brokers' libraries read the environment too."""
    aws = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobody"}
    own = {
        "FAILSOFT_IMAP_PASSWORD": "demopass",
        "FAILSOFT_MAIL_TOKEN": "mail-token",
        "FAILSOFT_SLACK_CHANNELS": CHANNEL,
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    for name, value in {**station.environment, **aws, **own}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


async def ways_for(kind: str, settings: Settings, moto: str) -> list[Way]:
    """Build every way that carries things of a kind; a broker that is away is left out."""
    found: list[Way] = [way(kind, settings) for way in ALONE if kind in way.carries]
    for name, make in BROKERS.items():
        try:
            queue = await make(moto)
        except pytest.skip.Exception:
            continue  # named by a test of its own
        way = Queued(kind, settings, queue=queue)
        way.name = name  # type: ignore[misc]  # one class for all brokers
        found.append(way)
    return found


def deliveries(things: list[Thing], ways: dict[str, list[Way]]) -> list[tuple[Way, Thing]]:
    """Spread ten deliveries of each thing over the ways that carry it, in any order."""
    spread = [
        (ways[thing.kind][turn % len(ways[thing.kind])], thing)
        for thing in things
        for turn in range(DELIVERIES)
    ]
    random.Random(7).shuffle(spread)
    return spread


async def deliver(spread: list[tuple[Way, Thing]]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(way: Way, thing: Thing) -> None:
        async with places:
            await way.deliver(thing)

    async with asyncio.TaskGroup() as group:
        for way, thing in spread:
            group.create_task(one(way, thing))


@pytest.fixture
async def ways(
    station: "Station", moto: str, settings: Settings
) -> AsyncIterator[dict[str, list[Way]]]:
    """Every way, open, in front of its agent; here too what sends has threads enough."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE * 4))
    async with AsyncExitStack() as stack:
        database = Database(station.dsn, lease=20.0, size=CONNECTIONS)
        runs = Store.of(await stack.enter_async_context(database)).runs
        found: dict[str, list[Way]] = {}
        for kind in KINDS:
            reception = Reception.of(load_graph(AGENTS[kind]), runs)
            found[kind] = await ways_for(kind, settings, moto)
            for way in found[kind]:
                await stack.enter_async_context(way.open(reception))
        yield found


@pytest.mark.timeout(2 * SECONDS + 120)
async def test_ten_deliveries_by_every_door_are_one_run_and_one_object(
    station: "Station", ways: dict[str, list[Way]]
) -> None:
    station.agents = list(dict.fromkeys(AGENTS.values()))
    for _ in range(WORKERS):
        station.fork_worker()
    things = [
        Thing(kind=KINDS[number % len(KINDS)], nonce=uuid4().hex[:12], number=number)
        for number in range(EVENTS)
    ]

    await deliver(deliveries(things, ways))

    async def taken() -> bool:
        left = [await way.left() for each in ways.values() for way in each]
        return not any(left)

    await station.until(taken, "every door has taken what was sent", SECONDS)
    await station.all_rest(SECONDS)
    rows = await station.store.runs.list(limit=EVENTS * 2)
    assert sorted(row["event_key"] for row in rows) == sorted(thing.key for thing in things)
    assert {row["state"] for row in rows} == {"done"}
    assert await objects(station, things) == Counter({thing.nonce: 1 for thing in things})
    listed = {row["reason"] for row in await latest(station.database)}
    assert listed <= {Reason.OWN}  # our replies, which the history shows too
    sent = {way.name: way.sent for each in ways.values() for way in each}
    assert all(sent.values()), sent
    assert sum(way.sent for each in ways.values() for way in each) == EVENTS * DELIVERIES


async def objects(station: "Station", things: list[Thing]) -> Counter[str]:
    """Count, in the sandbox, the tickets and cases that each thing has become."""
    world = await station.world()
    found = [*world["jira"]["issues"], *world.get("salesforce", {}).get("cases", [])]
    texts = [str(each) for each in found]
    counted = Counter(thing.nonce for text in texts for thing in things if thing.nonce in text)
    counted["nobody's"] = len(found) - counted.total()
    return +counted


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("broker", BROKERS)
async def test_the_broker_is_there_or_its_door_was_left_out(broker: str, moto: str) -> None:
    """Skipped for a broker that is away; a failure where FAILSOFT_REQUIRE_SERVICES is set."""
    queue = await BROKERS[broker](moto)
    await queue.close()
