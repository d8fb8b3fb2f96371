"""The door to cases that Email-to-Case has opened: what is new in one queue, to be routed.

The cursor is the CreatedDate of the newest case that is durable. Salesforce may show an older case
later than a newer one, so that some time before the cursor is read again; the keys tell repeats.
Cases that failsoft opened itself, and closed ones, never come in.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from typing_extensions import override

from failsoft.checkpoints.cursors import Cursor
from failsoft.checkpoints.database import Database
from failsoft.clock import Clock
from failsoft.connectors.salesforce import Salesforce
from failsoft.connectors.salesforce_fields import id_in
from failsoft.errors import (
    ConfigurationError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from failsoft.events import Event, Ignored
from failsoft.http import Parameters
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.limits.gate import Gate
from failsoft.parsing import JSONObject
from failsoft.settings import Settings

PAGE = 2_000  # rows that Salesforce gives at once
BATCH = 50  # cases between two stored cursors
POLLS = 60  # of ours for one question: once a minute, 1 440 calls of the organisation's in a day
OVERLAP = timedelta(minutes=15)  # that is read again: no transaction of Salesforce's lasts longer
GATE = "salesforce"
FIRST = datetime(2000, 1, 1, tzinfo=UTC)  # before which no case was made
READ: Parameters = {"fields": "CaseNumber,Subject,Description,SuppliedEmail,SuppliedName"}

_QUEUE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")

T = TypeVar("T")


class CasesDoor(Door):
    """The open cases of `queue`; `pause` is in seconds, between two questions.

    A queue that was never read begins with the cases that are opened from now on.
    """

    def __init__(self, queue: str, settings: Settings, *, pause: float | None = None) -> None:
        """Raise ConfigurationError where the name is none, or a setting is missing."""
        if not _QUEUE.fullmatch(queue):
            raise ConfigurationError(
                "The door to cases is written salesforce-cases:QUEUE, with the DeveloperName of the"
                f" queue; {queue[:40]!r} is none."
            )
        self.name = f"salesforce-cases:{queue}"
        self.queue = queue
        self.settings = settings
        self.pause = POLLS * settings.timing.poll if pause is None else pause

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Set up the door that `salesforce-cases:QUEUE` names; nothing is sent.

        Raises:
            ConfigurationError: the spec cannot be read, or a setting is missing.
            MissingExtraError: the JWT login needs a package.
        """
        door = cls(spec.partition(":")[2], settings)
        Salesforce.from_settings(settings)
        return door

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Take what is new, and look again after each pause."""
        salesforce = Salesforce.from_settings(self.settings)
        calls = Calls(salesforce, self.settings, reception.runs.database)
        reading = Reading(self, calls, reception, reception.cursor(self.name), stopping)
        try:
            while not stopping.is_set():
                await reading.read()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self.pause)
        finally:
            await salesforce.close()


class Calls:
    """Questions to Salesforce through the gate that all share."""

    def __init__(self, salesforce: Salesforce, settings: Settings, database: Database) -> None:
        self.salesforce = salesforce
        self.gate = Gate(database, settings.limit)
        self.within = settings.timing.send
        self.clock = Clock()

    def now(self) -> datetime:
        """Return our time: a case of the future must not make the cursor skip all that follow."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    async def page(self, soql: str) -> tuple[list[JSONObject], bool]:
        """Return the first page of what a query finds, and whether that is all."""
        return await self._call(lambda: self.salesforce.session.page(soql))

    async def queue_id(self, queue: str) -> str:
        """Return the id of a queue; raises as `case` does."""
        return await self._call(lambda: self.salesforce.queue_id(queue))

    async def case(self, case_id: str) -> JSONObject | None:
        """Return a case, None where it is gone.

        Raises:
            TransientError: it cannot be read now.
            PermanentError: it can never be read.
            UnavailableError: the database, and so the gate, is away.
        """

        async def ask() -> JSONObject | None:
            session = self.salesforce.session
            answer = await session.ask(f"sobjects/Case/{case_id}", params=READ)
            return None if answer.status == 404 else session.object(answer, "Salesforce GET Case")

        return await self._call(ask)

    async def _call(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with self.gate.passing(GATE, lease=self.within, clock=self.clock):
            try:
                return await ask()
            except RateLimitedError as error:
                await self.gate.cool(GATE, error.retry_after)
                raise


@dataclass
class Reading:
    """What a queue is read with; `known` are cases that are durable and may be shown again."""

    door: CasesDoor
    calls: Calls
    reception: Reception
    cursor: Cursor
    stopping: asyncio.Event
    known: dict[str, datetime] = field(default_factory=dict)

    async def read(self) -> None:
        """Admit what the queue has that is new, the oldest first, and move the cursor behind it.

        Raises:
            TransientError: Salesforce is away.
            UnavailableError: the database is.
            ConfigurationError: there is no such queue, or nobody lets us look.
        """
        try:
            owner = await self.calls.queue_id(self.door.queue)
            begun, last = await self._place()
            since, more = last - OVERLAP, True
            while more and not self.stopping.is_set():
                rows, more = await self._listed(owner, begun, since)
                last = await self._take(rows, begun, last)
                more = more and rows[-1][1] > since
                since = rows[-1][1] if rows else since
        except PermanentError as error:
            raise ConfigurationError(
                f"The queue {self.door.queue} cannot be read: {error}. See what `failsoft doctor"
                " salesforce` says, and whether the run-as user may see every case."
            ) from None
        self.known = {known: at for known, at in self.known.items() if at >= last - OVERLAP}

    async def _take(
        self, rows: list[tuple[str, datetime]], begun: datetime, last: datetime
    ) -> datetime:
        """Admit what is new of what was listed, and return how far that leads."""
        for first in range(0, len(rows), BATCH):
            before = last
            for case_id, made in rows[first : first + BATCH]:
                if self.stopping.is_set():
                    break
                await self._admit(case_id, made)
                last = max(last, min(made, self.calls.now()))
            if last > before:
                await self._store(begun, last)
        return last

    async def _admit(self, case_id: str, made: datetime) -> None:
        if case_id in self.known:
            return
        case = await self.calls.case(case_id)
        if case is not None:
            await self.reception.admit(event_of(case_id, case))
        self.known[case_id] = made

    async def _listed(
        self, owner: str, begun: datetime, since: datetime
    ) -> tuple[list[tuple[str, datetime]], bool]:
        """Return what is open in the queue since then, each with its time, and if there is more."""
        rows, whole = await self.calls.page(
            f"SELECT Id, CreatedDate FROM Case WHERE OwnerId = '{owner}' AND IsClosed = false"  # noqa: S608  # no word of it is from outside
            f" AND {self.calls.salesforce.txn_field} = null AND CreatedDate > {_literal(begun)}"
            f" AND CreatedDate >= {_literal(since)} ORDER BY CreatedDate, Id LIMIT {PAGE}"
        )
        listed = [_line(row) for row in rows]
        return listed, bool(listed) and (not whole or len(listed) == PAGE)

    async def _place(self) -> tuple[datetime, datetime]:
        """Return where the queue was begun, by Salesforce's clock, and how far it is read."""
        stored = await self.cursor.read()
        if stored:
            begun, last = (datetime.fromisoformat(str(stored[name])) for name in ("begun", "last"))
            return begun, last
        rows, _ = await self.calls.page(
            "SELECT CreatedDate FROM Case ORDER BY CreatedDate DESC LIMIT 1"
        )
        begun = min(_made(rows[0]), self.calls.now()) if rows else FIRST
        await self._store(begun, begun)
        return begun, begun

    async def _store(self, begun: datetime, last: datetime) -> None:
        await self.cursor.store({"begun": begun.isoformat(), "last": last.isoformat()})


def event_of(case_id: str, case: JSONObject) -> Event | Ignored:
    """Return a case as an event; its id is its key, so that it is routed once for ever."""
    said = {name: str(case.get(name) or "") for name in str(READ["fields"]).split(",")}
    key = f"salesforce:{case_id}"
    text = f"{said['Subject']}\n\n{said['Description']}"
    if not text.strip():
        return Ignored(key=key, reason="the case says nothing")
    return Event(
        key=key,
        source="salesforce",
        text=text,
        facts={
            "case_id": case_id,
            "number": said["CaseNumber"],
            "subject": said["Subject"],
            "from": said["SuppliedEmail"],
            "from_name": said["SuppliedName"],
        },
    )


def _line(row: JSONObject) -> tuple[str, datetime]:
    """Return which case it is, and when it was made; raises TransientError where it is not told."""
    if not (case_id := id_in(row)):
        raise TransientError("Salesforce lists a case without its id")
    return case_id, _made(row)


def _made(row: JSONObject) -> datetime:
    """Return when a case was made; raises TransientError where it is not told."""
    try:
        made = datetime.fromisoformat(str(row.get("CreatedDate")))
    except ValueError:
        made = FIRST.replace(tzinfo=None)
    if made.tzinfo is None or made < FIRST:
        raise TransientError("Salesforce lists a case without its CreatedDate")
    return made


def _literal(moment: datetime) -> str:
    """Return a time as SOQL writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
