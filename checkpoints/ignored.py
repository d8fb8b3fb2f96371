"""What came in and started nothing, with its reason: nothing is dropped silently."""

from dataclasses import dataclass
from uuid import UUID

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load

SQL = load("ignored")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One inbound thing; `run_id` is the run that it joined, if any."""

    event_key: str
    reason: str
    run_id: UUID | None


async def listed(database: Database, agent: str) -> list[Listed]:
    """Return everything that started nothing, the oldest first."""
    return [Listed(**row) for row in await database.all(SQL["list"], agent=agent)]
