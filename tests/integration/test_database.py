import asyncio
import subprocess
import sys
import traceback
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from failsoft.checkpoints.database import Database, connect
from failsoft.checkpoints.migrate import migrate, pending
from failsoft.errors import ConfigurationError, DatabaseUnavailableError
from failsoft.settings import Settings


async def test_four_callers_who_migrate_at_once_apply_each_migration_once(empty_dsn: str) -> None:
    expected = await pending(empty_dsn)

    applied = await asyncio.gather(*(migrate(empty_dsn) for _ in range(4)))

    assert "0001_core.sql" in expected
    assert sorted(applied) == [[], [], [], expected]
    assert await pending(empty_dsn) == []


async def test_a_migrated_database_has_our_tables_and_those_of_the_saver(
    database: Database,
) -> None:
    rows = await database.all("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")

    assert {"runs", "effects", "checkpoints", "checkpoint_writes"} <= {r["tablename"] for r in rows}


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:s3cret@127.0.0.1:1/x",
        "postgresql://u:oops@s3cret@127.0.0.1:1/x",
        "postgresql://u:s3cret@127.0.0.1:1/x?nonsense=s3cret",
        "host=127.0.0.1 port=1 password=s3cret user",
    ],
)
async def test_the_error_about_an_unreachable_database_shows_no_password(dsn: str) -> None:
    with pytest.raises((DatabaseUnavailableError, ConfigurationError)) as caught:
        async with Database(dsn):
            pass

    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in f"{shown} {caught.value!r}"


async def test_a_database_that_refuses_connections_is_named_with_the_reason() -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:1/x .*refused"):
        await Database("postgresql://u:p@127.0.0.1:1/x").open()


async def test_a_cut_connection_is_replaced_at_the_next_statement(
    database: Database, dsn: str
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert await database.one("SELECT 1 AS one") == {"one": 1}


async def test_a_statement_longer_than_the_lease_is_ended_by_the_server(dsn: str) -> None:
    async with Database(dsn, lease=0.4) as database:
        with pytest.raises(DatabaseUnavailableError, match="timeout"):
            await database.all("SELECT pg_sleep(5)")


async def test_a_frozen_clients_transaction_gives_its_locks_back(dsn: str) -> None:
    async with Database(dsn, lease=0.6) as frozen, Database(dsn, lease=10) as other:
        stack = AsyncExitStack()
        connection = await stack.enter_async_context(frozen.transaction())
        await connection.execute("LOCK TABLE runs")

        assert await other.one("SELECT count(*) FROM runs") == {"count": 0}
        with pytest.raises(DatabaseUnavailableError):
            await stack.aclose()


async def test_options_in_a_given_dsn_are_kept(dsn: str) -> None:
    own = psycopg.conninfo.make_conninfo(dsn, options="-c work_mem=5MB")
    async with Database(own) as database:
        row = await database.one("SELECT current_setting('work_mem') AS own")

    assert row == {"own": "5MB"}


async def test_connect_refuses_a_given_database_that_is_not_migrated(empty_dsn: str) -> None:
    settings = Settings(dsn=SecretStr(empty_dsn))
    with pytest.raises(ConfigurationError, match="run `failsoft db migrate`"):
        async with connect(settings):
            pass


async def test_connect_opens_a_given_database_that_is_migrated(dsn: str) -> None:
    async with connect(Settings(dsn=SecretStr(dsn))) as database:
        assert await database.all("SELECT run_id FROM runs") == []


def test_importing_the_package_imports_neither_langgraph_nor_the_embedded_server() -> None:
    code = (
        "import sys, failsoft.checkpoints as c; c.Database; c.Runs;"
        "print([m for m in sys.modules if m.split('.')[0] == 'langgraph' or 'embedded' in m])"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


async def test_without_a_dsn_the_embedded_database_is_started_and_migrated(tmp_path: Path) -> None:
    async with connect(Settings(home=tmp_path, dsn=None)) as database:
        assert await database.all("SELECT run_id FROM runs") == []
