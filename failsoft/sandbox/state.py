"""Everything that the outside world holds and counts: one `World` from reset to reset."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from failsoft.clock import Clock
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.bank import BankStore
from failsoft.sandbox.call import Delivery, Served
from failsoft.sandbox.faults import FaultPlan, matches
from failsoft.sandbox.hooks import HookStore
from failsoft.sandbox.issues import IssueStore
from failsoft.sandbox.mails import MailStore
from failsoft.sandbox.messages import MessageStore
from failsoft.sandbox.salesforce_records import RecordStore
from failsoft.sandbox.slack_interactions import InteractionStore
from failsoft.sandbox.slack_socket import SocketStore

LOGGED = 10_000


@dataclass(kw_only=True, slots=True)
class Entry:
    """One line of the request log. `status` stays None when no answer left the door."""

    method: str
    path: str
    ordinal: int  # of its route, from 1
    at: float  # monotonic seconds
    status: int | None = None
    executed: bool = False
    faults: list[str] = field(default_factory=list)

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    def as_json(self) -> JSONObject:
        return {
            "method": self.method,
            "path": self.path,
            "ordinal": self.ordinal,
            "at": self.at,
            "status": self.status,
            "executed": self.executed,
            "faults": [*self.faults],
        }


class World:
    """The state of the three services, the faults and the request log."""

    def __init__(self, clock: Clock, *, seed: int, lag: float) -> None:
        self.clock = clock
        self.faults = FaultPlan(seed=seed)
        self.messages = MessageStore(clock)
        self.interactions = InteractionStore()
        self.sockets = SocketStore()
        self.issues = IssueStore(clock, lag=lag)
        self.mails = MailStore()
        self.hooks = HookStore()
        self.bank = BankStore()
        self.salesforce = RecordStore(clock=clock)
        self.served: list[Served] = []
        self.entries: list[Entry] = []
        self.arrived: Counter[str] = Counter()
        self._executed: Counter[str] = Counter()
        self._committed = asyncio.Condition()

    def arrive(self, method: str, path: str) -> Entry:
        """Log a request that came in."""
        route = f"{method} {path}"
        self.arrived[route] += 1
        ordinal = self.arrived[route]
        entry = Entry(method=method, path=path, ordinal=ordinal, at=self.clock.monotonic())
        if len(self.entries) < LOGGED:
            self.entries.append(entry)
        return entry

    async def commit(self, entry: Entry) -> None:
        """Count the request as executed and wake who waits for that."""
        entry.executed = True
        self._executed[entry.route] += 1
        async with self._committed:
            self._committed.notify_all()

    def executed(self, pattern: str) -> int:
        """Return how many matching requests were executed since the reset."""
        return sum(count for route, count in self._executed.items() if matches(pattern, route))

    async def wait_executed(self, pattern: str, count: int, seconds: float) -> int:
        """Return the number of executed requests once it is `count`, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._committed:
                await self._committed.wait_for(lambda: self.executed(pattern) >= count)
        except TimeoutError:
            pass
        return self.executed(pattern)

    def as_json(self) -> JSONObject:
        """Return what an outside observer could count."""
        return {
            "slack": self._slack(),
            "jira": {"issues": [*self.issues.as_json()], "lag": self.issues.lag},
            "mail": self.mails.as_json(),
            "hooks": self.hooks.as_json(),
            "bank": self.bank.as_json(),
            "salesforce": self.salesforce.as_json(),
            "model": self._model(),
            "requests": [entry.as_json() for entry in self.entries],
            "faults": self.fault_counts(),
            "seed": self.faults.seed,
        }

    def fault_counts(self) -> JSONObject:
        """Return how often each kind of fault occurred."""
        return {kind.value: count for kind, count in self.faults.occurred.items()}

    def _slack(self) -> JSONObject:
        return {
            **self.messages.as_json(),
            **self.interactions.as_json(),
            "socket": self.sockets.as_json(),
        }

    def _model(self) -> JSONObject:
        counts: dict[str, JSON] = {
            delivery.value: sum(served.delivery is delivery for served in self.served)
            for delivery in Delivery
        }
        return counts | {
            "calls": len(self.served),
            "tokens_in": sum(served.tokens_in for served in self.served),
            "tokens_out": sum(served.tokens_out for served in self.served),
        }
