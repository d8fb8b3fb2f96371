"""Jira over real HTTP: what was created is found again, and absence is proved, not searched."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from failsoft.connectors.contract import Absent, Done, Failed, Found, NotSent, Outcome, Unknown
from failsoft.connectors.jira import Jira
from failsoft.errors import (
    MissingSettingError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox

CREATE = "POST /jira/rest/api/3/issue"
TXN = "abcdefghij234567klmnopqrst"


def settings(sandbox: Sandbox, token: str = "canary-token") -> Settings:  # noqa: S107 - a canary
    return Settings.model_validate(
        {
            "profile": "sandbox",
            "jira_base_url": f"{sandbox.url}/jira",
            "jira_email": "bot@example.com",
            "jira_token": token,
        }
    )


@pytest.fixture
async def jira(sandbox: Sandbox) -> AsyncIterator[Jira]:
    client = Jira.from_settings(settings(sandbox))
    yield client
    await client.close()


def ticket(**fields: object) -> JSONObject:
    basic = {
        "project": "PAY", "issue_type": "Bug", "summary": "It is broken", "description": "a\n\nb",
    }  # fmt: skip
    made: JSONObject = {**basic, **fields}  # type: ignore[dict-item]  # tests give JSON values
    return made


async def send(jira: Jira, request: JSONObject, txn: str = TXN, within: float = 2.0) -> Outcome:
    return await Jira.create_issue.send(jira, request, txn, within=within)


async def find(jira: Jira, request: JSONObject, mark: JSONObject) -> Found | Absent:
    return await Jira.create_issue.find(jira, request, TXN, mark)


async def test_an_issue_is_created_with_its_label_and_property(
    sandbox: Sandbox, jira: Jira
) -> None:
    request = ticket(
        labels=["from slack"], components=["billing"], priority="High",
        assignee="acc-pay-lead", source_url="https://example.slack.com/p1",
    )  # fmt: skip
    outcome = await send(jira, request)
    assert outcome == Done(
        external_id="PAY-1",
        response={"key": "PAY-1", "id": "10000", "url": f"{sandbox.url}/jira/browse/PAY-1"},
    )
    (issue,) = sandbox.state()["jira"]["issues"]
    assert issue["labels"] == ["from-slack", f"fs-{TXN}"]
    assert issue["properties"] == {"failsoft.txn": {"txn": TXN}}
    assert issue["fields"]["components"][0]["name"] == "billing"
    assert issue["fields"]["assignee"]["accountId"] == "acc-pay-lead"
    assert issue["fields"]["priority"]["name"] == "High"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after"},
        {"kind": "malformed"},
        {"kind": "truncate"},
        {"kind": "hold", "seconds": 3},
        {"kind": "status_after", "status": 502},
        {"kind": "slow_body", "seconds": 4},
    ],
)
async def test_an_answer_lost_after_the_commit_is_unknown_and_found(
    sandbox: Sandbox, jira: Jira, fault: JSONObject
) -> None:
    mark = await Jira.create_issue.mark(jira, ticket())
    sandbox.faults({"match": CREATE, **fault})
    assert type(await send(jira, ticket(), within=0.7)) is Unknown
    found = await find(jira, ticket(), mark)
    assert isinstance(found, Found)
    assert found.external_id == "PAY-1"
    assert found.response["url"] == f"{sandbox.url}/jira/browse/PAY-1"


@pytest.mark.parametrize("fault", [{"kind": "drop_before"}, {"kind": "status", "status": 503}])
async def test_a_request_lost_before_the_commit_is_unknown_and_surely_absent(
    sandbox: Sandbox, jira: Jira, fault: JSONObject
) -> None:
    mark = await Jira.create_issue.mark(jira, ticket())
    sandbox.faults({"match": CREATE, **fault})
    assert type(await send(jira, ticket())) is Unknown
    assert await find(jira, ticket(), mark) == Absent(certain=True)


async def test_a_late_commit_is_found_once_it_happened(sandbox: Sandbox, jira: Jira) -> None:
    mark = await Jira.create_issue.mark(jira, ticket())
    sandbox.faults({"match": CREATE, "kind": "late_commit", "seconds": 0.3})
    assert type(await send(jira, ticket())) is Unknown
    assert type(await find(jira, ticket(), mark)) is Absent
    await asyncio.sleep(0.6)
    assert type(await find(jira, ticket(), mark)) is Found


async def test_an_index_that_lags_does_not_hide_the_issue(sandbox: Sandbox, jira: Jira) -> None:
    sandbox.reset(lag=3600)
    mark = await Jira.create_issue.mark(jira, ticket())
    sandbox.faults({"match": CREATE, "kind": "drop_after"})
    await send(jira, ticket())
    assert type(await find(jira, ticket(), mark)) is Found


async def test_the_probe_reads_past_a_page_of_other_issues(sandbox: Sandbox, jira: Jira) -> None:
    mark = await Jira.create_issue.mark(jira, ticket())
    for number in range(104):
        assert type(await send(jira, ticket(), f"other{number}")) is Done
    sandbox.faults({"match": CREATE, "kind": "drop_after"})
    await send(jira, ticket())
    found = await find(jira, ticket(), mark)
    assert isinstance(found, Found)
    assert found.external_id == "PAY-105"


async def test_the_probe_starts_after_the_mark(sandbox: Sandbox, jira: Jira) -> None:
    await send(jira, ticket(), "earlier")
    assert await Jira.create_issue.mark(jira, ticket()) == {"after": 1}
    assert await find(jira, ticket(), {"after": 1}) == Absent(certain=True)
    asked = [entry["path"] for entry in sandbox.state()["requests"]]
    assert asked.count("/jira/rest/api/3/issue/bulkfetch") == 1


async def test_the_mark_of_a_new_client_is_the_newest_searched_issue(
    sandbox: Sandbox, jira: Jira
) -> None:
    for txn in ("one", "two"):
        await send(jira, ticket(), txn)
    fresh = Jira.from_settings(settings(sandbox))
    assert await Jira.create_issue.mark(fresh, ticket()) == {"after": 2}
    await fresh.close()


@pytest.mark.parametrize(
    ("status", "raised"), [(503, TransientError), (429, RateLimitedError), (403, PermanentError)]
)
async def test_a_probe_that_does_not_end_proves_nothing(
    sandbox: Sandbox, jira: Jira, status: int, raised: type[Exception]
) -> None:
    sandbox.faults(
        {"match": "POST /jira/rest/api/3/issue/bulkfetch", "kind": "status", "status": status}
    )
    with pytest.raises(raised):
        await find(jira, ticket(), {"after": 0})


async def test_a_refusal_names_the_fields(jira: Jira) -> None:
    outcome = await send(jira, ticket(components=["nowhere"], priority="Extreme"))
    assert isinstance(outcome, Failed)
    assert "components: " in outcome.reason
    assert "priority: " in outcome.reason


@pytest.mark.parametrize(
    "request_",
    [
        ticket(project='X" OR project = "PAY'),
        ticket(project="pay"),
        ticket(summary=None),
        ticket(issue_type=7),
        ticket(labels="x"),
    ],
)
async def test_a_request_that_is_no_issue_is_refused_without_a_call(
    sandbox: Sandbox, jira: Jira, request_: JSONObject
) -> None:
    assert type(await send(jira, request_)) is Failed
    assert sandbox.state()["requests"] == []


async def test_429_was_not_sent_and_says_when_to_come_back(sandbox: Sandbox, jira: Jira) -> None:
    sandbox.faults(
        {"match": CREATE, "kind": "status", "status": 429, "headers": {"Retry-After": "2"}}
    )
    outcome = await send(jira, ticket())
    assert isinstance(outcome, NotSent)
    assert (outcome.retry_after, outcome.rate_limited) == (2.0, True)


async def test_a_site_that_is_away_was_not_sent_to(sandbox: Sandbox) -> None:
    away = settings(sandbox).model_copy(update={"jira_base_url": "http://127.0.0.1:9/jira"})
    jira = Jira.from_settings(away)
    outcome = await send(jira, ticket())
    assert isinstance(outcome, NotSent)
    assert not outcome.rate_limited
    with pytest.raises(TransientError):
        await Jira.create_issue.mark(jira, ticket())
    await jira.close()


async def test_a_refused_token_is_named_by_its_setting_and_never_shown(sandbox: Sandbox) -> None:
    jira = Jira.from_settings(settings(sandbox, token="bad-token"))  # noqa: S106 - refused
    outcome = await send(jira, ticket())
    assert isinstance(outcome, Failed)
    assert "FAILSOFT_JIRA_TOKEN" in outcome.reason
    with pytest.raises(RefusedError) as raised:
        await jira.examine()
    assert "bad-token" not in f"{outcome!r} {raised.value!r} {jira!r} {jira.http!r} {vars(jira)!r}"
    await jira.close()


async def test_the_facts_of_a_project_are_its_types_and_components(jira: Jira) -> None:
    facts = await jira.project_facts("PAY")
    assert facts.issue_types == ("Bug", "Task")
    assert facts.components == ("billing", "invoices")


async def test_a_project_that_is_not_there_is_refused(jira: Jira) -> None:
    with pytest.raises(RefusedError, match="NOPE"):
        await jira.project_facts("NOPE")


@pytest.mark.parametrize("name", ["jira_base_url", "jira_email", "jira_token"])
def test_a_missing_setting_is_named(sandbox: Sandbox, name: str) -> None:
    lacking = settings(sandbox).model_copy(update={name: None})
    with pytest.raises(MissingSettingError, match=f"FAILSOFT_{name.upper()}"):
        Jira.from_settings(lacking)
