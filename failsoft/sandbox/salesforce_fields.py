"""The fields of the simulated Salesforce's objects, as `describe` shows them and writes obey."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from failsoft.parsing import JSON, JSONObject

TXN = "Failsoft_Txn__c"
PRIORITIES = ("High", "Medium", "Low")
ADDRESS = re.compile(r"[^@\s<>(),;:\\\"\[\]]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a value is not taken."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field; `length` is in characters, 0 for what is no text."""

    type: str = "string"
    length: int = 255
    writable: bool = True
    choices: tuple[str, ...] = ()
    key: bool = False  # External ID, and unique whatever its case

    def as_json(self, name: str) -> JSONObject:
        values: list[JSON] = [
            {"value": choice, "label": choice, "active": True, "defaultValue": False}
            for choice in self.choices
        ]
        return {
            "name": name,
            "label": name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": self.length,
            "custom": name.endswith("__c"),
            "createable": self.writable,
            "updateable": self.writable,
            "externalId": self.key,
            "unique": self.key,
            "caseSensitive": False,
            "idLookup": self.key or name == "Id",
            "nillable": True,
            "restrictedPicklist": False,
            "picklistValues": values,
        }


_READ = Field(type="id", length=18, writable=False)
_REFERENCE = Field(type="reference", length=18)
_KEY = Field(length=40, key=True)
_MADE = Field(type="datetime", length=0, writable=False)

FIELDS: Mapping[str, Mapping[str, Field]] = {
    "Case": {
        "Id": _READ,
        "CaseNumber": Field(length=30, writable=False),
        "Subject": Field(),
        "Description": Field(type="textarea", length=32_000),
        "Priority": Field(type="picklist", choices=PRIORITIES),
        "Status": Field(type="picklist", choices=("New", "Working", "Escalated", "Closed")),
        "IsClosed": Field(type="boolean", length=0, writable=False),
        "Origin": Field(type="picklist", choices=("Email", "Phone", "Web")),
        "SuppliedEmail": Field(type="email", length=80),
        "SuppliedName": Field(length=80),
        "OwnerId": _REFERENCE,
        "CreatedDate": _MADE,
        TXN: _KEY,
    },
    "EmailMessage": {
        "Id": _READ,
        "ParentId": _REFERENCE,
        "Subject": Field(length=3_000),
        "TextBody": Field(type="textarea", length=131_072),
        "FromAddress": Field(type="email", length=1_000),
        "FromName": Field(length=1_000),
        "ToAddress": Field(length=4_000),
        "MessageIdentifier": Field(length=765),
        "Incoming": Field(type="boolean", length=0),
        "Status": Field(type="picklist", choices=("0", "1", "2", "3", "4")),
        "CreatedDate": _MADE,
        TXN: _KEY,
    },
    "Group": {"Id": _READ, "Name": Field(), "DeveloperName": Field(), "Type": Field()},
}
DEFAULTS: Mapping[str, JSONObject] = {
    "Case": {"Status": "New", "Priority": "Medium"},
    "EmailMessage": {"Incoming": False, "Status": "0"},
}


def problem_of(kind: str, name: str, value: JSON) -> Problem | None:
    """Return why Salesforce would not take a value, None when it would."""
    known = FIELDS[kind].get(name)
    if known is None:
        return Problem(code="INVALID_FIELD", message=f"No such column '{name}' on sobject {kind}")
    if not known.writable:
        message = f"Unable to create/update fields: {name}."
        code = "INVALID_FIELD_FOR_INSERT_UPDATE"
        return Problem(code=code, message=message, fields=(name,))
    return None if value is None else _value_problem(known, name, value)


def _value_problem(known: Field, name: str, value: JSON) -> Problem | None:
    if not isinstance(value, bool if known.type == "boolean" else str):
        message = f"Cannot deserialize a value of {name}"
        return Problem(code="JSON_PARSER_ERROR", message=message)
    text = str(value)
    length = len(text.encode("utf-16-le", "replace")) // 2  # as Salesforce counts
    if known.length and length > known.length:
        message = f"{name}: data value too large: {text[:20]} (max length={known.length})"
        return Problem(code="STRING_TOO_LONG", message=message, fields=(name,))
    if known.type == "email" and text and not ADDRESS.fullmatch(text):
        message = f"{name}: invalid email address: {text[:40]}"
        return Problem(code="INVALID_EMAIL_ADDRESS", message=message, fields=(name,))
    return None


def described(kind: str) -> JSONObject:
    """Return an object's description, with the parts that clients look at."""
    fields: list[JSON] = [field.as_json(name) for name, field in FIELDS[kind].items()]
    return {
        "name": kind,
        "label": kind,
        "createable": True,
        "updateable": True,
        "queryable": True,
        "fields": fields,
    }
