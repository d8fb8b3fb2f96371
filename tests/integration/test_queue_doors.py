"""Queues as doors: acknowledged after the commit, nothing lost, what cannot be read is listed."""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
import boto3
import pytest
import redis.asyncio as redis
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.store import Store
from failsoft.errors import ConfigurationError, UnavailableError
from failsoft.events import Event
from failsoft.intake import queued
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.doors import open_door
from failsoft.intake.listening import Listening
from failsoft.intake.mail import read_mail
from failsoft.intake.redis_stream import RedisDoor
from failsoft.settings import Settings

RABBIT = os.environ.get("FAILSOFT_TEST_RABBITMQ", "amqp://guest@127.0.0.1:5672/")
REDIS = os.environ.get("FAILSOFT_TEST_REDIS", "redis://127.0.0.1:6379/0")
AWAY = (OSError, redis.RedisError, aio_pika.exceptions.AMQPError)
SETTINGS = Settings(profile="sandbox", mailbox="support")
MAIL = b"From: ann@x.example\r\nMessage-ID: <1@x.example>\r\nSubject: Help\r\n\r\nIt broke.\r\n"


@dataclass
class Queue:
    """A queue of one kind: how to publish to it, how to see what is left, and the door to it."""

    spec: str
    publish: Callable[..., Awaitable[None]]
    left: Callable[[], Awaitable[int]]
    close: Callable[[], Awaitable[object]]
    settings: Settings = field(default_factory=lambda: SETTINGS)

    def door(self) -> Door:
        return open_door(self.spec, self.settings)


def skip_or_fail(what: str, error: Exception) -> None:
    if os.environ.get("FAILSOFT_REQUIRE_SERVICES"):
        raise error
    pytest.skip(f"no {what} at hand: {type(error).__name__}")


async def rabbit_queue() -> Queue:
    try:
        connection = await aio_pika.connect(RABBIT.replace("guest@", "guest:guest@"), timeout=3)
    except AWAY as error:
        skip_or_fail("RabbitMQ", error)
        raise
    channel = await connection.channel()
    name = f"failsoft-test-{uuid4().hex}"
    queue = await channel.declare_queue(name, durable=True)

    async def publish(body: bytes, content_type: str = "") -> None:
        message = aio_pika.Message(body, content_type=content_type, message_id=uuid4().hex)
        await channel.default_exchange.publish(message, routing_key=name)

    async def left() -> int:
        seen = await channel.declare_queue(name, passive=True)
        return seen.declaration_result.message_count or 0

    async def close() -> None:
        await queue.delete(if_unused=False, if_empty=False)
        await connection.close()

    return Queue(f"{RABBIT}?queue={name}", publish, left, close)


