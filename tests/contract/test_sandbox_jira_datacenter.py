"""The simulated Jira Data Center, seen by pycontribs' client with a personal access token."""

from collections.abc import Iterator

import httpx2
import pytest
from jira import JIRA, JIRAError

from tests.conftest import Sandbox


@pytest.fixture
def jira(sandbox: Sandbox) -> Iterator[JIRA]:
    client = JIRA(
        server=f"{sandbox.url}/jira-dc", token_auth="any", max_retries=0, timeout=5  # noqa: S106
    )  # fmt: skip
    yield client
    client.close()  # type: ignore[no-untyped-call]  # jira leaves it unannotated


def test_pycontribs_client_takes_it_for_a_data_center(jira: JIRA) -> None:
    info = jira.server_info()
    assert (info["deploymentType"], info["versionNumbers"][0]) == ("Server", 9)
    assert not jira._is_cloud
    assert jira.myself()["name"] == "acc-failsoft"
    assert "accountId" not in jira.myself()


def test_pycontribs_client_creates_and_reads_an_issue(jira: JIRA, sandbox: Sandbox) -> None:
    issue = jira.create_issue(
        project="PAY", issuetype={"name": "Task"}, summary="Refund", description="h1. text",
        labels=["fs-1"], components=[{"name": "billing"}], assignee={"name": "acc-pay-lead"},
    )  # fmt: skip
    assert (issue.key, issue.fields.labels) == ("PAY-1", ["fs-1"])
    assert issue.raw["fields"]["assignee"]["name"] == "acc-pay-lead"
    assert jira.issue("PAY-1").fields.description == "h1. text"
    assert jira.issue(issue.id).key == "PAY-1"
    assert issue.self.startswith(f"{sandbox.url}/jira-dc/rest/api/2/issue/")


def test_pycontribs_client_reads_what_a_project_offers(jira: JIRA) -> None:
    assert [project.key for project in jira.projects()] == ["OPS", "PAY", "WEB", "IT", "SUP"]
    assert [kind.name for kind in jira.project_issue_types("OPS")] == ["Incident", "Bug", "Task"]


def test_pycontribs_client_searches_page_by_page_with_the_total(jira: JIRA) -> None:
    for _ in range(3):
        jira.create_issue(project="OPS", issuetype={"name": "Bug"}, summary="x", labels=["fs-1"])
    jql = 'labels = "fs-1" ORDER BY created DESC'
    first = jira.search_issues(jql, maxResults=2)
    assert [issue.key for issue in first] == ["OPS-3", "OPS-2"]
    assert first.total == 3
    assert [issue.key for issue in jira.search_issues(jql, startAt=2, maxResults=2)] == ["OPS-1"]


def test_pycontribs_client_comments_and_edits(jira: JIRA, sandbox: Sandbox) -> None:
    issue = jira.create_issue(project="IT", issuetype={"name": "Task"}, summary="VPN", labels=["a"])
    jira.add_comment(issue, "Seen.")
    issue.update(fields={"summary": "VPN is down"}, update={"labels": [{"add": "b"}]})
    assert (issue.fields.summary, issue.fields.labels) == ("VPN is down", ["a", "b"])
    assert [comment["body"] for comment in sandbox.issues()[0]["comments"]] == ["Seen."]


def test_an_issue_is_the_same_in_both_flavors(jira: JIRA, jira_http: httpx2.Client) -> None:
    made = jira.create_issue(project="OPS", issuetype={"name": "Bug"}, summary="x")
    seen = jira_http.get(f"/issue/{made.key}").raise_for_status().json()
    assert seen["id"] == made.id


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("project", {"key": "NOPE"}, "valid project"),
        ("assignee", {"name": "nobody"}, "does not exist"),
        ("summary", "x" * 256, "255"),
    ],
)
def test_pycontribs_client_reads_the_refusal_of_a_field(
    field: str, value: object, word: str, jira: JIRA
) -> None:
    fields = {"project": "OPS", "issuetype": {"name": "Bug"}, "summary": "x", field: value}
    with pytest.raises(JIRAError, match=word) as refused:
        jira.create_issue(fields)
    assert refused.value.status_code == 400


@pytest.mark.parametrize("path", ["rest/api/3/myself", "rest/api/2/issue/bulkfetch"])
def test_what_only_cloud_has_is_not_there(path: str, sandbox: Sandbox) -> None:
    method = sandbox.http.post if path.endswith("bulkfetch") else sandbox.http.get
    answer = method(f"/jira-dc/{path}", headers={"Authorization": "Bearer any"})
    assert answer.status_code == 404
