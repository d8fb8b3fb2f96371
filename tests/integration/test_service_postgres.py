"""A Postgres that is a service, over TCP and named by FAILSOFT_DSN: what production uses."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from failsoft.checkpoints.database import connect
from failsoft.checkpoints.migrate import migrate, pending
from failsoft.checkpoints.runs import RunState
from failsoft.connectors.jira import Jira
from failsoft.errors import ConfigurationError
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.state import Json
from failsoft.nodes.state import RunState as State
from failsoft.settings import Settings
from tests.conftest import Sandbox
from tests.integration.bench import bench_for
from tests.integration.conftest import created

SERVICE = os.environ.get(
    "FAILSOFT_TEST_SERVICE_DSN", "postgresql://postgres@127.0.0.1:5432/postgres"
)


@pytest.fixture
def service_dsn() -> Iterator[str]:
    """A fresh database of the service; without one CI fails, and others skip with the reason."""
    try:
        psycopg.connect(SERVICE, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        if os.environ.get("FAILSOFT_REQUIRE_SERVICES"):
            raise
        pytest.skip(f"no Postgres service at hand: {str(error).splitlines()[0]}")
    with created(SERVICE, None) as name:
        yield make_conninfo(SERVICE, dbname=name)


def ticket(state: State) -> Json:
    return {
        "project": "OPS", "issue_type": "Bug", "summary": "x", "labels": [], "components": [],
        "description": state["event"]["text"], "assignee": None, "priority": None,
    }  # fmt: skip


async def test_a_database_without_our_tables_is_refused_until_it_is_migrated(
    service_dsn: str, settings: Settings
) -> None:
    chosen = settings.model_copy(update={"dsn": SecretStr(service_dsn)})
    with pytest.raises(ConfigurationError, match="failsoft db migrate"):
        async with connect(chosen):
            pass
    await migrate(service_dsn)
    assert await pending(service_dsn) == []


async def test_a_run_writes_once_on_a_service(
    service_dsn: str, settings: Settings, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": "POST /jira/rest/api/3/issue", "kind": "drop_after", "nth": [1]})
    await migrate(service_dsn)
    graph = ResilientGraph("small").add_write("create", Jira.create_issue, request=ticket)
    graph.add_path(START, "create", END)
    chosen = settings.model_copy(update={"dsn": SecretStr(service_dsn)})
    async with connect(chosen) as database, bench_for(graph, database, chosen) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert rest.state is RunState.DONE
        assert len(sandbox.issues()) == 1
