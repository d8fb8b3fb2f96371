"""What a worker asks the outside world before it begins."""

import logging
from dataclasses import replace

import pytest

from failsoft.agents.load import load_graph
from failsoft.agents.slack_jira.requests import ROUTES
from failsoft.connectors.clients import Clients
from failsoft.errors import ConfigurationError, MissingExtraError
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.settings import Settings, load_settings
from failsoft.workers.assembly import check_agents
from tests.conftest import Sandbox


async def test_a_missing_setting_keeps_no_worker_from_its_start(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAILSOFT_JIRA_BASE_URL", raising=False)
    with caplog.at_level(logging.WARNING):
        await check_agents([load_graph("slack-jira")], Clients(Settings()))
    assert "route bug was not checked: FAILSOFT_JIRA_BASE_URL is not set" in caplog.text


async def test_a_missing_package_keeps_no_worker_from_its_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def look(_: Clients) -> str:
        raise MissingExtraError("salesforce", "The JWT flow")

    with caplog.at_level(logging.WARNING):
        await check_agents([ResilientGraph("a", checks={"queue": look})], Clients(Settings()))
    assert "a: queue was not checked: The JWT flow needs a package" in caplog.text


async def test_a_system_that_is_away_keeps_no_worker_from_its_start(
    settings: Settings, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults({"match": "GET /jira/*", "kind": "status", "status": 503})
    clients = Clients(settings)
    with caplog.at_level(logging.WARNING):
        await check_agents([load_graph("slack-jira")], clients)
    await clients.close()
    assert "was not checked" in caplog.text


async def test_a_route_that_leads_nowhere_refuses_the_start(settings: Settings) -> None:
    clients = Clients(settings)
    wrong = replace(ROUTES["bug"], issue_type="Wish")
    graph = ResilientGraph("a", checks={"route bug": wrong.check})
    with pytest.raises(ConfigurationError, match="a, route bug: WEB has no type 'Wish'"):
        await check_agents([graph], clients)
    await clients.close()


@pytest.mark.parametrize("flavor", ["cloud", "datacenter"])
async def test_a_route_with_an_assignee_needs_the_permission_to_assign(
    flavor: str, settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.profile == "sandbox"
    path, api = {"cloud": ("jira", "3"), "datacenter": ("jira-dc", "2")}[flavor]
    monkeypatch.setenv("FAILSOFT_JIRA_FLAVOR", flavor)
    monkeypatch.setenv("FAILSOFT_JIRA_BASE_URL", f"{sandbox.url}/{path}")
    denied = {"permissions": {"ASSIGN_ISSUES": {"havePermission": False}}}
    sandbox.faults({"match": f"GET /{path}/rest/api/{api}/mypermissions", "kind": "status",
                    "status": 200, "body": denied, "nth": [1]})  # fmt: skip
    clients = Clients(load_settings())
    with pytest.raises(ConfigurationError, match="ASSIGN_ISSUES in WEB"):
        await ROUTES["bug"].check(clients)
    assert "WEB" in await ROUTES["bug"].check(clients)  # it is granted now
    await replace(ROUTES["bug"], assignee="").check(clients)
    asked = [each for each in sandbox.state()["requests"] if "mypermissions" in each["path"]]
    assert len(asked) == 2  # where nothing is assigned nothing is asked
    await clients.close()


async def test_every_route_of_the_shipped_agent_leads_somewhere(settings: Settings) -> None:
    clients = Clients(settings)
    await check_agents([load_graph("slack-jira")], clients)
    await clients.close()