async def redis_queue() -> Queue:
    client = redis.Redis.from_url(REDIS, socket_connect_timeout=3)
    stream = f"failsoft-test-{uuid4().hex}"

    async def publish(body: bytes, content_type: str = "") -> None:
        await client.xadd(stream, {"event": body, "content-type": content_type})

    async def left() -> int:
        groups: Any = await client.xinfo_groups(stream)
        if not groups:  # nobody has opened a door to it yet
            return int(await client.xlen(stream))
        return sum(group["pending"] + (group["lag"] or 0) for group in groups)

    async def close() -> None:
        await client.delete(stream)
        await client.aclose()

    try:
        await client.ping()
    except AWAY as error:
        skip_or_fail("Redis", error)
    return Queue(f"{REDIS}?stream={stream}", publish, left, close)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """SQS as a server of its own, spoken to by Amazon's client."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def sqs_queue(endpoint: str) -> Queue:
    client = boto3.client("sqs", endpoint_url=endpoint)
    attributes = {"VisibilityTimeout": "1"}
    made = await asyncio.to_thread(
        client.create_queue, QueueName=uuid4().hex, Attributes=attributes
    )
    url = endpoint + made["QueueUrl"][made["QueueUrl"].index("/", 8) :]

    async def publish(body: bytes, content_type: str = "") -> None:
        kind = {"content-type": {"DataType": "String", "StringValue": content_type}}
        await asyncio.to_thread(
            client.send_message, QueueUrl=url, MessageBody=body.decode(),
            MessageAttributes=kind if content_type else {},
        )  # fmt: skip

    async def left() -> int:
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        seen = await asyncio.to_thread(
            client.get_queue_attributes, QueueUrl=url, AttributeNames=names
        )
        return sum(int(number) for number in seen["Attributes"].values())

    async def close() -> None:
        await asyncio.to_thread(client.close)

    return Queue(f"sqs:{url}", publish, left, close)


@pytest.fixture(params=["rabbitmq", "redis", "sqs"])
async def queue(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Queue]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    match request.param:
        case "rabbitmq":
            made = await rabbit_queue()
        case "redis":
            made = await redis_queue()
        case _:
            made = await sqs_queue(request.getfixturevalue("moto"))
    yield made
    await made.close()


@dataclass(frozen=True, kw_only=True)
class Counting(Reception):
    """A reception that tells when something was brought in, once more for what came again."""

    brought: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def admit(self, event: Any, *, dry_run: bool = False) -> Any:
        admitted = await super().admit(event, dry_run=dry_run)
        self.brought.release()
        return admitted

    async def after(self, messages: int) -> None:
        async with asyncio.timeout(20):
            for _ in range(messages):
                await self.brought.acquire()


@pytest.fixture
def reception(store: Store) -> Counting:
    return Counting(runs=store.runs, agent="a", lane="a@1")


@contextlib.asynccontextmanager
async def opened(door: Door, reception: Reception) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    running = asyncio.create_task(door.run(reception, stopping))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(running, 20)


async def take(queue: Queue, reception: Counting, messages: int) -> None:
    """Keep the door open until so many messages were brought in, and nothing is left.

    RabbitMQ does not count what it has sent to an open door, so that is looked at afterwards too.
    """
    async with opened(queue.door(), reception):
        await reception.after(messages)
        await holding(queue, 0)
    await holding(queue, 0)


async def holding(queue: Queue, messages: int) -> None:
    """Wait until a broker counts so many: what a connection leaves behind takes it a moment."""
    async with asyncio.timeout(20):
        while await queue.left() != messages:  # noqa: ASYNC110  # a broker tells nobody
            await asyncio.sleep(0.05)


def said(key: str, text: str = "it broke") -> bytes:
    return json.dumps({"key": key, "text": text}).encode()


async def test_each_message_is_a_run_and_leaves_the_queue(
    queue: Queue, reception: Counting, store: Store
) -> None:
    for number in range(5):
        await queue.publish(said(f"k{number}"))
    await queue.publish(said("k0"))
    await take(queue, reception, 6)

    rows = await store.runs.list()
    assert sorted(row["event_key"] for row in rows) == [f"k{number}" for number in range(5)]


async def test_what_cannot_be_read_is_listed_with_its_bytes_and_holds_nobody_up(
    queue: Queue, reception: Counting, store: Store, database: Database
) -> None:
    for body in (b"no JSON", b"[" * 5000, b'{"text": 7}', b'{"key": "k", "text": "x", "evil": 1}'):
        await queue.publish(body)
    await queue.publish(said("k1"))
    await take(queue, reception, 5)

    assert [row["event_key"] for row in await store.runs.list()] == ["k1"]
    assert len(await listed(database, "a")) == 4
    raw = await database.all("SELECT raw FROM ignored WHERE raw IS NOT NULL")
    assert bytes(raw[0]["raw"]) in {b"no JSON", b"[" * 5000, b'{"text": 7}'} | {
        b'{"key": "k", "text": "x", "evil": 1}'
    }


async def test_a_mail_and_a_slack_delivery_come_by_queue_too(
    queue: Queue, reception: Counting, store: Store
) -> None:
    event = {"type": "message", "channel": "C1", "ts": "1.1", "user": "U1", "text": "it broke"}
    callback = {"type": "event_callback", "team_id": "T1", "event_id": "E", "event": event}
    await queue.publish(MAIL, "message/rfc822")
    await queue.publish(json.dumps(callback).encode())
    await take(queue, reception, 2)

    keys = {row["event_key"] for row in await store.runs.list()}
    assert keys == {"mail:support:<1@x.example>", "slack:T1:C1:1.1"}


async def test_a_message_without_a_key_is_known_by_its_brokers_id(
    queue: Queue, reception: Counting, store: Store
) -> None:
    await queue.publish(b'{"text": "one"}')
    await queue.publish(b'{"text": "one"}')
    await take(queue, reception, 2)

    assert len(await store.runs.list()) == 2


class Away(Reception):
    """A reception whose database is away."""

    async def admit(self, event: Any, *, dry_run: bool = False) -> Any:
        raise UnavailableError("the database is away")


async def test_while_the_database_is_away_the_message_stays_and_comes_again(
    queue: Queue, reception: Counting, store: Store
) -> None:
    await queue.publish(said("k1"))
    away = Away(runs=store.runs, agent="a", lane="a@1")
    with pytest.raises(UnavailableError):
        await queue.door().run(away, asyncio.Event())
    await holding(queue, 1)

    await take(queue, reception, 1)
    assert len(await store.runs.list()) == 1


class Broken(Counting):
    """A reception that is cut off after the commit, before anybody hears of it."""

    async def admit(self, event: Any, *, dry_run: bool = False) -> Any:
        await super().admit(event, dry_run=dry_run)
        raise UnavailableError("the connection is lost")


async def test_cut_off_between_the_commit_and_the_acknowledgement_it_comes_again_and_is_known(
    queue: Queue, reception: Counting, store: Store
) -> None:
    await queue.publish(b'{"text": "without a key of its own"}')
    with pytest.raises(UnavailableError):
        await queue.door().run(Broken(runs=store.runs, agent="a", lane="a@1"), asyncio.Event())
    await holding(queue, 1)

    await take(queue, reception, 1)

    assert len(await store.runs.list()) == 1


async def test_a_mail_that_takes_long_to_read_holds_up_nothing_else(
    queue: Queue, reception: Counting, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading waits for something that only the event loop can do."""
    loop, done = asyncio.get_running_loop(), threading.Event()

    def read_long(raw: bytes, rules: Any) -> Any:
        loop.call_soon_threadsafe(done.set)
        assert done.wait(10)
        return read_mail(raw, rules)

    monkeypatch.setattr(queued, "read_mail", read_long)
    await queue.publish(MAIL, "message/rfc822")
    await take(queue, reception, 1)

    assert [row["event_key"] for row in await store.runs.list()] == ["mail:support:<1@x.example>"]


