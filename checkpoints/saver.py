"""LangGraph's checkpoints, written only under the lease of their run."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.errors import LeaseLostError

SQL = load("saver")
EPOCH = "__failsoft_epoch"  # LangGraph keeps configurable keys that begin with __ out of metadata


@dataclass(frozen=True, kw_only=True, slots=True)
class Fence:
    """What a write must find true in `runs`, in its own transaction."""

    statement: LiteralString
    run_id: UUID
    epoch: int


class FencedSaver(AsyncPostgresSaver):
    """LangGraph's saver on our pool: strict on reading, and no write without the run's lease.

    The driver passes `Lease.epoch` as `config["configurable"][EPOCH]`; a write without it is
    refused. Other than the stock saver it locks nothing, so that a pool works in parallel.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database.pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self.database = database
        self._fence: ContextVar[Fence | None] = ContextVar("failsoft_fence", default=None)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint; the end of a step is progress and forgets the run's crashes.

        Raises:
            LeaseLostError: somebody else drives the run now; nothing was written.
        """
        # Steps -1 and 0 store the input, before any node has run: they prove nothing about them.
        ended = metadata.get("step", 0) > 0
        with self._fenced(SQL["fence_progress"] if ended else SQL["fence"], config):
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Save what a task returned.

        Raises:
            LeaseLostError: somebody else drives the run now; nothing was written.
        """
        with self._fenced(SQL["fence"], config):
            await super().aput_writes(config, writes, task_id, task_path)

    @contextmanager
    def _fenced(self, statement: LiteralString, config: RunnableConfig) -> Iterator[None]:
        token = self._fence.set(_fence(statement, config))
        try:
            yield
        finally:
            self._fence.reset(token)

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """Give a cursor on a connection of its own; the writes of a fence are one transaction."""
        fence = self._fence.get()
        async with self.database.connection() as connection:
            if fence is not None:
                async with _transaction(connection, fence) as cursor:
                    yield cursor
            elif pipeline:
                async with connection.transaction(), _plain(connection) as cursor:
                    yield cursor
            else:
                async with _plain(connection) as cursor:
                    yield cursor


@asynccontextmanager
async def _transaction(
    connection: AsyncConnection[DictRow], fence: Fence
) -> AsyncIterator[AsyncCursor[DictRow]]:
    """Send fence and writes in one go, and commit them only if the fence found the lease."""
    values = {"run_id": fence.run_id, "epoch": fence.epoch}
    async with connection.pipeline(), connection.transaction():
        held = await connection.execute(fence.statement, values)
        async with _plain(connection) as cursor:
            yield cursor
        if await held.fetchone() is None:
            raise LeaseLostError(f"Run {fence.run_id} is no longer ours: a checkpoint was refused.")


def _plain(connection: AsyncConnection[DictRow]) -> AsyncCursor[DictRow]:
    return connection.cursor(binary=True, row_factory=dict_row)


def _fence(statement: LiteralString, config: RunnableConfig) -> Fence:
    configurable = config.get("configurable", {})
    thread, epoch = configurable.get("thread_id"), configurable.get(EPOCH)
    try:
        run_id = UUID(str(thread))
    except ValueError:
        raise LeaseLostError(f"Thread {thread!r} is no run of failsoft.") from None
    if not isinstance(epoch, int):
        raise LeaseLostError(f"Run {run_id} is driven without a lease: a checkpoint was refused.")
    return Fence(statement=statement, run_id=run_id, epoch=epoch)
