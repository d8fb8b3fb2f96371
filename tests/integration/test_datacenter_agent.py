"""The Slack → Jira agent against Jira Data Center: only settings differ."""

from dataclasses import replace
from typing import Any

import pytest

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.runs import RunState
from failsoft.events import Event
from failsoft.settings import Settings, load_settings
from failsoft.workers.assembly import check_agents
from tests.conftest import Sandbox
from tests.integration.bench import Bench, bench_for

CREATE = "POST /jira-dc/rest/api/2/issue"
EVENT = Event(
    key="slack:T0SANDBOX:C0TRIAGE:1.000001",
    source="slack",
    text="The Save button does nothing in Firefox, it works in Chrome. {noformat} [~admin]",
    facts={"channel": "C0TRIAGE", "ts": "1.000001"},
)


@pytest.fixture
def datacenter(settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FAILSOFT_JIRA_FLAVOR", "datacenter")
    monkeypatch.setenv("FAILSOFT_JIRA_BASE_URL", f"{sandbox.url}/jira-dc")
    monkeypatch.delenv("FAILSOFT_JIRA_EMAIL")
    assert settings.jira_flavor == "cloud"
    return load_settings()


async def handled(bench: Bench, event: Event = EVENT) -> Any:
    runs = bench.parts.store.runs
    run_id = (await runs.admit(bench.graph.agent, bench.graph.lane, event)).run_id
    return await bench.drive_on(run_id)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({}, id="all is well"),
        pytest.param({"kind": "drop_after"}, id="executed, the answer lost"),
        pytest.param({"kind": "drop_before"}, id="never executed"),
        pytest.param({"kind": "late_commit", "seconds": 0.4}, id="executed later"),
        pytest.param({"kind": "malformed"}, id="an answer that cannot be read"),
        pytest.param({"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}, id="429"),
    ],
)
async def test_one_message_is_one_issue_and_one_reply(
    fault: dict[str, Any], datacenter: Settings, database: Database, sandbox: Sandbox
) -> None:
    if fault:
        sandbox.faults({"match": CREATE, "nth": [1], **fault})
    async with bench_for(load_graph("slack-jira"), database, datacenter) as bench:
        rest = await handled(bench)
    assert (rest.state, rest.outcome) == (RunState.DONE, "done")
    (issue,) = sandbox.issues()
    assert issue["fields"]["assignee"]["accountId"] == "acc-web-lead"
    assert issue["fields"]["description"].count("{noformat}") == 2
    (reply,) = sandbox.state()["slack"]["messages"]
    assert f"{sandbox.url}/jira-dc/browse/{issue['key']}|{issue['key']}" in reply["text"]


async def test_an_issue_that_is_refused_is_asked_about(
    datacenter: Settings, database: Database, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "status", "status": 400, "nth": [1]})
    async with bench_for(load_graph("slack-jira"), database, datacenter) as bench:
        rest = await handled(bench, replace(EVENT, key=f"{EVENT.key}9"))
        assert rest.reason == "person"
        edited = (await bench.review(rest.run_id)).question["request"]
        rest = await bench.answer(rest.run_id, "edit", {**edited, "summary": "mended"})
    assert rest.state is RunState.DONE
    assert [issue["fields"]["summary"] for issue in sandbox.issues()] == ["mended"]


async def test_every_route_of_the_agent_leads_somewhere_there_too(
    datacenter: Settings, database: Database
) -> None:
    async with bench_for(load_graph("slack-jira"), database, datacenter) as bench:
        await check_agents([bench.graph], bench.parts.services.clients)