def read(body: bytes, message_id: str) -> Event:
    found = queued.MessageReader(queue="q", settings=SETTINGS).read(body, message_id=message_id)
    assert isinstance(found, Event)
    return found


@pytest.mark.parametrize("length", [64, 199, 254])
def test_two_ids_that_differ_at_their_end_are_two_events(length: int) -> None:
    one, other = (read(b'{"text": "one"}', "i" * length + end) for end in "ab")
    assert one.key != other.key


def test_two_messages_under_one_id_differ_by_their_digest_and_a_redelivery_does_not() -> None:
    one, again, other = (read(b'{"text": "%b"}' % text, "1") for text in (b"one", b"one", b"two"))
    assert one == again
    assert (one.key, one.digest) != (other.key, other.digest)


def test_under_a_key_of_its_own_a_message_that_is_published_again_is_the_same() -> None:
    one, again = (read(said("k1", text), "1") for text in ("it broke", "it broke!"))
    assert (one.key, one.digest) == (again.key, again.digest)


@dataclass
class Relay:
    """A way to a broker that can be cut, as a firewall or a failover does."""

    spec: str
    ends: list[asyncio.StreamWriter] = field(default_factory=list)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = RABBIT.rpartition("@")[2].partition("/")[0].partition(":")
        there, back = await asyncio.open_connection(address[0], int(address[2] or 5672))
        self.ends += [writer, back]
        await asyncio.gather(self.pass_on(reader, back), self.pass_on(there, writer))

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    def cut(self) -> None:
        while self.ends:
            self.ends.pop().close()


