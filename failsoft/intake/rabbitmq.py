"""RabbitMQ as a door: a message is acknowledged when what it holds is on disk."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from failsoft.errors import ConfigurationError, MissingExtraError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.queued import MessageReader, address_of
from failsoft.settings import Settings

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

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
        queue, place = options["queue"], f"{parts.hostname}:{parts.port or 5672}{parts.path}"
        secret = settings.queue_password
        password = secret.get_secret_value() if secret else "guest"
        url = parts._replace(
            netloc=f"{parts.username or 'guest'}:{password}@{parts.hostname}:{parts.port or 5672}",
            query="",
        ).geturl()
        reader = MessageReader(queue=queue, settings=settings)
        name = f"{parts.scheme}://{place}?queue={queue}"
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
                queue = await channel.get_queue(self._queue, ensure=True)
                await self._consume(queue, reception, stopping)
            finally:
                with contextlib.suppress(TimeoutError, exceptions.AMQPError):
                    await asyncio.wait_for(connection.close(), CLOSING)
        except (exceptions.ChannelNotFoundEntity, exceptions.AuthenticationError) as error:
            raise ConfigurationError(f"{self.name}: {type(error).__name__}") from None
        except exceptions.ProbableAuthenticationError as error:
            raise ConfigurationError(f"{self.name}: {type(error).__name__}") from None
        except (exceptions.AMQPError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from None

    async def _consume(
        self, queue: "AbstractQueue", reception: Reception, stopping: asyncio.Event
    ) -> None:
        told = asyncio.ensure_future(stopping.wait())
        async with queue.iterator() as messages:
            try:
                while not stopping.is_set():
                    coming = asyncio.ensure_future(anext(messages))
                    await asyncio.wait([coming, told], return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        coming.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await coming
                        return
                    await self._take(coming.result(), reception)
            finally:
                told.cancel()

    async def _take(self, message: "AbstractIncomingMessage", reception: Reception) -> None:
        """Bring one message in; without an acknowledgement RabbitMQ sends it again."""
        found = self._reader.read(
            message.body, message_id=message.message_id, content_type=message.content_type or ""
        )
        try:
            await reception.admit(found)
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be what broke
                await message.nack(requeue=True)
            raise
        await message.ack()
