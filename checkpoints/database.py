"""The connections to Postgres: every statement is one durable step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import LiteralString, Self

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import ConnectionTimeout
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from failsoft.checkpoints.dsn import CONNECT_SECONDS, Address
from failsoft.checkpoints.migrate import migrate, pending
from failsoft.checkpoints.watch import Watch
from failsoft.errors import ConfigurationError
from failsoft.settings import Settings


class Database:
    """A pool of connections in autocommit, so that no frozen client leaves a transaction open.

    `lease` is in seconds: within it every use of a connection ends. The server sees to that, and
    where it cannot be heard the connection is cut.
    """

    def __init__(self, dsn: str, *, lease: float = 20.0, size: int = 10) -> None:
        self.address = Address.read(dsn, options=_limits(lease), defaults=_signs_of_life(lease))
        self.lease = lease
        self.pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            self.address.conninfo,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "prepare_threshold": 2,
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "failsoft",
            },
            check=self._check,
            min_size=min(2, size),
            max_size=size,
            timeout=lease / 2,
            open=False,
            name="failsoft",
        )

    async def open(self) -> None:
        """Connect.

        Raises:
            DatabaseUnavailableError: nobody answers; the sentence never shows a password.
        """
        with self.address.border():
            # A connection of its own first: the pool would only say "timeout", not why.
            conninfo = self.address.conninfo
            async with await AsyncConnection.connect(conninfo, connect_timeout=CONNECT_SECONDS):
                pass
            await self.pool.open(wait=True, timeout=CONNECT_SECONDS)

    async def close(self) -> None:
        await self.pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def all(self, statement: LiteralString, /, **values: object) -> list[DictRow]:
        """Run one statement, which commits by itself, and return its rows.

        Raises:
            DatabaseUnavailableError: no answer; the statement may have been committed all the same.
        """
        async with self.connection() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def one(self, statement: LiteralString, /, **values: object) -> DictRow | None:
        """Run one statement and return its first row."""
        rows = await self.all(statement, **values)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """Give a connection with an open transaction: for the few steps of several statements."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """Lend a connection; waiting for it and using it take one lease at most.

        Raises:
            DatabaseUnavailableError: no answer within that time, or none at all.
        """
        until = asyncio.get_running_loop().time() + self.lease
        with self.address.border():
            async with self.pool.connection() as connection:
                with Watch(connection, until - asyncio.get_running_loop().time()) as watch:
                    try:
                        yield connection
                    except OperationalError:
                        if not watch.cut:
                            raise
                        reason = f"no answer within {self.lease:g} s"
                        raise ConnectionTimeout(reason) from None

    async def _check(self, connection: AsyncConnection[DictRow]) -> None:
        with Watch(connection, self.lease / 4) as watch:
            await AsyncConnectionPool.check_connection(connection)
        if watch.cut:  # the answer came, but too late: it cannot be used any more
            raise ConnectionTimeout("the check of a pooled connection took too long")


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Database]:
    """Open the database that the settings name, else the embedded one, which is migrated.

    Raises:
        ConfigurationError: the database at FAILSOFT_DSN lacks migrations.
        DatabaseUnavailableError: nobody answers there.
    """
    if settings.dsn is not None:
        dsn = settings.dsn.get_secret_value()
        if missing := await pending(dsn):
            name, list_ = Address.read(dsn).name, ", ".join(missing)
            raise ConfigurationError(
                f"The database at {name} lacks {list_}: run `failsoft db migrate`."
            )
        async with _database(dsn, settings) as database:
            yield database
        return
    # Only here: whoever has a database of his own needs no embedded server.
    from failsoft.checkpoints.embedded import EmbeddedPostgres  # noqa: PLC0415

    _keep_out_of_git(settings.home)
    server = EmbeddedPostgres(settings.home / "pg")
    dsn = await asyncio.to_thread(server.start)
    try:
        await migrate(dsn)
        async with _database(dsn, settings) as database:
            yield database
    finally:
        await asyncio.to_thread(server.close)


def _database(dsn: str, settings: Settings) -> Database:
    return Database(dsn, lease=settings.timing.lease, size=settings.concurrency + 4)


def _keep_out_of_git(home: Path) -> None:
    """Messages of customers lie in here, and the folder often stands in somebody's repository."""
    note = home / ".gitignore"
    with suppress(OSError):  # a home that cannot be written is named by who needs it
        if not note.exists():
            home.mkdir(parents=True, exist_ok=True)
            note.write_text("*\n", encoding="utf-8")


def _limits(lease: float) -> str:
    """Return the server options that keep a frozen client's locks shorter than its lease."""
    half, most = int(lease * 500), int(lease * 750)
    return (
        f"-c idle_in_transaction_session_timeout={half}"
        f" -c statement_timeout={most} -c lock_timeout={half}"
    )


def _signs_of_life(lease: float) -> dict[str, int]:
    """Return libpq's options that make the kernel notice within half a lease that nobody answers.

    On a Unix socket they mean nothing.
    """
    return {
        "keepalives": 1,
        "keepalives_idle": max(1, int(lease / 4)),
        "keepalives_interval": max(1, int(lease / 8)),
        "keepalives_count": 2,
        "tcp_user_timeout": int(lease * 500),
    }
