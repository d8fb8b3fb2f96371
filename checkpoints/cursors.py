"""How far a door has read: stored after what it read is durable, so that nothing falls between."""

from dataclasses import dataclass

from psycopg.types.json import Jsonb

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.parsing import JSONObject, clean_json

SQL = load("cursors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """The cursor of one door of one agent.

    `door` names the kind and what it reads from (`imap:support@mail.example/INBOX`), never a
    secret. Two processes may have the same door: both read, and the table of runs tells repeats.
    """

    database: Database
    agent: str
    door: str

    async def read(self) -> JSONObject:
        """Return what was stored last, {} for a door that never read."""
        row = await self.database.one(SQL["read"], agent=self.agent, door=self.door)
        return row["value"] if row else {}

    async def store(self, value: JSONObject) -> None:
        """Remember `value` from now on."""
        stored = Jsonb(clean_json(value))
        await self.database.all(SQL["store"], agent=self.agent, door=self.door, value=stored)
