"""What every connector promises to the nodes that write through it.

An `Operation` is a stateless description of one kind of external write. It hangs on the class of
its connector (`Jira.create_issue`), so that a graph can name it without a client, a setting or
I/O. The connector itself, with its client and credentials, is built when a call needs it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from failsoft.parsing import JSONObject

Client = TypeVar("Client")


class Consistency(StrEnum):
    """What the other side offers against a second copy (design, section 5)."""

    UNIQUE_INDEX = "unique_index"  # at most one, always
    IDEMPOTENCY_KEY = "idempotency_key"  # at most one, while the receiver keeps the key
    IDEMPOTENT = "idempotent"  # repeating it changes nothing
    DIRECT_PROBE = "direct_probe"  # at most one, unless committed later than settle
    NONE = "none"  # at least once


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """It was executed."""

    external_id: str
    response: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotSent:
    """It was surely not executed and may be sent again, not before `retry_after` seconds.

    `rate_limited` says that everybody should keep away for that long.
    """

    reason: str
    retry_after: float = 0.0
    rate_limited: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """It was refused for good."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """It may have been executed or not: look before sending again."""

    reason: str


Outcome = Done | NotSent | Failed | Unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The write is there."""

    external_id: str
    response: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """The write is not there; `certain` is false where the other side only offers a search."""

    certain: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at on the other side; `mend` says what to do, "" when it is well.

    A client's `examine` returns them for `failsoft doctor`.
    """

    name: str
    detail: str
    mend: str = ""


class Operation(ABC, Generic[Client]):
    """One kind of external write. Instances hold no state and are shared by all runs."""

    connector: ClassVar[str]  # the name under which its client is kept: "jira"
    name: ClassVar[str]  # "create_issue"
    consistency: ClassVar[Consistency]
    settle_seconds: ClassVar[float]  # absence counts only so long after the send deadline

    def gate_key(self, request: JSONObject) -> str:
        """Return what shares one limit: the dependency, or the dependency and a part of it."""
        return self.connector

    async def mark(self, client: Client, request: JSONObject) -> JSONObject:
        """Return what `find` must know from before the send; stored with the claim.

        Raises:
            TransientError: it could not be read now; nothing was claimed or sent.
            PermanentError: it can never be read.
        """
        return {}

    @abstractmethod
    async def send(
        self, client: Client, request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        """Send once, with no retry of its own, and give up after `within` seconds in all."""

    @abstractmethod
    async def find(
        self, client: Client, request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        """Look for the write that carries `transaction_id`.

        Raises:
            TransientError: it could not be looked for now.
            PermanentError: it can never be looked for.
        """

    def __repr__(self) -> str:
        return f"{self.connector}.{self.name}"
