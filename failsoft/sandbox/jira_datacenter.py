"""Jira Data Center beside Jira Cloud, on the same issues: what it spells in another way.

API 2 only, people by name, wiki text, the old search, and no reading of many issues at once.
"""

import json
from dataclasses import replace

from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox import jira, jira_site
from failsoft.sandbox.call import Answer, Call, Handler
from failsoft.sandbox.jira_answers import JiraError, nothing_here
from failsoft.sandbox.projects import SELF_ACCOUNT, load_site

PREFIX = "/jira-dc"
VERSION = "9.12.14"


def server_info(call: Call) -> Answer:
    body: JSONObject = {
        "baseUrl": call.origin + PREFIX,
        "version": VERSION,
        "versionNumbers": [int(part) for part in VERSION.split(".")],
        "deploymentType": "Server",
        "buildNumber": 9120014,
        "serverTitle": "Jira",
        "serverTime": call.world.issues.stamp(),
    }
    return Answer(body=body)


def myself(call: Call) -> Answer:
    return Answer(body=_user(call, SELF_ACCOUNT))


def create_issue(call: Call) -> Answer:
    """Create: an assignee is named, not identified, and must be known."""
    given = call.json()
    fields = given.get("fields")
    if isinstance(fields, dict) and isinstance(fields.get("assignee"), dict):
        named = fields["assignee"]
        name = named.get("name") if isinstance(named, dict) else None
        if name is not None and name not in load_site().accounts:
            raise JiraError(400, assignee=f"User '{name}' does not exist.")
        fields["assignee"] = {"accountId": name} if name is not None else None
    return _spelt(call, jira.create_issue(replace(call, payload=json.dumps(given).encode())))


def create_types(call: Call) -> Answer:
    page = jira_site.create_types(call)
    if isinstance(page.body, dict):
        types = page.body.pop("issueTypes")
        page.body.update(values=types, isLast=True)
    return _spelt(call, page)


def search(call: Call) -> Answer:
    """Answer a search as it was before Cloud gave it up: by offset, with the total."""
    given = dict(jira.search_arguments(call))
    start = given.pop("startAt", 0) or 0
    everything = replace(
        call, method="POST", payload=json.dumps({**given, "maxResults": jira.MAX_SEARCH}).encode()
    )
    found = jira.search(everything).body
    issues = found["issues"] if isinstance(found, dict) else []
    listed = issues if isinstance(issues, list) else []
    first, size = int(str(start)), int(str(given.get("maxResults") or 50))
    body: JSONObject = {
        "startAt": first,
        "maxResults": size,
        "total": len(listed),
        "issues": listed[first : first + size],
    }
    return _spelt(call, Answer(body=body))


def as_it_is(handler: Handler) -> Handler:
    """Take a handler of Cloud's whose answer differs in its addresses only."""

    def handle(call: Call) -> Answer:
        return _spelt(call, handler(call))

    return handle


def _spelt(call: Call, answer: Answer) -> Answer:
    """Return the answer with addresses and people as Data Center shows them."""
    here, there = f"{call.origin}{PREFIX}/", f"{call.origin}{jira.PREFIX}/"

    def spell(value: JSON) -> JSON:
        if isinstance(value, str):
            return here + value[len(there) :] if value.startswith(there) else value
        if isinstance(value, list):
            return [spell(item) for item in value]
        if isinstance(value, dict) and "accountId" in value:
            return _user(call, str(value["accountId"]))
        if isinstance(value, dict):
            return {key: spell(item) for key, item in value.items()}
        return value

    return replace(answer, body=spell(answer.body))


def _user(call: Call, name: str) -> JSONObject:
    return {
        "self": f"{call.origin}{PREFIX}/rest/api/2/user?username={name}",
        "name": name,
        "key": f"JIRAUSER{name}",
        "displayName": load_site().accounts[name],
        "emailAddress": f"{name}@example.com",
        "active": True,
        "timeZone": "Etc/UTC",
    }


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "serverInfo", server_info),
    ("GET", "myself", myself),
    ("GET", "mypermissions", jira_site.all_permissions),
    ("GET", "field", as_it_is(jira_site.fields)),
    ("GET", "project", as_it_is(jira_site.projects)),
    ("GET", "project/{project}", as_it_is(jira_site.one_project)),
    ("GET", "issue/createmeta/{project}/issuetypes", create_types),
    ("POST", "issue", create_issue),
    ("POST", "issue/bulkfetch", nothing_here),
    ("GET", "issue/{issue}", as_it_is(jira.get_issue)),
    ("PUT", "issue/{issue}", as_it_is(jira.edit_issue)),
    ("GET", "issue/{issue}/comment", as_it_is(jira.comments)),
    ("POST", "issue/{issue}/comment", as_it_is(jira.add_comment)),
    ("GET", "search", search),
    ("POST", "search", search),
)
