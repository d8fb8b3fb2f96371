"""Salesforce: open a case once, add a mail to it, route one that is there.

A case and a mail carry their transaction id in a field that is External ID and Unique, so
Salesforce itself refuses a second one. They are created, never upserted: an upsert that comes late
would write over what a person has changed meanwhile.
"""

import asyncio
from typing import ClassVar, Self
from urllib.parse import quote

from typing_extensions import override

from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Finding,
    Found,
    NotSent,
    Operation,
    Outcome,
    Unknown,
)
from failsoft.connectors.salesforce_errors import DUPLICATE, complaints
from failsoft.connectors.salesforce_examination import examined
from failsoft.connectors.salesforce_fields import (
    SHOWN,
    case_fields,
    case_id_of,
    change_fields,
    choices,
    email_fields,
    id_in,
    queue_of,
)
from failsoft.connectors.salesforce_login import Login, LoginRefusedError, instance_of
from failsoft.connectors.salesforce_session import Session
from failsoft.errors import (
    InvalidDataError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from failsoft.http import Response
from failsoft.parsing import JSONObject
from failsoft.settings import Settings


class CreateCase(Operation["Salesforce"]):
    """Open a case: `subject`, `description`, `queue` (DeveloperName), `priority`.

    It may have `supplied_email` and `supplied_name`.
    """

    connector = "salesforce"
    name = "create_case"
    consistency = Consistency.UNIQUE_INDEX
    settle_seconds = 0.0

    @override
    async def send(
        self, client: "Salesforce", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        began = client.session.clock.monotonic()
        owner = await client.owner(request, within=within)
        if not isinstance(owner, str):
            return owner
        try:
            fields = case_fields(request, owner)
        except RefusedError as error:
            return Failed(reason=str(error))
        left = within - (client.session.clock.monotonic() - began)
        return await client.create("Case", fields, transaction_id, within=left)

    @override
    async def find(
        self, client: "Salesforce", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return await client.found("Case", transaction_id)


class AddEmail(Operation["Salesforce"]):
    """Add a mail to a case: `case_id`, `subject`, `text`, `from_address`, `message_id`.

    It may have `from_name`, `to_address` and `incoming`.
    """

    connector = "salesforce"
    name = "add_email"
    consistency = Consistency.UNIQUE_INDEX
    settle_seconds = 0.0

    @override
    async def send(
        self, client: "Salesforce", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        try:
            fields = email_fields(request)
        except RefusedError as error:
            return Failed(reason=str(error))
        return await client.create("EmailMessage", fields, transaction_id, within=within)

    @override
    async def find(
        self, client: "Salesforce", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return await client.found("EmailMessage", transaction_id)


class RouteCase(Operation["Salesforce"]):
    """Give a case that is there to a queue: `case_id`, `queue` (DeveloperName), `priority`."""

    connector = "salesforce"
    name = "route_case"
    consistency = Consistency.IDEMPOTENT
    settle_seconds = 0.0

    @override
    async def send(
        self, client: "Salesforce", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        began = client.session.clock.monotonic()
        owner = await client.owner(request, within=within)
        if not isinstance(owner, str):
            return owner
        try:
            case_id, fields = case_id_of(request), change_fields(request, owner)
        except RefusedError as error:
            return Failed(reason=str(error))
        left = within - (client.session.clock.monotonic() - began)
        return await client.change("Case", case_id, fields, within=left)

    @override
    async def find(
        self, client: "Salesforce", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return Absent(certain=True)  # doing it again changes nothing


class Salesforce:
    """The client: one organisation, one External Client App."""

    create_case: ClassVar[CreateCase] = CreateCase()
    add_email: ClassVar[AddEmail] = AddEmail()
    route_case: ClassVar[RouteCase] = RouteCase()

    def __init__(self, session: Session, instance_url: str, *, txn_field: str) -> None:
        self.session = session
        self.txn_field = txn_field
        self._instance_url = instance_url.rstrip("/")
        self._queues: dict[str, str] = {}  # ids, by DeveloperName
        self._priorities: list[str] = []

    def __repr__(self) -> str:
        return f"Salesforce({self._instance_url!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Raise MissingSettingError for the first setting that has no value."""
        instance = instance_of(settings)
        version, login = settings.salesforce_api_version, Login.from_settings(settings)
        session = Session(instance, login, version=version, timing=settings.timing)
        return cls(session, instance, txn_field=settings.salesforce_txn_field)

    async def close(self) -> None:
        await self.session.close()

    async def examine(self) -> list[Finding]:
        """Log in and look at the fields; raises as `Session.describe` does."""
        return await examined(self.session, self.txn_field)

    async def create(
        self, kind: str, fields: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        """Create a record, once; a second one under the same transaction id is the first one."""
        ends = self.session.clock.monotonic() + within
        what, body = f"Salesforce create {kind}", {**fields, self.txn_field: transaction_id}
        sent = await self.session.attempt("POST", f"sobjects/{kind}", body, within=within)
        if not isinstance(sent, Response):
            return sent
        left = ends - self.session.clock.monotonic()
        if sent.status == 201:
            return await self._created(sent, kind, what, within=left)
        if DUPLICATE in {one.code for one in complaints(sent)}:
            return await self._duplicate(sent, kind, transaction_id, what, within=left)
        return self.session.sorted(sent, what)

    async def change(
        self, kind: str, record_id: str, fields: JSONObject, *, within: float
    ) -> Outcome:
        """Change fields of a record."""
        path = f"sobjects/{kind}/{record_id}"
        sent = await self.session.attempt("PATCH", path, fields, within=within)
        if not isinstance(sent, Response):
            return sent
        if sent.status in {200, 204}:
            return Done(external_id=record_id, response=self._reference(kind, record_id, ""))
        return self.session.sorted(sent, f"Salesforce change {kind}")

    async def found(
        self, kind: str, transaction_id: str, *, within: float | None = None
    ) -> Found | Absent:
        """Read a record by its transaction id: the unique index makes the answer certain.

        Raises:
            TransientError: it cannot be read now.
            PermanentError: it can never be read.
        """
        path = f"sobjects/{kind}/{self.txn_field}/{quote(transaction_id, safe='')}"
        response = await self.session.ask(path, params=SHOWN[kind], within=within)
        if response.status == 404:
            return Absent(certain=True)
        record = self.session.object(response, f"Salesforce GET {kind}")
        record_id = id_in(record)
        if not record_id:
            raise TransientError(f"Salesforce answered a {kind} without an id")
        number = str(record.get("CaseNumber") or "")
        return Found(external_id=record_id, response=self._reference(kind, record_id, number))

    async def owner(self, request: JSONObject, *, within: float) -> str | NotSent | Failed:
        """Return the id of the queue that a request names, or why nothing can be written."""
        try:
            async with asyncio.timeout(within):
                return await self.queue_id(queue_of(request))
        except TimeoutError:
            return NotSent(reason="Salesforce: the queue was not found in time")
        except TransientError as error:
            limited = isinstance(error, RateLimitedError)
            return NotSent(reason=str(error), retry_after=error.retry_after, rate_limited=limited)
        except LoginRefusedError as error:
            return NotSent(reason=str(error))
        except PermanentError as error:
            return Failed(reason=str(error))

    async def queue_id(self, queue: str) -> str:
        """Return the id of a queue by its DeveloperName.

        Raises:
            RefusedError: there is none.
            TransientError: it cannot be read now.
        """
        if queue not in self._queues:
            name = queue_of({"queue": queue})  # nothing that could end the string
            rows = await self.session.query(
                f"SELECT Id FROM Group WHERE Type = 'Queue' AND DeveloperName = '{name}'"  # noqa: S608 - checked
            )
            if not rows:
                raise RefusedError(f"Salesforce has no queue {queue!r}")
            if not (queue_id := id_in(rows[0])):
                raise TransientError("Salesforce answered a queue without an id")
            self._queues[queue] = queue_id
        return self._queues[queue]

    async def priorities(self) -> list[str]:
        """Return the priorities that a case may have; raises as `Session.describe` does."""
        if not self._priorities:
            self._priorities = choices(await self.session.describe("Case"), "Priority")
        return self._priorities

    async def _created(self, sent: Response, kind: str, what: str, *, within: float) -> Outcome:
        try:
            record_id = id_in(sent.object(), "id")
        except InvalidDataError:
            record_id = ""
        if not record_id:
            return Unknown(reason=f"{what}: status 201 without a readable id")
        number = await self._number(record_id, within=within) if kind == "Case" else ""
        return Done(external_id=record_id, response=self._reference(kind, record_id, number))

    async def _number(self, case_id: str, *, within: float) -> str:
        """Return the number by which people call a case, "" where it cannot be read now."""
        path = f"sobjects/Case/{case_id}"
        try:
            answer = await self.session.ask(path, params=SHOWN["Case"], within=within)
            return str(self.session.object(answer, "Salesforce GET Case").get("CaseNumber") or "")
        except (TransientError, PermanentError):
            return ""

    async def _duplicate(
        self, sent: Response, kind: str, transaction_id: str, what: str, *, within: float
    ) -> Outcome:
        """Find out whether it is ours that is there already, or another unique field's value."""
        try:
            known = await self.found(kind, transaction_id, within=within)
        except (TransientError, PermanentError) as error:
            return Unknown(reason=f"{what}: it seems to be there already: {error}")
        if isinstance(known, Found):
            return Done(external_id=known.external_id, response=known.response)
        if any(self.txn_field in one.message for one in complaints(sent)):
            return Unknown(reason=f"{what}: it is there already, and we may not see it")
        return self.session.sorted(sent, what)

    def _reference(self, kind: str, record_id: str, number: str) -> JSONObject:
        url = f"{self._instance_url}/lightning/r/{kind}/{record_id}/view"
        return {"id": record_id, "number": number, "url": url}
