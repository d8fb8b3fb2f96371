"""What people see of runs and decide about them: find, list, cancel, retry, discard, move."""

from collections.abc import Sequence
from uuid import UUID

from psycopg.rows import DictRow

from failsoft.checkpoints.audit import body
from failsoft.checkpoints.claims import RunState
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.errors import NotFoundError, UsageError

SQL = load("runs")
SHORTEST_PREFIX = 6  # characters of a run id


class RunDesk:
    """The part of `Runs` that needs no lease.

    What takes the id of a run raises NotFoundError when there is no such run.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def cancel(self, run_id: UUID) -> RunState:
        """Cancel at once, or ask whoever drives it to; return the state that the run has now."""
        async with self.database.transaction() as connection:
            cursor = await connection.execute(SQL["lock"], {"run_id": run_id})
            if (locked := await cursor.fetchone()) is None:
                raise NotFoundError(f"There is no run {run_id}.")
            asked, cancelled = body("run.cancel_asked", run_id), body("run.cancelled", run_id)
            values = {"run_id": run_id, "asked": asked, "cancelled": cancelled}
            cursor = await connection.execute(SQL["cancel"], values)
            return RunState((await cursor.fetchone() or locked)["state"])

    async def retry_dead(self, run_id: UUID, *, lane: str | None = None) -> None:
        """Let a dead run go on where it stood, in `lane` if given. Raises UsageError: not dead."""
        audit = body("run.retried", run_id, lane=lane)
        await self._dead("retry_dead", run_id, lane=lane, body=audit)

    async def discard_dead(self, run_id: UUID, by: str) -> None:
        """Give a dead run up; `by` says who did. Raises UsageError: not dead."""
        audit = body("run.discarded", run_id)
        await self._dead("discard_dead", run_id, reason=f"discarded by {by}", body=audit)

    async def get(self, run_id: UUID) -> DictRow:
        """Return the row of a run, `cancel_asked` and all."""
        row = await self.database.one(SQL["get"], run_id=run_id)
        if row is None:
            raise NotFoundError(f"There is no run {run_id}.")
        return row

    async def find(self, text: str) -> DictRow:
        """Return the run of that id, id prefix (6 characters or more) or event key.

        Raises:
            NotFoundError: no run fits.
            UsageError: several do.
        """
        low, high = _span(text)
        rows = await self.database.all(SQL["find"], low=low, high=high, key=text)
        if not rows:
            raise NotFoundError(f"No run has the id, the id prefix or the event key {text!r}.")
        if len(rows) > 1:
            ids = ", ".join(str(row["run_id"]) for row in rows)
            raise UsageError(f"{text!r} fits several runs: {ids}.")
        return rows[0]

    async def stranded(self, lanes: Sequence[str], agents: Sequence[str]) -> Sequence[DictRow]:
        """Return `lane` and number of `runs` of these agents that wait outside `lanes`.

        They wait for a version of a graph that nobody with only `lanes` has.
        """
        return await self.database.all(SQL["stranded"], lanes=list(lanes), agents=list(agents))

    async def move(self, agent: str, to_lane: str) -> int:
        """Let whatever of an agent waits or is dead go on in that lane; return how many moved."""
        row = await self.database.one(SQL["move"], agent=agent, lane=to_lane)
        return 0 if row is None else int(row["runs"])

    async def attempts(self, run_no: int) -> Sequence[DictRow]:
        """Return `trace_id`, `epoch` and `started_at` of each attempt, the oldest first."""
        return await self.database.all(SQL["attempts"], run_no=run_no)

    async def list(
        self, *, state: RunState | None = None, agent: str | None = None, limit: int = 50
    ) -> Sequence[DictRow]:
        """Return runs without their events, the newest first."""
        return await self.database.all(SQL["list"], state=state, agent=agent, limit=limit)

    async def counts(self) -> dict[str, int]:
        """Return how many runs are in each state."""
        rows = await self.database.all(SQL["counts"])
        return dict.fromkeys(map(str, RunState), 0) | {row["state"]: row["runs"] for row in rows}

    async def _dead(self, name: str, run_id: UUID, **values: object) -> None:
        if await self.database.one(SQL[name], run_id=run_id, **values) is None:
            state = (await self.get(run_id))["state"]
            raise UsageError(f"Run {run_id} is {state}, not dead.")


def _span(prefix: str) -> tuple[UUID, UUID]:
    """Return the first and the last id that begin with `prefix`; an empty span if none can."""
    digits = prefix.replace("-", "").lower()
    if len(prefix) < SHORTEST_PREFIX or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        return UUID(int=1), UUID(int=0)
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
