"""The part of SOQL that clients of the sandbox use: one object, `AND`, an order, a limit."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.salesforce_fields import FIELDS

_QUERY = re.compile(
    r"\s*SELECT\s+(?P<fields>[\w\s,]+?)\s+FROM\s+(?P<kind>\w+)"
    r"(?:\s+WHERE\s+(?P<where>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>[\w\s,]+?))?"
    r"(?:\s+LIMIT\s+(?P<limit>\d{1,5}))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(
    r"\s*(\w+)\s*(!=|<=|>=|=|<|>)\s*('(?:[^'\\]|\\.)*'|[\w.:+-]+)\s*(AND\s|$)", re.IGNORECASE
)
Value: TypeAlias = "JSON | datetime"
_WORDS: Mapping[str, JSON] = {"true": True, "false": False, "null": None}
# Any: of two values of one kind, which `Condition` sees to.
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One comparison of a field with a value."""

    name: str
    sign: str
    value: Value

    def holds(self, row: Mapping[str, JSON]) -> bool:
        has: Value = row.get(self.name)
        if isinstance(self.value, datetime):
            has = datetime.fromisoformat(str(has))
        elif isinstance(has, str) and isinstance(self.value, str):
            return bool(_COMPARE[self.sign](has.casefold(), self.value.casefold()))
        if self.sign not in {"=", "!="} and not isinstance(has, type(self.value)):
            return False
        return bool(_COMPARE[self.sign](has, self.value))


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A query that was read; `order` are field names, each with whether it falls."""

    kind: str
    fields: Sequence[str]
    conditions: Sequence[Condition] = ()
    order: Sequence[tuple[str, bool]] = ()
    limit: int = 2_000  # rows that Salesforce gives at once

    def of(self, rows: Iterable[JSONObject]) -> list[JSONObject]:
        """Return what is asked for of the rows that fit."""
        found = [row for row in rows if all(one.holds(row) for one in self.conditions)]
        for name, falls in reversed(self.order):
            found.sort(key=partial(_sorting, name), reverse=falls)
        return [{name: row.get(name) for name in self.fields} for row in found[: self.limit]]


def read_query(text: str) -> Query:
    """Read a query.

    Raises:
        InvalidDataError: it is none, or one that the sandbox does not understand.
    """
    found = _QUERY.fullmatch(text)
    if found is None:
        raise InvalidDataError("unexpected token")
    kind = next((one for one in FIELDS if one.lower() == found["kind"].lower()), None)
    if kind is None:
        raise InvalidDataError(f"sObject type '{found['kind']}' is not supported.")
    return Query(
        kind=kind,
        fields=[_field(kind, name) for name in found["fields"].split(",")],
        conditions=[*_conditions(kind, found["where"] or "")],
        order=[*_order(kind, found["order"] or "")],
        limit=int(found["limit"] or 2_000),
    )


def _sorting(name: str, row: JSONObject) -> str:
    return str(row.get(name))


def _conditions(kind: str, text: str) -> Iterable[Condition]:
    at = 0
    while at < len(text):
        found = _CONDITION.match(text, at)
        if found is None:
            raise InvalidDataError(f"unexpected token: {text[at:][:20]}")
        name = _field(kind, found[1])
        yield Condition(name=name, sign=found[2], value=_value(kind, name, found[3]))
        at = found.end()


def _order(kind: str, text: str) -> Iterable[tuple[str, bool]]:
    for part in filter(None, text.split(",")):
        name, *way = part.split()
        if len(way) > 1 or (way and way[0].upper() not in {"ASC", "DESC"}):
            raise InvalidDataError(f"unexpected token: {part.strip()[:20]}")
        yield _field(kind, name), bool(way) and way[0].upper() == "DESC"


def _field(kind: str, name: str) -> str:
    wanted = name.strip().lower()
    for known in FIELDS[kind]:
        if known.lower() == wanted:
            return known
    raise InvalidDataError(f"No such column '{name.strip()[:40]}' on entity '{kind}'.")


def _value(kind: str, name: str, literal: str) -> Value:
    if literal.startswith("'"):
        return re.sub(r"\\(.)", r"\1", literal[1:-1])
    if FIELDS[kind][name].type == "datetime":
        try:
            return datetime.fromisoformat(literal)
        except ValueError:
            raise InvalidDataError(f"{literal} is no datetime") from None
    if literal.lower() not in _WORDS:
        raise InvalidDataError(f"unexpected token: {literal[:20]}")
    return _WORDS[literal.lower()]
