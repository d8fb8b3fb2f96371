"""The simulated Jira, seen by pycontribs' client and on the wire."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from jira import JIRA, JIRAError

from tests.conftest import Sandbox

PARAGRAPH = {"type": "paragraph", "content": [{"type": "text", "text": "It is broken."}]}
DOCUMENT = {"type": "doc", "version": 1, "content": [PARAGRAPH]}


def ticket(**fields: object) -> dict[str, Any]:
    basic = {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "It is broken"}
    return {"fields": basic | fields}


def create(jira_http: httpx2.Client, **fields: object) -> str:
    answer = jira_http.post("/issue", json=ticket(**fields)).raise_for_status()
    return str(answer.json()["key"])


def found(jira_http: httpx2.Client, jql: str, **asked: object) -> list[str]:
    asked = {"jql": jql, "fields": ["labels"]} | asked
    answer = jira_http.post("/search/jql", json=asked).raise_for_status()
    return [issue["key"] for issue in answer.json()["issues"]]


@pytest.fixture
def jira(sandbox: Sandbox) -> Iterator[JIRA]:
    client = JIRA(
        server=f"{sandbox.url}/jira", basic_auth=("bot@example.com", "secret"),
        max_retries=0, timeout=5,
    )  # fmt: skip
    yield client
    client.close()  # type: ignore[no-untyped-call]  # jira leaves it unannotated


def test_pycontribs_client_creates_and_reads_an_issue(jira: JIRA) -> None:
    issue = jira.create_issue(
        project="PAY", issuetype={"name": "Task"}, summary="Refund", description="plain text",
        labels=["fs-1"], components=[{"name": "billing"}],
    )  # fmt: skip
    assert (issue.key, issue.fields.labels) == ("PAY-1", ["fs-1"])
    assert jira.issue("PAY-1").fields.description == "plain text"
    assert jira.issue(issue.id).key == "PAY-1"


def test_pycontribs_client_reads_the_site(jira: JIRA) -> None:
    assert [project.key for project in jira.projects()] == ["OPS", "PAY", "WEB", "IT", "SUP"]
    assert jira.myself()["accountId"] == "acc-failsoft"
    assert jira.server_info()["deploymentType"] == "Cloud"
    assert [part.name for part in jira.project_components("WEB")] == ["frontend", "checkout"]
    assert [kind.name for kind in jira.project("OPS").issueTypes] == ["Incident", "Bug", "Task"]


def test_the_create_screen_names_types_and_required_fields(jira_http: httpx2.Client) -> None:
    types = jira_http.get("/issue/createmeta/OPS/issuetypes").json()["issueTypes"]
    assert [one["name"] for one in types] == ["Incident", "Bug", "Task"]
    screen = jira_http.get(f"/issue/createmeta/OPS/issuetypes/{types[0]['id']}").json()
    fields = {field["fieldId"]: field for field in screen["fields"]}
    required = sorted(name for name, field in fields.items() if field["required"])
    assert required == ["issuetype", "project", "summary"]
    assert [one["name"] for one in fields["components"]["allowedValues"]] == ["platform", "on-call"]
    assert jira_http.get("/issue/createmeta/NOPE/issuetypes").status_code == 404


def test_accounts_are_found_by_name(jira_http: httpx2.Client) -> None:
    found = jira_http.get("/user/search", params={"query": "olga"}).json()
    assert [one["accountId"] for one in found] == ["acc-ops-lead"]


def test_pycontribs_client_comments_links_and_edits(jira: JIRA, sandbox: Sandbox) -> None:
    issue = jira.create_issue(project="IT", issuetype={"name": "Task"}, summary="VPN", labels=["a"])
    jira.add_comment(issue, "Seen.")
    for title in ("thread", "the thread"):
        jira.add_simple_link(issue.key, {"url": "https://example.com/1", "title": title})
    issue.update(fields={"summary": "VPN is down"}, update={"labels": [{"add": "b"}]})
    assert (issue.fields.summary, issue.fields.labels) == ("VPN is down", ["a", "b"])
    stored = sandbox.issues()[0]
    assert [comment["body"] for comment in stored["comments"]] == ["Seen."]
    assert len(stored["links"]) == 2


def test_pycontribs_client_searches_by_label(jira: JIRA) -> None:
    for number in (1, 2, 2):
        jira.create_issue(
            project="OPS", issuetype={"name": "Bug"}, summary="x", labels=[f"fs-{number}"]
        )
    hits = jira.enhanced_search_issues('labels = "fs-2" AND project = OPS ORDER BY created DESC')
    assert [issue.key for issue in hits] == ["OPS-3", "OPS-2"]


def test_pycontribs_client_reads_the_refusal_of_a_field(jira: JIRA) -> None:
    with pytest.raises(JIRAError, match="valid project") as refused:
        jira.create_issue(project={"key": "NOPE"}, issuetype={"name": "Bug"}, summary="x")
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("project", {"key": "NOPE"}, "valid project"),
        ("issuetype", {"name": "Epic"}, "valid issue type"),
        ("summary", "x" * 256, "255"),
        ("summary", " ", "must specify a summary"),
        ("summary", "two\nlines", "newline"),
        ("description", "plain text", "Atlassian Document"),
        ("labels", ["two words"], "spaces"),
        ("components", [{"name": "billing"}], "not valid"),
        ("assignee", {"id": "acc-nobody"}, "does not exist"),
        ("customfield_10001", "x", "cannot be set"),
    ],
)
def test_a_wrong_field_is_refused_by_name_and_nothing_is_created(
    jira_http: httpx2.Client, sandbox: Sandbox, name: str, value: object, word: str
) -> None:
    answer = jira_http.post("/issue", json=ticket(**{name: value}))
    assert answer.status_code == 400
    assert answer.json()["errorMessages"] == []
    assert [*answer.json()["errors"]] == [name]
    assert word in answer.json()["errors"][name]
    assert sandbox.issues() == []


def test_a_description_that_is_broken_inside_is_refused_without_a_field_name(
    jira_http: httpx2.Client,
) -> None:
    broken = {"type": "doc", "version": 1, "content": [{"type": "text", "text": ""}]}
    answer = jira_http.post("/issue", json=ticket(description=broken))
    assert (answer.status_code, answer.json()["errorMessages"]) == (400, ["INVALID_INPUT"])


def test_a_full_ticket_is_created_with_its_properties_in_one_step(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    body = ticket(
        summary="x" * 255, description=DOCUMENT, labels=["fs-1"],
        components=[{"name": "on-call"}], assignee={"id": "acc-ops-lead"},
    )  # fmt: skip
    body["properties"] = [{"key": "failsoft.txn", "value": {"txn": "1"}}]
    answer = jira_http.post("/issue", json=body)
    assert answer.status_code == 201
    assert {*answer.json()} == {"id", "key", "self"}
    read = jira_http.get("/issue/OPS-1", params={"properties": "failsoft.txn"}).json()
    assert read["properties"] == {"failsoft.txn": {"txn": "1"}}
    assert read["fields"]["description"] == DOCUMENT
    assert read["fields"]["assignee"]["accountId"] == "acc-ops-lead"
    stored = sandbox.issues()[0]
    assert (stored["labels"], stored["properties"]) == (["fs-1"], read["properties"])


def test_a_broken_property_refuses_the_whole_ticket(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    body = ticket() | {"properties": [{"key": "failsoft.txn"}]}
    assert jira_http.post("/issue", json=body).status_code == 400
    assert sandbox.issues() == []


def test_bulkfetch_returns_what_is_there_and_names_what_is_not(jira_http: httpx2.Client) -> None:
    create(jira_http, labels=["fs-1"])
    asked = {"issueIdsOrKeys": ["OPS-2", "OPS-1"], "fields": ["labels"], "properties": ["a"]}
    answer = jira_http.post("/issue/bulkfetch", json=asked).raise_for_status().json()
    assert [(issue["key"], issue["fields"]) for issue in answer["issues"]] == [
        ("OPS-1", {"labels": ["fs-1"]})
    ]
    assert [error["id"] for error in answer["issueErrors"]] == ["OPS-2"]


def test_bulkfetch_takes_at_most_a_hundred_keys(jira_http: httpx2.Client) -> None:
    asked = {"issueIdsOrKeys": [f"OPS-{number}" for number in range(101)]}
    assert jira_http.post("/issue/bulkfetch", json=asked).status_code == 400


def test_an_unknown_issue_is_a_404_in_jiras_words(jira_http: httpx2.Client) -> None:
    answer = jira_http.get("/issue/OPS-77")
    assert answer.status_code == 404
    assert "does not exist or you do not have permission" in answer.json()["errorMessages"][0]


def test_index_lag_hides_a_new_issue_from_search_but_not_from_direct_reads(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.reset(lag=1.0)
    key = create(jira_http, labels=["fs-1"])
    assert found(jira_http, 'labels = "fs-1"') == []
    assert jira_http.get(f"/issue/{key}").status_code == 200
    fetched = jira_http.post("/issue/bulkfetch", json={"issueIdsOrKeys": [key]}).json()
    assert len(fetched["issues"]) == 1
    time.sleep(1.1)
    assert found(jira_http, 'labels = "fs-1"') == [key]


def test_index_lag_shows_an_edited_issue_as_it_was(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.reset(lag=1.0)
    key = create(jira_http, labels=["old"])
    time.sleep(1.1)
    edit = jira_http.put(f"/issue/{key}", json={"fields": {"labels": ["new"]}})
    assert edit.status_code == 204
    assert (found(jira_http, "labels = old"), found(jira_http, "labels = new")) == ([key], [])


def test_reconciled_ids_are_read_past_the_lag(jira_http: httpx2.Client, sandbox: Sandbox) -> None:
    sandbox.reset(lag=60)
    number = int(jira_http.post("/issue", json=ticket(labels=["fs-1"])).json()["id"])
    assert found(jira_http, "labels = fs-1", reconcileIssues=[number]) == ["OPS-1"]


def test_search_pages_by_token(jira_http: httpx2.Client) -> None:
    keys = [create(jira_http) for _ in range(5)]
    asked = {"jql": "project = OPS ORDER BY created ASC", "maxResults": 2, "fields": ["labels"]}
    seen: list[str] = []
    while True:
        page = jira_http.post("/search/jql", json=asked).raise_for_status().json()
        seen += [issue["key"] for issue in page["issues"]]
        if page["isLast"]:
            break
        asked["nextPageToken"] = page["nextPageToken"]
    assert seen == keys


def test_search_by_get_equals_search_by_post(jira_http: httpx2.Client) -> None:
    key = create(jira_http)
    answer = jira_http.get("/search/jql", params={"jql": "project = OPS", "fields": "labels"})
    assert [issue["key"] for issue in answer.raise_for_status().json()["issues"]] == [key]


def test_search_without_fields_gives_ids_only(jira_http: httpx2.Client) -> None:
    create(jira_http)
    issues = jira_http.post("/search/jql", json={"jql": "project = OPS"}).json()["issues"]
    assert [[*issue] for issue in issues] == [["id"]]


@pytest.mark.parametrize(
    "jql", ["", "ORDER BY created", "project = NOPE", "labels ~ x", "colour = red", "labels = a b"]
)
def test_a_query_that_jira_would_refuse_is_refused(jira_http: httpx2.Client, jql: str) -> None:
    answer = jira_http.post("/search/jql", json={"jql": jql})
    assert answer.status_code == 400
    assert answer.json()["errorMessages"]


def test_the_removed_search_is_gone(jira_http: httpx2.Client) -> None:
    assert jira_http.post("/search", json={"jql": "project = OPS"}).status_code == 410


def test_a_remote_link_with_a_known_global_id_is_replaced(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    key = create(jira_http)
    link = {"globalId": "slack:1", "object": {"url": "https://example.com", "title": "thread"}}
    statuses = [jira_http.post(f"/issue/{key}/remotelink", json=link).status_code for _ in "12"]
    assert statuses == [201, 200]
    assert len(sandbox.issues()[0]["links"]) == 1


def test_a_comment_is_a_document(jira_http: httpx2.Client) -> None:
    key = create(jira_http)
    comments = f"/issue/{key}/comment"
    assert jira_http.post(comments, json={"body": "text"}).json()["errors"].keys() == {"comment"}
    assert jira_http.post(comments, json={"body": DOCUMENT}).status_code == 201
    assert jira_http.get(comments).json()["total"] == 1


@pytest.mark.parametrize("secret", ["bad-token", ""])
def test_a_stranger_is_a_401(jira_http: httpx2.Client, secret: str) -> None:
    answer = jira_http.post("/issue", json=ticket(), auth=("bot@example.com", secret))
    assert answer.status_code == 401
    assert "authenticated" in answer.json()["message"]


def test_two_creates_get_two_numbers_of_their_project(jira_http: httpx2.Client) -> None:
    keys = [create(jira_http), create(jira_http), create(jira_http, project={"key": "WEB"})]
    assert keys == ["OPS-1", "OPS-2", "WEB-1"]
