"""What Jira accepts as the fields of an issue, and how it refuses the rest."""

from collections.abc import Callable

from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.documents import MAX_TEXT, document_text, is_document
from failsoft.sandbox.projects import SELF_ACCOUNT, Project, Site

MAX_SUMMARY = 255
MAX_LABEL = 255
UNKNOWN_FIELD = "Field '{}' cannot be set. It is not on the appropriate screen, or unknown."


class FieldError(Exception):
    """A field is refused; the argument is Jira's sentence."""


class RefusedFieldsError(Exception):
    """Some fields are refused; `errors` holds Jira's sentence for each."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(errors)
        self.errors = errors


class DocumentError(Exception):
    """A document has the right shape outside and is broken inside; Jira names no field."""


def read_fields(given: JSONObject, site: Site, project: Project, version: str) -> JSONObject:
    """Return checked fields in the spelling in which Jira shows them.

    Raises:
        RefusedFieldsError: some fields are refused.
        DocumentError: a document is broken inside.
    """
    shown: JSONObject = {}
    errors: dict[str, str] = {}
    for name, value in given.items():
        if name not in READERS:
            errors[name] = UNKNOWN_FIELD.format(name)
            continue
        try:
            shown[name] = READERS[name](value, site, project, version)
        except FieldError as error:
            errors[name] = str(error)
    if errors:
        raise RefusedFieldsError(errors)
    return shown


def person(site: Site, account: str) -> JSONObject:
    """Return an account as Jira shows it."""
    return {
        "accountId": account,
        "accountType": "app" if account == SELF_ACCOUNT else "atlassian",
        "displayName": site.accounts[account],
        "emailAddress": f"{account}@example.com",
        "active": True,
        "timeZone": "Etc/UTC",
    }


def _project(_value: JSON, _site: Site, project: Project, _version: str) -> JSON:
    return {"id": project.id, "key": project.key, "name": project.name}


def _type(value: JSON, _site: Site, project: Project, _version: str) -> JSON:
    found = next((one for one in project.types if one.meant_by(value)), None)
    if found is None:
        raise FieldError("Specify a valid issue type")
    return found.as_json() | {"subtask": False}


def _summary(value: JSON, _site: Site, _project: Project, _version: str) -> JSON:
    if not isinstance(value, str) or not value.strip():
        raise FieldError("You must specify a summary of the issue.")
    if len(value) > MAX_SUMMARY:
        raise FieldError(f"Summary can't exceed {MAX_SUMMARY} characters.")
    if "\n" in value or "\r" in value:
        raise FieldError("The summary is invalid because it contains newline characters.")
    return value


def _description(value: JSON, _site: Site, _project: Project, version: str) -> JSON:
    if value is None:
        return None
    if version == "2":
        if not isinstance(value, str):
            raise FieldError("Operation value must be a string")
        text = value
    else:
        text = document(value)
    if len(text) > MAX_TEXT:
        limit = f"It exceeds the allowed limit of {MAX_TEXT:,} characters."
        raise FieldError(f"The entered text is too long. {limit}")
    return value


def document(value: JSON) -> str:
    """Check a document and return its text."""
    if not isinstance(value, dict) or value.get("type") != "doc":
        raise FieldError(
            "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
        )
    if not is_document(value):
        raise DocumentError
    return document_text(value)


def _labels(value: JSON, _site: Site, _project: Project, _version: str) -> JSON:
    if value is None:
        return []
    if not isinstance(value, list):
        raise FieldError("data was not an array")
    for label in value:
        if not isinstance(label, str):
            raise FieldError("string expected")
        if not label or any(letter.isspace() for letter in label):
            raise FieldError(f"The label '{label}' contains spaces which is invalid.")
        if len(label) > MAX_LABEL:
            raise FieldError(f"The label '{label}' exceeds the maximum length of {MAX_LABEL}.")
    return [*dict.fromkeys(value)]


def _components(value: JSON, _site: Site, project: Project, _version: str) -> JSON:
    if not isinstance(value, list):
        raise FieldError("data was not an array")
    found: list[JSON] = []
    for wanted in value:
        component = next((one for one in project.components if one.meant_by(wanted)), None)
        if component is None:
            named = wanted if isinstance(wanted, dict) else {}
            shown = named.get("name") or named.get("id") or wanted
            raise FieldError(f"Component name '{shown}' is not valid")
        found.append(component.as_json())
    return found


def _assignee(value: JSON, site: Site, _project: Project, _version: str) -> JSON:
    if value is None:
        return None
    named = value if isinstance(value, dict) else {}
    account = named.get("accountId") or named.get("id")
    if account is None and named.get("name") is None:
        return None
    if not isinstance(account, str) or account not in site.accounts:
        raise FieldError(f"User '{account or named.get('name')}' does not exist.")
    return person(site, account)


def _priority(value: JSON, site: Site, _project: Project, _version: str) -> JSON:
    found = next((one for one in site.priorities if one.meant_by(value)), None)
    if found is None:
        raise FieldError("Specify a valid priority")
    return found.as_json()


READERS: dict[str, Callable[[JSON, Site, Project, str], JSON]] = {
    "project": _project,
    "issuetype": _type,
    "summary": _summary,
    "description": _description,
    "labels": _labels,
    "components": _components,
    "assignee": _assignee,
    "priority": _priority,
}
