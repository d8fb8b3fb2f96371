"""Jira Cloud's REST API: issues, their search, comments and remote links."""

import base64
import binascii
from collections.abc import Mapping

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, parse_json
from failsoft.sandbox.call import Answer, Call, integer, texts
from failsoft.sandbox.issue_fields import (
    FieldError,
    RefusedFieldsError,
    document,
    person,
    read_fields,
)
from failsoft.sandbox.issues import Issue
from failsoft.sandbox.jira_answers import NO_ISSUE, JiraError
from failsoft.sandbox.jql import parse_jql
from failsoft.sandbox.projects import SELF_ACCOUNT, Project, load_site

PREFIX = "/jira"
MAX_BULK = 100
MAX_SEARCH = 5_000
MAX_RECONCILE = 50
EMPTY: JSONObject = {
    "description": None,
    "labels": [],
    "components": [],
    "assignee": None,
    "priority": {"id": "3", "name": "Medium"},
    "status": {"id": "10000", "name": "To Do"},
    "resolution": None,
}


def create_issue(call: Call) -> Answer:
    given = call.json()
    wanted = _object(given.get("fields"))
    project = _project(wanted.get("project"))
    if project is None:
        raise JiraError(400, project="Specify a valid project ID or key")
    missing = {"issuetype": None, "summary": None}
    fields = _checked(call, missing | wanted, project)
    properties = _properties(given.get("properties"))
    reporter = {"reporter": person(load_site(), SELF_ACCOUNT)}
    issue = call.world.issues.create(
        project.key, EMPTY | reporter | fields, properties, ordinal=call.ordinal
    )
    body: JSONObject = {"id": issue.id, "key": issue.key, "self": _url(call, issue)}
    return Answer(status=201, body=body)


def get_issue(call: Call) -> Answer:
    asked = [*_listed(call.query.get("properties"))]
    wanted = _listed(call.query.get("fields")) or ["*all"]
    issue = _issue(call)
    return Answer(body=_shown(call, issue, issue.fields, wanted, asked))


def edit_issue(call: Call) -> Answer:
    """PUT: set fields, or add and remove labels; a second time it changes nothing."""
    issue = _issue(call)
    given = call.json()
    project = _project({"key": issue.project})
    if project is None:
        raise JiraError(404, NO_ISSUE)
    fields = _object(given.get("fields"))
    update = _object(given.get("update"))
    if "labels" in update:
        fields["labels"] = _updated_labels(issue.fields["labels"], update["labels"])
    changes = _checked(call, fields, project)
    issue.properties |= _properties(given.get("properties"))
    call.world.issues.touch(issue, changes)
    return Answer(status=204)


def bulk_fetch(call: Call) -> Answer:
    """Read many issues directly, not through the index."""
    given = call.json()
    wanted = texts(given.get("issueIdsOrKeys"))
    if not wanted or len(wanted) > MAX_BULK:
        raise JiraError(400, f"Between 1 and {MAX_BULK} issue ids or keys are needed.")
    fields = texts(given.get("fields")) or ["*navigable"]
    asked = texts(given.get("properties"))
    found: dict[str, Issue] = {}
    errors: list[JSON] = []
    for name in wanted:
        if issue := call.world.issues.get(name):
            found[issue.id] = issue
        else:
            errors.append({"id": name, "errorMessage": NO_ISSUE})
    ordered = sorted(found.values(), key=lambda one: int(one.id))
    issues: list[JSON] = [_shown(call, one, one.fields, fields, asked) for one in ordered]
    return Answer(body={"expand": "names,schema", "issues": issues, "issueErrors": errors})


def search(call: Call) -> Answer:
    """Ask the index; issues named in `reconcileIssues` are read as they are now."""
    given = search_arguments(call)
    query = parse_jql(str(given.get("jql") or ""), load_site())
    reconciled = _reconciled(given.get("reconcileIssues"))
    indexed = {issue.key: (issue, fields) for issue, fields in call.world.issues.index()}
    for name in reconciled:
        if issue := call.world.issues.get(name):
            indexed[issue.key] = (issue, issue.fields)
    hits = [pair for pair in indexed.values() if query.accepts(pair[1])]
    hits.sort(key=lambda pair: int(pair[0].id), reverse=query.descending)
    start = _start(given.get("nextPageToken"))
    size = max(1, min(integer(given.get("maxResults"), 50), MAX_SEARCH))
    fields, asked = texts(given.get("fields")), texts(given.get("properties"))
    page = hits[start : start + size]
    issues: list[JSON] = [_shown(call, one, indexed, fields, asked) for one, indexed in page]
    if start + size >= len(hits):
        return Answer(body={"issues": issues, "isLast": True})
    token = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return Answer(body={"issues": issues, "isLast": False, "nextPageToken": token})


def old_search(_call: Call) -> Answer:
    raise JiraError(410, "The requested API has been removed. Please use /rest/api/3/search/jql.")


