"""The fields of a Case, of an EmailMessage, of a change: what a request becomes in Salesforce."""

import re

from failsoft.errors import RefusedError
from failsoft.http import Parameters
from failsoft.parsing import JSON, JSONObject

MAX_SUBJECT = 255  # characters, as the standard fields have them
MAX_TEXT = 32_000
MAX_NAME = 80
MAX_ADDRESS = 80  # of SuppliedEmail
MAX_FROM = 1_000  # of FromAddress
SHOWN: dict[str, Parameters] = {  # what is read of a record
    "Case": {"fields": "Id,CaseNumber,OwnerId"},
    "EmailMessage": {"fields": "Id,ParentId"},
}

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_QUEUE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


def queue_of(request: JSONObject) -> str:
    """Return the DeveloperName of the queue; raises RefusedError where it is none."""
    return _matching(_QUEUE, request.get("queue"), "`queue` must be the DeveloperName of a queue")


def case_id_of(request: JSONObject) -> str:
    """Return the id of a case; raises RefusedError where it is none."""
    return _matching(_ID, request.get("case_id"), "`case_id` must be the id of a case")


def id_in(answer: JSONObject, name: str = "Id") -> str:
    """Return the id in what Salesforce answered, "" where there is none."""
    value = answer.get(name)
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def case_fields(request: JSONObject, owner_id: str) -> JSONObject:
    """Return a new case; empty fields are left out."""
    address, name = _sender(request, "supplied_email", "supplied_name", MAX_ADDRESS)
    return _filled(
        {
            "Origin": "Email",
            "Subject": _text(request, "subject", MAX_SUBJECT),
            "Description": _text(request, "description", MAX_TEXT),
            "Priority": _text(request, "priority", MAX_NAME),
            "SuppliedEmail": address,
            "SuppliedName": name[:MAX_NAME],
            "OwnerId": owner_id,
        }
    )


def email_fields(request: JSONObject) -> JSONObject:
    """Return a mail of a case. `MessageIdentifier` is what Salesforce threads answers by."""
    address, name = _sender(request, "from_address", "from_name", MAX_FROM)
    fields = _filled(
        {
            "ParentId": case_id_of(request),
            "Subject": _text(request, "subject", MAX_SUBJECT),
            "TextBody": _text(request, "text", MAX_TEXT),
            "FromAddress": address,
            "FromName": name[:MAX_FROM],
            "ToAddress": _text(request, "to_address", MAX_SUBJECT),
            "MessageIdentifier": _text(request, "message_id", MAX_SUBJECT),
        }
    )
    incoming = request.get("incoming") is True
    return {**fields, "Incoming": incoming, "Status": "0" if incoming else "3"}  # new, sent


def change_fields(request: JSONObject, owner_id: str) -> JSONObject:
    """Return what routing changes in a case that is there."""
    return _filled({"OwnerId": owner_id, "Priority": _text(request, "priority", MAX_NAME)})


def field_of(description: JSONObject, name: str) -> JSONObject | None:
    """Return the description of a field from that of its object, None where it has none."""
    fields = description.get("fields")
    return next(
        (
            field
            for field in (fields if isinstance(fields, list) else [])
            if isinstance(field, dict) and field.get("name") == name
        ),
        None,
    )


def choices(description: JSONObject, name: str) -> list[str]:
    """Return the active values of a picklist."""
    values = (field_of(description, name) or {}).get("picklistValues")
    return [
        str(value["value"])
        for value in (values if isinstance(values, list) else [])
        if isinstance(value, dict) and value.get("active") is not False and "value" in value
    ]


def _text(request: JSONObject, name: str, limit: int) -> str:
    value = request.get(name, "")
    if not isinstance(value, str):
        raise RefusedError(f"`{name}` must be text")
    # Salesforce counts as UTF-16 does: what stands beyond its first plane (an emoji) is two.
    return value.encode("utf-16-le", "replace")[: 2 * limit].decode("utf-16-le", "ignore")


def _sender(request: JSONObject, where: str, named: str, limit: int) -> tuple[str, str]:
    """Return the address and the name of who wrote.

    Salesforce refuses the whole record for an address that it cannot read: such a one stands
    where the name does.
    """
    address, name = _text(request, where, MAX_FROM), _text(request, named, MAX_FROM)
    readable = len(address) <= limit and _ADDRESS.fullmatch(address)
    return (address, name) if readable else ("", name or address)


def _filled(fields: dict[str, str]) -> JSONObject:
    return {name: value for name, value in fields.items() if value}


def _matching(form: re.Pattern[str], value: JSON, problem: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise RefusedError(f"{problem}, not {str(value)[:MAX_NAME]!r}")
    return value
