"""The schema: numbered files, then the tables of LangGraph's saver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from failsoft.checkpoints.dsn import CONNECT_SECONDS, Address
from failsoft.checkpoints.queries import load

SQL = load("migrate")
MIGRATIONS = files("failsoft.checkpoints").joinpath("migrations")
LOCK = int.from_bytes(b"failsoft")
POLL_SECONDS = 0.05
SAVER = "langgraph-checkpoint-postgres"


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return its names; any number of callers may do so at once.

    Raises:
        DatabaseUnavailableError: nobody answers at `dsn`.
    """
    async with _connection(dsn) as connection:
        await _lock(connection)
        await connection.execute(SQL["create_list"])
        missing = await _missing(connection)
        for name in missing:
            await _apply(connection, name)
        return missing


async def pending(dsn: str) -> list[str]:
    """Return the names of the migrations that the database at `dsn` lacks."""
    async with _connection(dsn) as connection:
        return await _missing(connection)


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[AsyncConnection[DictRow]]:
    """Give a connection without the pool's time limits: an index may take long to build."""
    address = Address.read(dsn)
    with address.border():
        connection = await AsyncConnection.connect(
            address.conninfo,
            autocommit=True,  # CREATE INDEX CONCURRENTLY refuses a transaction
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            application_name="failsoft migrate",
        )
        async with connection:
            yield connection


async def _lock(connection: AsyncConnection[DictRow]) -> None:
    """Take the lock of this database, which the server gives back when the connection ends."""
    while True:
        cursor = await connection.execute(SQL["lock"], {"key": LOCK})
        row = await cursor.fetchone()
        if row is not None and row["mine"]:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _missing(connection: AsyncConnection[DictRow]) -> list[str]:
    cursor = await connection.execute(SQL["list_exists"])
    row = await cursor.fetchone()
    applied: set[str] = set()
    if row is not None and row["found"]:
        cursor = await connection.execute(SQL["applied"])
        applied = {row["name"] for row in await cursor.fetchall()}
    return [name for name in _names() if name not in applied]


def _names() -> list[str]:
    numbered = sorted(file.name for file in MIGRATIONS.iterdir() if file.name.endswith(".sql"))
    # The saver's own tables follow its version: a newer one may bring migrations of its own.
    return [*numbered, f"{SAVER} {version(SAVER)}"]


async def _apply(connection: AsyncConnection[DictRow], name: str) -> None:
    if name.startswith(SAVER):
        # Only here: asking what is pending should not wait for LangGraph's imports.
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415

        await AsyncPostgresSaver(connection).setup()
        await connection.execute(SQL["record"], {"name": name})
        return
    async with connection.transaction():
        await connection.execute(MIGRATIONS.joinpath(name).read_bytes())
        await connection.execute(SQL["record"], {"name": name})
