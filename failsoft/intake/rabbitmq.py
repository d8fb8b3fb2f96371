"""RabbitMQ as a door: a message is acknowledged when what it holds is on disk."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from typing_extensions import override

from failsoft.errors import ConfigurationError, MissingExtraError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.queued import MessageReader, address_of
from failsoft.settings import Settings

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueueIterator

PREFETCH = 32  # messages that RabbitMQ sends ahead
CLOSING = 5.0  # seconds that the connection may take to close


class RabbitDoor(Door):
    """A queue that exists already; failsoft declares nothing on somebody else's broker."""

    def __init__(
        self, name: str, url: str, queue: str, reader: MessageReader, *, timeout: float
    ) -> None:
        self.name = name
        self._url = url
        self._queue = queue
        self._reader = reader
        self._timeout = timeout

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Read `amqp(s)://USER@HOST:PORT/VHOST?queue=NAME`.

        Raises:
            ConfigurationError: it is not of this form.
        """
        parts, options = address_of(spec, ("queue",))
        queue = options["queue"]
        place = parts.netloc.rpartition("@")[2]  # as it was written: IPv6 needs its brackets
        secret = settings.queue_password
        password = quote(secret.get_secret_value() if secret else "guest", safe="")
        url = parts._replace(
            netloc=f"{parts.username or 'guest'}:{password}@{place}", query=""
        ).geturl()
        reader = MessageReader(queue=queue, settings=settings)
        name = f"{parts.scheme}://{place}{parts.path}?queue={queue}"
        return cls(name, url, queue, reader, timeout=settings.timing.connect)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        try:
            import aio_pika  # noqa: PLC0415  # comes with an extra
        except ModuleNotFoundError:
            raise MissingExtraError("rabbitmq", "The RabbitMQ door") from None
        exceptions = aio_pika.exceptions
        try:
            connection = await aio_pika.connect(self._url, timeout=self._timeout)
            try:
                channel = await connection.channel()
                await channel.set_qos(prefetch_count=PREFETCH)
                await self._consume(channel, reception, stopping)
            finally:
                with contextlib.suppress(TimeoutError, exceptions.AMQPError):
                    await asyncio.wait_for(connection.close(), CLOSING)
        except (exceptions.ChannelNotFoundEntity, exceptions.AuthenticationError) as error:
            raise ConfigurationError(f"{self.name}: {type(error).__name__}") from None
        except exceptions.ProbableAuthenticationError as error:
            raise ConfigurationError(f"{self.name}: {type(error).__name__}") from None
        except (
            exceptions.AMQPError, exceptions.ChannelInvalidStateError, TimeoutError, OSError
        ) as error:  # fmt: skip
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from None

    async def _consume(
        self, channel: "AbstractChannel", reception: Reception, stopping: asyncio.Event
    ) -> None:
        queue = await channel.get_queue(self._queue, ensure=True)
        deleted = asyncio.Event()  # the iterator says nothing of that: it would wait for ever
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: deleted.set())
        told = [asyncio.ensure_future(event.wait()) for event in (stopping, deleted)]
        try:
            async with queue.iterator() as messages:
                while not stopping.is_set():
                    message = await _next(messages, told)
                    if message is None:
                        break
                    await self._take(message, reception)
        except StopAsyncIteration:
            raise UnavailableError(f"{self.name}: the channel was closed") from None
        finally:
            for each in told:
                each.cancel()
        if not stopping.is_set():
            raise UnavailableError(f"{self.name}: the queue was deleted, or its node went away")

    async def _take(self, message: "AbstractIncomingMessage", reception: Reception) -> None:
        """Bring one message in; without an acknowledgement RabbitMQ sends it again."""
        kind = message.content_type or ""
        try:
            found = await asyncio.to_thread(
                self._reader.read, message.body, message_id=message.message_id, content_type=kind
            )
            await reception.admit(found)
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be what broke
                await message.nack(requeue=True)
            raise
        await message.ack()


async def _next(
    messages: "AbstractQueueIterator", told: Sequence["asyncio.Future[Any]"]
) -> "AbstractIncomingMessage | None":
    """Return the next message, None when one of `told` comes first.

    Raises:
        StopAsyncIteration: the channel was closed, so that none will come.
    """
    coming = asyncio.ensure_future(anext(messages))
    try:
        await asyncio.wait([coming, *told], return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming
