"""The records of the simulated Salesforce: cases, mails, queues, and the index that is unique."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from failsoft.clock import Clock
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.salesforce_fields import DEFAULTS, TXN, problem_of

QUEUES = ("Billing", "Technical", "Account", "Returns", "Sales", "Unclassified")
PREFIXES = {"Case": "500", "EmailMessage": "02s", "Group": "00G"}
CLOSED = "Closed"  # of Case.Status
USER = "005SANDBOX00000AAA"  # whom the app acts for


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal(Exception):  # noqa: N818  # a refusal is an answer, not a failure
    """What Salesforce refuses, in its own words."""

    code: str
    message: str
    fields: tuple[str, ...] = ()
    status: int = 400


@dataclass(kw_only=True)
class RecordStore:
    """All records by object and id; a transaction id is unique whatever its case."""

    clock: Clock
    calls: int = 0  # of the last 24 hours
    rows: dict[str, dict[str, JSONObject]] = field(default_factory=dict)
    ordinals: dict[str, int] = field(default_factory=dict)  # of the creating requests, by id

    def __post_init__(self) -> None:
        queues = {
            _id("Group", number): _queue(number, name) for number, name in enumerate(QUEUES, 1)
        }
        self.rows = {"Case": {}, "EmailMessage": {}, "Group": queues}

    def as_json(self) -> JSONObject:
        """Return cases and mails in the order in which they were made."""
        cases: list[JSON] = [
            {**self._observed(case), "queue": self._queue_of(case)}
            for case in self.rows["Case"].values()
        ]
        emails: list[JSON] = [self._observed(mail) for mail in self.rows["EmailMessage"].values()]
        return {"cases": cases, "emails": emails, "calls": self.calls}

    def get(self, kind: str, record_id: str) -> JSONObject:
        """Return a record by its id, of 15 or 18 characters; raises Refusal where there is none."""
        for known, row in self.rows[kind].items():
            if record_id in {known, known[:15]}:
                return row
        raise Refusal(code="NOT_FOUND", message="The requested resource does not exist", status=404)

    def by_txn(self, kind: str, value: str) -> JSONObject | None:
        """Return the record that the index knows under a transaction id."""
        wanted = value.casefold()
        rows = self.rows[kind].values()
        return next((row for row in rows if str(row.get(TXN) or "").casefold() == wanted), None)

    def create(self, kind: str, given: Mapping[str, JSON], *, ordinal: int) -> JSONObject:
        """Make a record; raises Refusal when a field is wrong or the index knows it already.

        `ordinal` counts the creating request on its route.
        """
        self._check(kind, given)
        if (txn := given.get(TXN)) and (known := self.by_txn(kind, str(txn))):
            raise _duplicate(known)
        number = len(self.rows[kind]) + 1
        made = {**DEFAULTS[kind], "CreatedDate": self._now(), **given}
        made["Id"] = _id(kind, number)
        if kind == "Case":
            made.setdefault("OwnerId", USER)
            made["IsClosed"] = made["Status"] == CLOSED
            made["CaseNumber"] = f"{1000 + number:08d}"
        self.rows[kind][str(made["Id"])] = made
        self.ordinals[str(made["Id"])] = ordinal
        return made

    def change(self, kind: str, row: JSONObject, given: Mapping[str, JSON]) -> None:
        """Change fields of a record; raises Refusal as `create` does."""
        self._check(kind, given)
        known = self.by_txn(kind, str(given[TXN])) if given.get(TXN) else None
        if known is not None and known is not row:
            raise _duplicate(known)
        row.update(given)
        if kind == "Case":
            row["IsClosed"] = row["Status"] == CLOSED

    def _check(self, kind: str, given: Mapping[str, JSON]) -> None:
        for name, value in given.items():
            if problem := problem_of(kind, name, value):
                raise Refusal(code=problem.code, message=problem.message, fields=problem.fields)
        owner, parent = given.get("OwnerId"), given.get("ParentId")
        owners = [USER, *self.rows["Group"]]
        if owner is not None and str(owner)[:15] not in {one[:15] for one in owners}:
            raise _cross_reference("OwnerId")
        if parent is not None and str(parent)[:15] not in {one[:15] for one in self.rows["Case"]}:
            raise _cross_reference("ParentId")

    def _observed(self, row: JSONObject) -> JSONObject:
        return {**row, "ordinal": self.ordinals[str(row["Id"])]}

    def _queue_of(self, case: JSONObject) -> JSON:
        return self.rows["Group"].get(str(case.get("OwnerId")), {}).get("DeveloperName")

    def _now(self) -> str:
        at = datetime.fromtimestamp(self.clock.now(), UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _queue(number: int, name: str) -> JSONObject:
    return {"Id": _id("Group", number), "Name": name, "DeveloperName": name, "Type": "Queue"}


def _id(kind: str, number: int) -> str:
    return f"{PREFIXES[kind]}SB{number:010d}AAA"


def _duplicate(known: JSONObject) -> Refusal:
    message = f"duplicate value found: {TXN} duplicates value on record with id: {known['Id']}"
    return Refusal(code="DUPLICATE_VALUE", message=message)


def _cross_reference(name: str) -> Refusal:
    message = f"{name}: id value of incorrect type or of no record"
    return Refusal(code="INVALID_CROSS_REFERENCE_KEY", message=message, fields=(name,))
