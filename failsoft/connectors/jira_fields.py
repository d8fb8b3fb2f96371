"""What an issue of ours holds: the request as Jira takes it, and the marks that find it again."""

import re

from failsoft.connectors.adf import one_line
from failsoft.connectors.jira_flavor import PROPERTY, Flavor
from failsoft.errors import RefusedError
from failsoft.parsing import JSON, JSONObject

MAX_SUMMARY = 255  # characters
MAX_LABEL = 255  # characters

_PROJECT = re.compile(r"[A-Z][A-Z0-9_]+")


def body_of(request: JSONObject, transaction_id: str, flavor: Flavor) -> JSONObject:
    """Return the body of a create call, with the transaction id in its label and property.

    Raises:
        RefusedError: the request lacks a project, an issue type, a summary or a description.
    """
    source_url = _text(request, "source_url")
    fields: JSONObject = {
        "project": {"key": project_of(request)},
        "issuetype": {"name": _needed(request, "issue_type")},
        "summary": one_line(_needed(request, "summary"), MAX_SUMMARY) or "(no text)",
        "description": flavor.text(_text(request, "description") or "", source_url),
        "labels": [*_labels(request), label_of(transaction_id)],
    }
    if components := _texts(request, "components"):
        fields["components"] = [{"name": name} for name in components]
    if assignee := _text(request, "assignee"):
        fields["assignee"] = flavor.person(assignee)
    if priority := _text(request, "priority"):
        fields["priority"] = {"name": priority}
    return {
        "fields": fields,
        "properties": [{"key": PROPERTY, "value": {"txn": transaction_id}}],
    }


def label_of(transaction_id: str) -> str:
    """Return the label by which a person finds the issue of an effect."""
    return f"fs-{transaction_id}"


def carries(issue: JSONObject, transaction_id: str) -> bool:
    """Say whether an issue, as Jira shows it, belongs to the effect."""
    properties, fields = issue.get("properties"), issue.get("fields")
    value = properties.get(PROPERTY) if isinstance(properties, dict) else None
    if isinstance(value, dict) and value.get("txn") == transaction_id:
        return True
    labels = fields.get("labels") if isinstance(fields, dict) else None
    return isinstance(labels, list) and label_of(transaction_id) in labels


def project_of(request: JSONObject) -> str:
    """Return the project's key; it goes into searches and paths, so its form is checked.

    Raises:
        RefusedError: it is no project key.
    """
    project = _text(request, "project") or ""
    if not _PROJECT.fullmatch(project):
        raise RefusedError(f"{project!r} is no key of a Jira project.")
    return project


def _labels(request: JSONObject) -> list[JSON]:
    """Return the labels as Jira takes them: without spaces."""
    return ["-".join(label.split())[:MAX_LABEL] for label in _texts(request, "labels")]


def _texts(request: JSONObject, name: str) -> list[str]:
    value = request.get(name) or []
    if not isinstance(value, list):
        raise RefusedError(f"`{name}` of an issue must be a list.")
    return [str(item) for item in value if item]


def _text(request: JSONObject, name: str) -> str | None:
    value = request.get(name)
    if value is None or isinstance(value, str):
        return value
    raise RefusedError(f"`{name}` of an issue must be a text.")


def _needed(request: JSONObject, name: str) -> str:
    if value := _text(request, name):
        return value
    raise RefusedError(f"An issue needs `{name}`.")
