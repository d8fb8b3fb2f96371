"""Jira's answers about itself: who am I, projects, issue types, components, accounts."""

from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import Answer, Call
from failsoft.sandbox.issue_fields import person
from failsoft.sandbox.jira_answers import JiraError, page_of
from failsoft.sandbox.projects import SELF_ACCOUNT, Named, Project, load_site

PERMISSIONS = ("BROWSE_PROJECTS", "CREATE_ISSUES", "ADD_COMMENTS", "ASSIGN_ISSUES", "EDIT_ISSUES")
REQUIRED = ("project", "issuetype", "summary")
FIELDS: dict[str, tuple[str, JSONObject]] = {
    "summary": ("Summary", {"type": "string", "system": "summary"}),
    "issuetype": ("Issue Type", {"type": "issuetype", "system": "issuetype"}),
    "project": ("Project", {"type": "project", "system": "project"}),
    "description": ("Description", {"type": "string", "system": "description"}),
    "labels": ("Labels", {"type": "array", "items": "string", "system": "labels"}),
    "components": ("Components", {"type": "array", "items": "component", "system": "components"}),
    "assignee": ("Assignee", {"type": "user", "system": "assignee"}),
    "priority": ("Priority", {"type": "priority", "system": "priority"}),
}


def server_info(call: Call) -> Answer:
    body: JSONObject = {
        "baseUrl": f"{call.origin}/jira",
        "displayUrl": f"{call.origin}/jira",
        "version": "1001.0.0-SNAPSHOT",
        "versionNumbers": [1001, 0, 0],
        "deploymentType": "Cloud",
        "buildNumber": 100290,
        "serverTitle": "Jira",
        "serverTime": call.world.issues.stamp(),
    }
    return Answer(body=body)


def myself(call: Call) -> Answer:
    url = _url(call, f"user?accountId={SELF_ACCOUNT}")
    return Answer(body={"self": url} | person(load_site(), SELF_ACCOUNT) | {"locale": "en_US"})


def permissions(call: Call) -> Answer:
    """Say which permissions the account has: all, of those that it asks for."""
    wanted = call.query.get("permissions", "")
    if not wanted:
        raise JiraError(400, "The 'permissions' query parameter is required.")
    if unknown := sorted({*wanted.split(",")} - {*PERMISSIONS}):
        raise JiraError(400, f"Unrecognized permission: {unknown[0]}")
    return Answer(body={"permissions": {name: _granted(name) for name in wanted.split(",")}})


def all_permissions(_call: Call) -> Answer:
    """Say it as Data Center does, which is asked for none by name."""
    return Answer(body={"permissions": {name: _granted(name) for name in PERMISSIONS}})


def projects(call: Call) -> Answer:
    return Answer(body=[_short(call, project) for project in load_site().projects])


def search_projects(call: Call) -> Answer:
    keys = [*map(str.upper, call.query.get("keys", "").split(","))] if "keys" in call.query else []
    found = [one for one in load_site().projects if not keys or one.key in keys]
    return Answer(body=page_of(call, "values", [_short(call, project) for project in found]))


def one_project(call: Call) -> Answer:
    project = _project(call)
    body = _short(call, project) | {
        "description": "",
        "lead": person(load_site(), project.lead),
        "components": [*_components(call, project)],
        "issueTypes": [_type(call, one) for one in project.types],
        "assigneeType": "UNASSIGNED",
        "versions": [],
        "roles": {},
    }
    return Answer(body=body)


def components(call: Call) -> Answer:
    return Answer(body=[*_components(call, _project(call))])


def search_components(call: Call) -> Answer:
    return Answer(body=page_of(call, "values", _components(call, _project(call))))


def create_types(call: Call) -> Answer:
    types = [_type(call, one) for one in _project(call).types]
    return Answer(body=page_of(call, "issueTypes", types))


def create_fields(call: Call) -> Answer:
    project = _project(call)
    wanted = call.parts["type"]
    kind = next((one for one in project.types if one.id == wanted), None)
    if kind is None:
        raise JiraError(404, f"No issue type with id '{wanted}' exists in the project.")
    shown = [_field(call, project, kind, name) for name in FIELDS]
    return Answer(body=page_of(call, "fields", shown))


def search_users(call: Call) -> Answer:
    site, query = load_site(), call.query.get("query", "").lower()
    found = [
        person(site, account)
        for account, name in site.accounts.items()
        if query in name.lower() or query in account
    ]
    return Answer(body=[*found])


def one_user(call: Call) -> Answer:
    site, account = load_site(), call.query.get("accountId", "")
    if account not in site.accounts:
        raise JiraError(
            404, "Specified user does not exist or you do not have required permissions"
        )
    return Answer(body=person(site, account))


def fields(_call: Call) -> Answer:
    shown: list[JSON] = [
        {"id": key, "key": key, "name": name, "custom": False, "schema": schema}
        for key, (name, schema) in FIELDS.items()
    ]
    return Answer(body=shown)


def _granted(name: str) -> JSONObject:
    return {
        "id": str(10 + PERMISSIONS.index(name)),
        "key": name,
        "name": name.replace("_", " ").capitalize(),
        "type": "PROJECT",
        "description": "",
        "havePermission": True,
    }


def _project(call: Call) -> Project:
    wanted = call.parts["project"]
    found = load_site().project(wanted)
    if found is None:
        raise JiraError(404, f"No project could be found with key '{wanted}'.")
    return found


def _short(call: Call, project: Project) -> JSONObject:
    return {
        "self": _url(call, f"project/{project.id}"),
        "id": project.id,
        "key": project.key,
        "name": project.name,
        "projectTypeKey": "software",
        "simplified": False,
        "style": "classic",
        "isPrivate": False,
    }


def _components(call: Call, project: Project) -> list[JSONObject]:
    return [
        component.as_json()
        | {"self": _url(call, f"component/{component.id}"), "project": project.key}
        for component in project.components
    ]


def _type(call: Call, kind: Named) -> JSONObject:
    return kind.as_json() | {
        "self": _url(call, f"issuetype/{kind.id}"),
        "untranslatedName": kind.name,
        "description": "",
        "subtask": False,
        "hierarchyLevel": 0,
    }


def _field(call: Call, project: Project, kind: Named, name: str) -> JSONObject:
    title, schema = FIELDS[name]
    allowed: dict[str, list[JSONObject]] = {
        "project": [_short(call, project)],
        "issuetype": [_type(call, kind)],
        "components": _components(call, project),
        "priority": [one.as_json() for one in load_site().priorities],
    }
    shown: JSONObject = {
        "required": name in REQUIRED,
        "schema": schema,
        "name": title,
        "key": name,
        "fieldId": name,
        "hasDefaultValue": name == "priority",
        "operations": ["add", "set", "remove"] if schema["type"] == "array" else ["set"],
    }
    return shown | ({"allowedValues": [*allowed[name]]} if name in allowed else {})


def _url(call: Call, tail: str) -> str:
    return f"{call.origin}/jira/rest/api/{call.parts['version']}/{tail}"
