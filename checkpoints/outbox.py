"""Messages that leave after the transaction that wrote them: at least once, with a key."""

from dataclasses import dataclass

from psycopg.types.json import Jsonb

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.parsing import JSONObject, clean_json, clean_text

SQL = load("outbox")


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message for one channel; the receiver tells repeats by `idempotency_key`."""

    outbox_id: int
    idempotency_key: str
    channel: str
    body: JSONObject
    attempts: int  # this one included


class Outbox:
    """The messages of all runs, in Postgres.

    What is written about a message that somebody else has taken since changes nothing.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def post(self, channel: str, body: JSONObject, idempotency_key: str) -> None:
        """Leave a message, unless one with the same key is known."""
        await self.database.all(
            SQL["post"], channel=channel, body=Jsonb(clean_json(body)),
            idempotency_key=idempotency_key,
        )  # fmt: skip

    async def take(self, limit: int, lease_seconds: float) -> list[Message]:
        """Take what is due; what is not marked within `lease_seconds` is due again."""
        rows = await self.database.all(SQL["take"], limit=limit, lease=lease_seconds)
        return [Message(**row) for row in rows]

    async def done(self, message: Message, place: JSONObject | None = None) -> None:
        """Mark a message as delivered; `place` is what a later change of it needs."""
        await self._mark("done", message, response=Jsonb(place) if place else None)

    async def failed(self, message: Message, reason: str, retry_in: float) -> None:
        """Keep why it was not delivered; it is due again in `retry_in` seconds."""
        await self._mark("failed", message, reason=clean_text(reason), retry_in=retry_in)

    async def give_up(self, message: Message, reason: str) -> None:
        """Keep why it will never be delivered."""
        await self._mark("give_up", message, reason=clean_text(reason))

    async def place(self, outbox_id: int) -> tuple[bool, JSONObject]:
        """Return whether a message is still under way, and the place where it was delivered."""
        row = await self.database.one(SQL["place"], outbox_id=outbox_id)
        return (bool(row["under_way"]), row["response"] or {}) if row else (False, {})

    async def known_place(self, channel: str) -> JSONObject:
        """Return the place of the newest message that was delivered to `channel`, if any."""
        row = await self.database.one(SQL["known_place"], channel=channel)
        return row["response"] if row else {}

    async def pending(self) -> int:
        """Return how many messages are neither delivered nor given up."""
        rows = await self.database.all(SQL["pending"])
        return int(rows[0]["pending"])

    async def _mark(self, verb: str, message: Message, **values: object) -> None:
        await self.database.all(
            SQL[verb], outbox_id=message.outbox_id, attempts=message.attempts, **values
        )