@contextlib.asynccontextmanager
async def relayed(queue: Queue) -> AsyncIterator[Relay]:
    relay = Relay("")
    async with await asyncio.start_server(relay.meet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        relay.spec = f"amqp://guest@127.0.0.1:{port}/?{queue.spec.partition('?')[2]}"
        yield relay
        relay.cut()


async def test_a_connection_that_breaks_is_said_and_made_anew(
    reception: Counting, store: Store
) -> None:
    queue = await rabbit_queue()
    async with relayed(queue) as relay:
        door = open_door(relay.spec, SETTINGS)
        listening = Listening(reception=reception, doors=[door], first=0.05, longest=0.2)
        running = asyncio.create_task(listening.run())
        await queue.publish(said("k1"))
        await reception.after(1)
        relay.cut()
        await queue.publish(said("k2"))
        async with asyncio.timeout(20):
            while len(await store.runs.list()) < 2:
                assert not running.done()
                await asyncio.sleep(0.05)
        listening.stop()
        await asyncio.wait_for(running, 20)

    assert "closed" in (listening.health[0].trouble or "")
    await holding(queue, 0)
    await queue.close()


@dataclass(frozen=True, kw_only=True)
class Cutting(Counting):
    """A reception that loses the way to the broker after the commit."""

    relay: Relay

    async def admit(self, event: Any, *, dry_run: bool = False) -> Any:
        admitted = await super().admit(event, dry_run=dry_run)
        self.relay.cut()
        await asyncio.sleep(0.2)  # until the client has heard of it
        return admitted


async def test_what_is_in_hand_when_the_connection_breaks_comes_again_and_is_known(
    reception: Counting, store: Store
) -> None:
    queue = await rabbit_queue()
    for number in range(3):  # some of them sent ahead
        await queue.publish(said(f"k{number}"))
    async with relayed(queue) as relay:
        cutting = Cutting(runs=store.runs, agent="a", lane="a@1", relay=relay)
        with pytest.raises(UnavailableError):
            await open_door(relay.spec, SETTINGS).run(cutting, asyncio.Event())
    await holding(queue, 3)

    await take(queue, reception, 3)

    assert len(await store.runs.list()) == 3
    await queue.close()


async def test_a_queue_that_is_deleted_is_said(reception: Counting) -> None:
    """A broker closes nothing then: it says that no message will come any more."""
    queue = await rabbit_queue()
    await queue.publish(said("k1"))
    running = asyncio.create_task(queue.door().run(reception, asyncio.Event()))
    await reception.after(1)
    await queue.close()
    with pytest.raises(UnavailableError, match="deleted"):
        await asyncio.wait_for(running, 20)


def test_a_host_by_its_number_keeps_its_brackets() -> None:
    door = open_door("amqp://ann@[::1]:5673/v?queue=q", SETTINGS)
    assert door.name == "amqp://[::1]:5673/v?queue=q"


async def test_what_a_dead_process_had_taken_from_a_stream_is_taken_over(
    reception: Counting, store: Store
) -> None:
    queue = await redis_queue()
    dead = queue.door()
    assert isinstance(dead, RedisDoor)
    await queue.publish(said("k1"))
    client = redis.Redis.from_url(REDIS)
    await client.xgroup_create(dead.stream, dead.group, id="0")
    await client.xreadgroup(dead.group, "a dead one", {dead.stream: ">"})
    heir = queue.door()
    assert isinstance(heir, RedisDoor)
    heir.stale = 10

    async with opened(heir, reception):
        await reception.after(1)

    await holding(queue, 0)

    assert len(await store.runs.list()) == 1
    await client.aclose()
    await queue.close()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("amqp://guest:secret@127.0.0.1/?queue=q", "FAILSOFT_QUEUE_PASSWORD"),
        ("amqp://127.0.0.1/", "queue="),
        ("redis://:secret@127.0.0.1/0?stream=s", "FAILSOFT_QUEUE_PASSWORD"),
        ("redis://127.0.0.1:x/0?stream=s", "no URL"),
        ("sqs:ftp://x/y", "https"),
    ],
)
def test_a_spec_that_cannot_work_is_refused_and_no_password_is_quoted(spec: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_door(spec, SETTINGS)
    assert "secret" not in str(caught.value)


async def test_a_password_may_hold_what_means_something_in_an_address(reception: Counting) -> None:
    """A broker that hears all of it refuses the login; a cut one would lead elsewhere."""
    queue = await rabbit_queue()
    settings = Settings(profile="sandbox", queue_password=SecretStr("a@b/c#d?e%f"))
    with pytest.raises(ConfigurationError, match="AuthenticationError"):
        await open_door(queue.spec, settings).run(reception, asyncio.Event())
    await queue.close()


async def test_the_virtual_host_may_be_named(reception: Counting, store: Store) -> None:
    queue = await rabbit_queue()
    await queue.publish(said("k1"))
    queue.spec = queue.spec.replace("/?", "/%2F?")

    await take(queue, reception, 1)

    assert len(await store.runs.list()) == 1
    await queue.close()


@pytest.mark.parametrize("spec", ["amqp://127.0.0.1:1/?queue=q", "redis://127.0.0.1:1/0?stream=s"])
async def test_a_broker_that_is_away_is_tried_again_later(spec: str, reception: Reception) -> None:
    with pytest.raises(UnavailableError):
        await open_door(spec, SETTINGS).run(reception, asyncio.Event())


async def test_a_queue_that_does_not_exist_is_said_at_once(reception: Reception) -> None:
    queue = await rabbit_queue()
    missing = open_door(f"{RABBIT}?queue=nobody-made-this", SETTINGS)
    with pytest.raises(ConfigurationError):
        await missing.run(reception, asyncio.Event())
    await queue.close()
