"""A Redis stream as a door: an entry is acknowledged when what it holds is on disk."""

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from failsoft.errors import ConfigurationError, MissingExtraError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.queued import MessageReader, address_of
from failsoft.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH = 16  # entries
BLOCK = 1000  # milliseconds that a reading waits; also how soon a stop is heard
STALE = 60_000  # milliseconds after which an entry that somebody else took is taken over
FIELDS = (b"event", b"body", b"data")  # where an entry may hold its message

Entry = tuple[bytes, dict[bytes, bytes] | None]


class RedisDoor(Door):
    """A consumer group of a stream. What a dead process had taken is taken over after a minute."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        url: str,
        stream: str,
        group: str,
        stale: int = STALE,
    ) -> None:
        self.name = name
        self.stream = stream
        self.group = group
        self.stale = stale
        self.consumer = f"{socket.gethostname()}:{os.getpid()}"
        self._url = url
        self._settings = settings
        self._reader = MessageReader(queue=stream, settings=settings)

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Read `redis(s)://USER@HOST:PORT/DB?stream=NAME[&group=NAME]`; the group is made.

        Raises:
            ConfigurationError: it is not of this form.
        """
        parts, options = address_of(spec, ("stream",))
        stream, group = options["stream"], options.get("group", "failsoft")
        name = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}?stream={stream}"
        return cls(
            name, settings, url=parts._replace(query="").geturl(), stream=stream, group=group
        )

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        try:
            import redis.asyncio as redis  # noqa: PLC0415  # comes with an extra
            from redis import exceptions  # noqa: PLC0415
        except ModuleNotFoundError:
            raise MissingExtraError("redis", "The Redis door") from None
        secret, timing = self._settings.queue_password, self._settings.timing
        client = redis.Redis.from_url(
            self._url,
            password=secret.get_secret_value() if secret else None,
            socket_connect_timeout=timing.connect,
            socket_timeout=timing.connect + BLOCK / 1000,
        )
        try:
            await self._join(client)
            while not stopping.is_set():
                await self._take_over(client, reception)
                await self._read(client, reception, stopping)
        except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
            raise ConfigurationError(f"{self.name}: {type(error).__name__}") from None
        except (exceptions.RedisError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from None
        finally:
            await client.aclose()

    async def _join(self, client: "Redis") -> None:
        """Make the group, from the stream's beginning: what came before us counts too."""
        from redis import exceptions  # noqa: PLC0415

        try:
            await client.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except exceptions.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise ConfigurationError(f"{self.name}: {self.stream} is no stream") from None

    async def _take_over(self, client: "Redis", reception: Reception) -> None:
        """Take what was read and never acknowledged: by a dead process, or by us before trouble."""
        start: Any = b"0-0"
        while True:
            start, entries, *_ = await client.xautoclaim(
                self.stream, self.group, self.consumer, self.stale, start, count=BATCH
            )
            for entry in entries:
                await self._take(client, entry, reception)
            if start == b"0-0":
                return

    async def _read(self, client: "Redis", reception: Reception, stopping: asyncio.Event) -> None:
        # Our own from before (">" would pass over them), then what is new.
        for start, block in (("0", None), (">", BLOCK)):
            streams: Any = await client.xreadgroup(  # the library says less than it answers
                self.group, self.consumer, {self.stream: start}, count=BATCH, block=block
            )
            for entry in (entry for _, entries in streams or [] for entry in entries):
                if stopping.is_set():
                    return
                await self._take(client, entry, reception)

    async def _take(self, client: "Redis", entry: Entry, reception: Reception) -> None:
        entry_id, fields = entry
        if fields:  # None: it was deleted from the stream meanwhile
            body = next((fields[name] for name in FIELDS if name in fields), b"")
            found = await asyncio.to_thread(
                self._reader.read,
                body,
                message_id=entry_id.decode(),
                content_type=fields.get(b"content-type", b"").decode(errors="replace"),
            )
            await reception.admit(found)
        await client.xack(self.stream, self.group, entry_id)
