"""A real Postgres: one server a session, a fresh migrated database a test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.embedded import EmbeddedPostgres
from failsoft.checkpoints.migrate import migrate
from failsoft.checkpoints.store import Store
from failsoft.cli.private_sandbox import variables
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf, bench_for

LEASE = 10.0


@contextmanager
def created(server: str, template: str | None) -> Iterator[str]:
    """Create a database for as long as the block runs, and give its name."""
    name = f"failsoft_test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        source = Identifier(template or "template1")
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), source))
        try:
            yield name
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The DSN of a server on which databases may be created: FAILSOFT_TEST_DSN, else embedded."""
    if dsn := os.environ.get("FAILSOFT_TEST_DSN"):
        yield dsn
        return
    with tempfile.TemporaryDirectory(prefix="failsoft-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs under an account of its own
        embedded = EmbeddedPostgres(Path(folder) / "pg", fsync=False)
        try:
            yield embedded.start()
        finally:
            embedded.close()


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to."""
    with created(server, None) as name:
        asyncio.run(migrate(make_conninfo(server, dbname=name)))
        yield name


@pytest.fixture
def empty_dsn(server: str) -> Iterator[str]:
    with created(server, None) as name:
        yield make_conninfo(server, dbname=name)


@pytest.fixture
def dsn(server: str, template: str) -> Iterator[str]:
    with created(server, template) as name:
        yield make_conninfo(server, dbname=name)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, lease=LEASE) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> Store:
    return Store.of(database)


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Everything points at the sandbox."""
    for name, value in variables(sandbox.url, sandbox.smtp).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAILSOFT_HOME", str(tmp_path))
    return load_settings()


@pytest.fixture
def bench_of(database: Database, settings: Settings) -> BenchOf:
    return lambda graph: bench_for(graph, database, settings)
