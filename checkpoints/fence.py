"""The fence of every durable write: only who holds the run's lease gets a row back."""

from typing import LiteralString

from psycopg.rows import DictRow

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.errors import LeaseLostError, RunCancelledError


async def fenced(
    database: Database, statement: LiteralString, lease: Lease, /, **values: object
) -> DictRow:
    """Run one statement that is fenced by the run's epoch, and return its row.

    Raises:
        LeaseLostError: nothing was written.
    """
    row = await database.one(statement, run_id=lease.run_id, epoch=lease.epoch, **values)
    if row is None:
        raise lost(lease)
    return row


def lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(
        f"Run {lease.run_id} is no longer ours at epoch {lease.epoch}: nothing was written."
    )


def cancelled(lease: Lease) -> RunCancelledError:
    return RunCancelledError(f"Run {lease.run_id} was cancelled: nothing more is begun.")
