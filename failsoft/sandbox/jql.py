"""The part of JQL that failsoft asks: labels, project and issue type, joined by AND, one order."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from failsoft.parsing import JSONObject
from failsoft.sandbox.projects import Site

_CLAUSE = re.compile(
    r"""\s*(?P<field>\w+)\s*(?P<operator>!=|=|>=|<=|>|<|~|\bnot\s+in\b|\bin\b|\bis\b)\s*
    (?P<value>\([^()]*\)|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s()"']+)\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_ORDER = re.compile(r"\border\s+by\s+(?P<keys>.*)$", re.IGNORECASE | re.DOTALL)
_TEXT = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s,()"']+)""")
_AND = re.compile(r"and\b", re.IGNORECASE)

Condition = Callable[[JSONObject], bool]


class JqlError(Exception):
    """Jira refuses the query; the argument is its sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A search: what an issue must fulfil, and whether the newest comes first."""

    conditions: tuple[Condition, ...]
    descending: bool

    def accepts(self, fields: JSONObject) -> bool:
        return all(condition(fields) for condition in self.conditions)


def parse_jql(text: str, site: Site) -> Query:
    """Read a query.

    Raises:
        JqlError: it has no restriction, names something unknown, or is more than we simulate.
    """
    order = _ORDER.search(text)
    body = text[: order.start()].strip() if order else text.strip()
    if not body:
        raise JqlError(
            "Unbounded JQL queries are not allowed here."
            " Please add a search restriction to your query."
        )
    keys = order["keys"].strip().lower() if order else "created desc"
    name, _, direction = keys.partition(" ")
    if name not in {"created", "key", "issuekey", "id", "updated"} or "," in keys:
        raise JqlError(f"Not able to sort using field '{name}'.")
    return Query(conditions=tuple(_clauses(body, site)), descending=direction.strip() != "asc")


def _clauses(body: str, site: Site) -> list[Condition]:
    found: list[Condition] = []
    at = 0
    while at < len(body):
        if found:
            joint = _AND.match(body, at)
            if joint is None:
                raise JqlError(_syntax(body, at))
            at = joint.end()
        clause = _CLAUSE.match(body, at)
        if clause is None:
            raise JqlError(_syntax(body, at))
        found.append(_condition(clause, site))
        at = clause.end()
    return found


def _condition(clause: re.Match[str], site: Site) -> Condition:
    field, operator = clause["field"].lower(), clause["operator"].lower()
    values = ["".join(parts).replace('\\"', '"') for parts in _TEXT.findall(clause["value"])]
    if operator not in {"=", "in"}:
        raise JqlError(f"The operator '{operator}' is not supported by the '{field}' field.")
    wanted = {value.lower() for value in values}
    if field == "labels":
        return lambda fields: bool(wanted & _lowered(fields["labels"]))
    if field == "project":
        known = [site.project(value.upper()) or site.project(value) for value in values]
        if None in known:
            missing = values[known.index(None)]
            raise JqlError(f"The value '{missing}' does not exist for the field 'project'.")
        keys = {one.key for one in known if one}
        return lambda fields: _part(fields, "project", "key") in keys
    if field in {"issuetype", "type"}:
        return lambda fields: _part(fields, "issuetype", "name").lower() in wanted
    raise JqlError(
        f"Field '{clause['field']}' does not exist or you do not have permission to view it."
    )


def _lowered(labels: object) -> set[str]:
    return {str(label).lower() for label in labels} if isinstance(labels, list) else set()


def _part(fields: JSONObject, name: str, part: str) -> str:
    value = fields[name]
    return str(value[part]) if isinstance(value, dict) else ""


def _syntax(body: str, at: int) -> str:
    found = body[at:].split(maxsplit=1)
    return (
        f"Error in the JQL Query: '{found[0] if found else ''}' was not expected (character {at})."
    )
