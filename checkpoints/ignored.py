"""What came in and started nothing, with its reason: nothing is dropped silently."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import DictRow

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.errors import NotFoundError

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


async def latest(
    database: Database, *, agent: str | None = None, rejected: bool = False, limit: int = 50
) -> Sequence[DictRow]:
    """Return what started nothing, the newest first; `rejected`: only what could not be read.

    The rows have agent, event_key, reason, at, run_id, and `kept`: how many bytes are kept of it.
    """
    return await database.all(SQL["latest"], agent=agent, rejected=rejected, limit=limit)


async def found(database: Database, key: str, *, agent: str | None = None) -> Sequence[DictRow]:
    """Return what came under that key, the newest first, with the bytes as `raw`.

    One key may be there once for each agent and reason.

    Raises:
        NotFoundError: nothing came under it, or it started a run.
    """
    rows = await database.all(SQL["find"], key=key, agent=agent)
    if not rows:
        raise NotFoundError(f"Nothing is listed under the key {key!r}.")
    return rows
