"""The processes that drive runs: one heartbeat row each, which is the lease of all their runs."""

from uuid import UUID, uuid4

from psycopg.rows import DictRow

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load

SQL = load("workers")


class Workers:
    """Who is alive. Leases are in seconds, and all times are the server's."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def register(self, name: str, lease: float) -> UUID:
        """Enter a process under a new id; `name` (host and pid) is for people."""
        worker_id = uuid4()
        await self.database.all(SQL["register"], worker=worker_id, name=name, lease=lease)
        return worker_id

    async def heartbeat(self, worker_id: UUID, lease: float) -> bool:
        """Renew the lease. False: declared gone, so cancel every run and register anew."""
        row = await self.database.one(SQL["heartbeat"], worker=worker_id, lease=lease)
        return row is not None

    async def leave(self, worker_id: UUID) -> bool:
        """Go at a clean exit. False: it holds a run, which the sweeper will take back."""
        return await self.database.one(SQL["leave"], worker=worker_id) is not None

    async def sweep(self) -> list[UUID]:
        """Declare workers gone whose lease has ended; this is final.

        Only a worker whose own heartbeat has had no gap for one lease may call this: after an
        outage of the database everybody looks gone.
        """
        return [row["worker_id"] for row in await self.database.all(SQL["sweep"])]

    async def live(self) -> list[DictRow]:
        return await self.database.all(SQL["live"])
