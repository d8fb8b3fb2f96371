"""A network that swallows everything, and what else counts as a database that is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from failsoft.checkpoints.database import Database
from failsoft.errors import DatabaseUnavailableError

LEASE = 1.6  # seconds
PID = "SELECT pg_backend_pid() AS pid"


@dataclass
class Wire:
    """A proxy in front of Postgres; frozen, it keeps its connections and forwards nothing."""

    upstream: str
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self.upstream)
        try:
            await asyncio.gather(self.pump(reader, up_writer), self.pump(up_reader, writer))
        finally:
            for each in (writer, up_writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.thawed.wait()
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def wire_to(dsn: str) -> AsyncIterator[Wire]:
    parts = conninfo_to_dict(dsn)
    wire = Wire(upstream=f"{parts['host']}/.s.PGSQL.{parts.get('port') or 5432}")
    wire.thawed.set()
    serving: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(wire.serve(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1")
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.thawed.set()
        # The clients are closed by now, so that each pump comes to its end.
        await asyncio.wait_for(asyncio.gather(*serving, return_exceptions=True), 10)


@pytest.fixture
async def wire(dsn: str) -> AsyncIterator[Wire]:
    if not str(conninfo_to_dict(dsn).get("host", "")).startswith("/"):
        pytest.skip("the proxy stands in front of the embedded server's socket")
    async with wire_to(dsn) as opened:
        yield opened


@pytest.fixture
async def remote(wire: Wire, dsn: str) -> AsyncIterator[Database]:
    address = make_conninfo(dsn, host="127.0.0.1", port=wire.port)
    async with Database(address, lease=LEASE, size=1) as opened:
        yield opened
        wire.thawed.set()


async def use_all(database: Database) -> None:
    await database.all("SELECT 1")


async def use_a_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("SELECT 1")


async def freeze_in_use(database: Database, wire: Wire) -> None:
    async with database.connection() as connection:  # checked by now: the statement hangs
        wire.thawed.clear()
        await connection.execute("SELECT 1")


@pytest.mark.parametrize("use", [use_all, use_a_transaction])
async def test_a_frozen_network_gives_the_caller_an_error_within_the_lease(
    remote: Database, wire: Wire, use: Callable[[Database], Awaitable[None]]
) -> None:
    wire.thawed.clear()
    before = time.monotonic()

    with pytest.raises(DatabaseUnavailableError):
        await use(remote)

    assert time.monotonic() - before < LEASE


async def test_a_swallowed_answer_is_waited_for_no_longer_than_the_lease_which_is_said(
    remote: Database, wire: Wire
) -> None:
    before = time.monotonic()

    with pytest.raises(DatabaseUnavailableError, match=r"no answer within 1\.6 s"):
        await freeze_in_use(remote, wire)

    assert LEASE / 2 < time.monotonic() - before < 1.2 * LEASE


async def test_a_connection_that_gave_no_answer_is_never_used_again(
    remote: Database, wire: Wire
) -> None:
    [first] = await remote.all(PID)
    with pytest.raises(DatabaseUnavailableError):
        await freeze_in_use(remote, wire)
    wire.thawed.set()

    [second] = await remote.all(PID)

    assert first != second


async def test_the_kernel_is_told_to_notice_a_dead_peer_unless_the_dsn_says_how(dsn: str) -> None:
    usual = conninfo_to_dict(Database(dsn, lease=20).address.conninfo)
    own = make_conninfo(dsn, keepalives_idle=77, tcp_user_timeout=0)
    given = conninfo_to_dict(Database(own, lease=20).address.conninfo)

    assert (usual["keepalives"], usual["keepalives_idle"]) == ("1", "5")
    assert (usual["tcp_user_timeout"], given["keepalives_count"]) == ("10000", "2")
    assert (given["keepalives_idle"], given["tcp_user_timeout"]) == ("77", "0")


def raising(state: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"


AWAY = {
    "connection failure": raising("08006"),
    "disk full": raising("53100"),
    "too many connections": raising("53300"),
    "statement time-out": "SELECT pg_sleep(60)",
    "shutdown": "SELECT pg_terminate_backend(pg_backend_pid())",
    "cannot connect now": raising("57P03"),
    "lock time-out": raising("55P03"),
    "deadlock": raising("40P01"),
    "read-only after a fail-over": "WITH me AS (SELECT set_config('transaction_read_only', 'on',"
    " true)) SELECT * FROM me; INSERT INTO ignored VALUES ('a', 'k', 'r')",
}
WRONG = {
    "syntax": ("SELEKT 1", psycopg.errors.SyntaxError),
    "no such table": ("SELECT * FROM nowhere", psycopg.errors.UndefinedTable),
    "division by zero": ("SELECT 1 / 0", psycopg.errors.DivisionByZero),
    "no number": ("SELECT 'ab'::int", psycopg.errors.InvalidTextRepresentation),
    "twice": (
        "INSERT INTO ignored VALUES ('a', 'k', 'r'), ('a', 'k', 'r')",
        psycopg.errors.UniqueViolation,
    ),
    "broken check": (
        "INSERT INTO parks(run_no, interrupt_id, kind) VALUES (1, 'i', 'timer')",
        psycopg.errors.CheckViolation,
    ),
    "program limit": (raising("54000"), psycopg.errors.ProgramLimitExceeded),
    "not allowed": (raising("42501"), psycopg.errors.InsufficientPrivilege),
    "object in the wrong state": (raising("55000"), psycopg.errors.ObjectNotInPrerequisiteState),
    "internal": (raising("XX000"), psycopg.errors.InternalError_),
}


@pytest.mark.parametrize("statement", AWAY.values(), ids=AWAY)
async def test_what_says_nothing_against_the_statement_is_a_database_that_is_away(
    dsn: str, statement: str
) -> None:
    async with Database(dsn, lease=LEASE, size=1) as database:
        with pytest.raises(DatabaseUnavailableError):
            await database.all(statement)


@pytest.mark.parametrize(("statement", "error"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_with_a_statement_or_its_values_is_said_as_it_is(
    database: Database, statement: str, error: type[psycopg.Error]
) -> None:
    with pytest.raises(error):
        await database.all(statement)
