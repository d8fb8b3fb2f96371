"""Jira Data Center: another API, another spelling, the same proof of absence."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from jira import JIRA

from failsoft.connectors.clients import Clients
from failsoft.connectors.contract import Absent, Done, Found, Outcome, Unknown
from failsoft.connectors.jira import Jira
from failsoft.connectors.jira_routes import JiraRoute
from failsoft.errors import ConfigurationError, RefusedError
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox

CREATE = "POST /jira-dc/rest/api/2/issue"
TXN = "abcdefghij234567klmnopqrst"
TICKET: JSONObject = {
    "project": "PAY", "issue_type": "Bug", "summary": "It is broken",
    "description": "Look: [~admin] !http://x.example/a.png! {noformat} h1. big",
    "assignee": "acc-pay-lead", "components": ["billing"], "source_url": "https://x.example/p1",
}  # fmt: skip


def settings(sandbox: Sandbox, flavor: str = "datacenter") -> Settings:
    return Settings.model_validate(
        {
            "profile": "sandbox",
            "jira_flavor": flavor,
            "jira_base_url": f"{sandbox.url}/jira-dc",
            "jira_email": "bot@example.com" if flavor == "cloud" else None,
            "jira_token": "a-personal-access-token",
        }
    )


@pytest.fixture
async def jira(sandbox: Sandbox) -> AsyncIterator[Jira]:
    client = Jira.from_settings(settings(sandbox))
    yield client
    await client.close()


async def send(jira: Jira, txn: str = TXN) -> Outcome:
    return await Jira.create_issue.send(jira, TICKET, txn, within=2.0)


async def test_an_issue_is_created_with_a_named_assignee_and_inert_text(
    sandbox: Sandbox, jira: Jira
) -> None:
    outcome = await send(jira)
    assert isinstance(outcome, Done)
    assert outcome.response["url"] == f"{sandbox.url}/jira-dc/browse/PAY-1"
    (issue,) = sandbox.issues()
    assert issue["properties"] == {"failsoft.txn": {"txn": TXN}}
    assert issue["fields"]["assignee"]["accountId"] == "acc-pay-lead"
    text = issue["fields"]["description"]
    assert text.count("{noformat}") == 2
    assert text.index("[~admin]") < text.rindex("{noformat}") < text.index("[https://x.example/p1]")


@pytest.mark.parametrize("kind", ["drop_after", "malformed", "truncate"])
async def test_what_was_created_is_found_when_its_answer_was_lost(
    sandbox: Sandbox, jira: Jira, kind: str
) -> None:
    sandbox.reset(lag=3600)
    mark = await Jira.create_issue.mark(jira, TICKET)
    sandbox.faults({"match": CREATE, "kind": kind, "times": 1})
    assert isinstance(await send(jira), Unknown)

    found = await Jira.create_issue.find(jira, TICKET, TXN, mark)

    assert isinstance(found, Found)
    assert found.external_id == "PAY-1"


async def test_absence_is_certain_past_the_keys_of_others_and_past_a_gap(
    sandbox: Sandbox, jira: Jira
) -> None:
    mark = await Jira.create_issue.mark(jira, TICKET)
    for number in range(23):
        await send(jira, f"another{number:019d}")

    assert await Jira.create_issue.find(jira, TICKET, TXN, mark) == Absent(certain=True)

    await send(jira)
    assert isinstance(await Jira.create_issue.find(jira, TICKET, TXN, mark), Found)
    assert len(sandbox.issues()) == 24


async def test_a_route_is_looked_up_in_its_project(sandbox: Sandbox) -> None:
    clients = Clients(settings(sandbox))
    route: dict[str, Any] = {
        "project": "PAY",
        "components": ("billing",),
        "assignee": "x",
        "priority": "High",
    }
    assert "PAY Bug" in await JiraRoute(issue_type="Bug", **route).check(clients)
    with pytest.raises(ConfigurationError, match="no type 'Story'"):
        await JiraRoute(issue_type="Story", **route).check(clients)
    await clients.close()


async def test_the_wrong_flavor_is_said_when_something_is_looked_for(sandbox: Sandbox) -> None:
    client = Jira.from_settings(settings(sandbox, "cloud"))
    with pytest.raises(RefusedError):
        await Jira.create_issue.find(client, TICKET, TXN, {"after": 0})
    await client.close()


def test_the_independent_client_reads_what_we_created(sandbox: Sandbox) -> None:
    client = JIRA(server=f"{sandbox.url}/jira-dc", token_auth="any", max_retries=0)  # noqa: S106
    made = client.create_issue(project="PAY", summary="x", issuetype={"name": "Bug"})
    assert client.issue(made.key).fields.summary == "x"
    assert [one.key for one in client.search_issues('project = "PAY"')] == [made.key]