def add_comment(call: Call) -> Answer:
    issue = _issue(call)
    body = call.json().get("body")
    try:
        text = body if call.parts["version"] == "2" and isinstance(body, str) else document(body)
    except FieldError as error:
        raise JiraError(400, comment=str(error)) from None
    if not text:
        raise JiraError(400, comment="Comment body can not be empty!")
    at = call.world.issues.stamp()
    number = str(10_000 + len(issue.comments))
    comment: JSONObject = {
        "self": f"{_url(call, issue)}/comment/{number}",
        "id": number,
        "author": person(load_site(), SELF_ACCOUNT),
        "body": body,
        "created": at,
        "updated": at,
        "jsdPublic": True,
    }
    issue.comments.append(comment)
    return Answer(status=201, body=comment)


def comments(call: Call) -> Answer:
    found = _issue(call).comments
    shown: JSONObject = {"startAt": 0, "maxResults": 5000, "total": len(found)}
    return Answer(body=shown | {"comments": [*found]})


def add_remote_link(call: Call) -> Answer:
    """Create a link, or with a known `globalId` replace it."""
    issue = _issue(call)
    given = call.json()
    target = _object(given.get("object"))
    if not target.get("url") or not target.get("title"):
        raise JiraError(400, object="'url' and 'title' are required.")
    named = given.get("globalId")
    known = next((one for one in issue.links if named and one["globalId"] == named), None)
    number = len(issue.links) + 10_000 if known is None else known["id"]
    url = f"{_url(call, issue)}/remotelink/{number}"
    link: JSONObject = {"id": number, "self": url, "globalId": named, "object": target}
    if known is None:
        issue.links.append(link)
    else:
        known.update(link)
    return Answer(status=201 if known is None else 200, body={"id": number, "self": url})


def remote_links(call: Call) -> Answer:
    return Answer(body=[*_issue(call).links])


def _issue(call: Call) -> Issue:
    issue = call.world.issues.get(call.parts["issue"])
    if issue is None:
        raise JiraError(404, NO_ISSUE)
    return issue


def _project(value: JSON) -> Project | None:
    named = value if isinstance(value, dict) else {}
    return load_site().project(named.get("key") or str(named.get("id")))


def _checked(call: Call, fields: JSONObject, project: Project) -> JSONObject:
    try:
        return read_fields(fields, load_site(), project, call.parts["version"])
    except RefusedFieldsError as error:
        raise JiraError(400, **error.errors) from None


def _updated_labels(labels: JSON, operations: JSON) -> JSON:
    """Apply `[{"add": …}, {"remove": …}, {"set": […]}]` to the labels."""
    result = texts(labels)
    for operation in operations if isinstance(operations, list) else []:
        match operation:
            case {"add": str(label)}:
                result = [*result, label]
            case {"remove": str(label)}:
                result = [one for one in result if one != label]
            case {"set": [*given]}:
                result = texts(given)
            case _:
                raise JiraError(400, labels="Unsupported operation")
    return [*result]


def _properties(value: JSON) -> JSONObject:
    """Read `[{"key": …, "value": …}]`; broken properties refuse the whole write."""
    read: JSONObject = {}
    for item in value if isinstance(value, list) else []:
        match item:
            case {"key": str(key), "value": content} if 0 < len(key) <= 255:
                read[key] = content
            case _:
                raise JiraError(400, "Invalid entity property: a key and a value are needed.")
    return read


def _shown(
    call: Call, issue: Issue, fields: JSONObject, wanted: list[str], asked: list[str]
) -> JSONObject:
    """Return an issue with the fields and properties that were asked for, no others."""
    everything = bool({"*all", "*navigable"} & set(wanted))
    shown: JSONObject = {"id": issue.id, "key": issue.key, "self": _url(call, issue), "expand": ""}
    if wanted in ([], ["id"]):
        shown = {"id": issue.id}
    else:
        shown["fields"] = {
            name: value for name, value in fields.items() if everything or name in wanted
        }
    if asked:
        known = issue.properties.items()
        shown["properties"] = {name: value for name, value in known if name in asked}
    return shown


def search_arguments(call: Call) -> Mapping[str, JSON]:
    if call.method != "GET":
        return call.json()
    given: dict[str, JSON] = dict(call.query)
    for name in ("fields", "properties", "reconcileIssues"):
        given[name] = [*_listed(call.query.get(name))]
    return given


def _reconciled(value: JSON) -> list[str]:
    wanted = value if isinstance(value, list) else []
    if len(wanted) > MAX_RECONCILE or not all(str(one).isdigit() for one in wanted):
        raise JiraError(400, f"reconcileIssues takes at most {MAX_RECONCILE} issue ids.")
    return [str(one) for one in wanted]


def _start(token: JSON) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(str(token)))
    except (binascii.Error, ValueError):
        raise JiraError(400, "The provided next page token is invalid or expired.") from None


def _listed(value: str | None) -> list[str]:
    """Read `a,b,c`, or a JSON list, as a query string holds it."""
    if not value:
        return []
    if value.startswith("["):
        try:
            return texts(parse_json(value))
        except InvalidDataError:
            return []
    return [part.strip() for part in value.split(",") if part.strip()]


def _object(value: JSON) -> JSONObject:
    return dict(value) if isinstance(value, dict) else {}


def _url(call: Call, issue: Issue) -> str:
    return f"{call.origin}/jira/rest/api/{call.parts['version']}/issue/{issue.id}"
