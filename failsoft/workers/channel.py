"""What every channel to people can do, and one message on its way through it."""

from abc import ABC, abstractmethod
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from failsoft.checkpoints.outbox import Message, Outbox
from failsoft.checkpoints.reviews import Review
from failsoft.connectors.contract import Done, Failed, Found, NotSent, Operation
from failsoft.errors import (
    MissingSettingError,
    PermanentError,
    RefusedError,
    TransientError,
)
from failsoft.nodes.context import Services
from failsoft.parsing import JSONObject

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Sending:
    """One message; `target` is what its channel names behind the colon."""

    services: Services
    outbox: Outbox
    message: Message
    target: str

    @property
    def transaction_id(self) -> str:
        """The key of every delivery of this message."""
        return transaction_id_of(self.message.idempotency_key)

    async def send(
        self, operation: Operation[Any], request: JSONObject, transaction_id: str
    ) -> JSONObject:
        """Send once through the gate, and return what the other side answered.

        Raises:
            TransientError: it may be tried again; it may have arrived.
            RefusedError: it was refused.
            ConfigurationError: a setting is missing.
        """
        client = self.services.clients.get(operation.connector)
        key, within = operation.gate_key(request), self.services.settings.timing.send
        async with self.services.passing(key, within=within):
            outcome = await operation.send(client, request, transaction_id, within=within)
        match outcome:
            case Done(response=response):
                return response
            case Failed(reason=reason):
                raise RefusedError(reason)
            case NotSent(reason=reason, retry_after=retry_after):
                if outcome.rate_limited:
                    await self.services.cool(key, retry_after)
                raise TransientError(reason, retry_after)
            case _:
                raise TransientError(outcome.reason)

    async def find(
        self, operation: Operation[Any], request: JSONObject, mark: JSONObject
    ) -> JSONObject | None:
        """Look for an earlier delivery of this message: where it is, or None."""
        client = self.services.clients.get(operation.connector)
        key, within = operation.gate_key(request), self.services.settings.timing.send
        async with self.services.passing(key, within=within):
            found = await operation.find(client, request, self.transaction_id, mark)
        return found.response if isinstance(found, Found) else None


class Channel(ABC):
    """A way to people. Instances hold no state."""

    @abstractmethod
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        """Deliver the question; return the place where it can be changed, if there is one."""

    async def find(self, sending: Sending, review: Review) -> JSONObject | None:
        """Return the place of an earlier delivery that nobody marked, if it can be found."""
        return None

    async def change(self, sending: Sending, review: Review, place: JSONObject) -> None:
        """Show what became of the question; {} where nobody knows its place. Twice is as once."""
        raise PermanentError(f"what went to {sending.message.channel} cannot be changed")


def named(table: Mapping[str, Value], name: str, variable: str, purpose: str) -> Value:
    """Return what the settings have under a name.

    Raises:
        MissingSettingError: they have nothing at all: another worker may be set up, or this one.
        PermanentError: they have others, so the name is wrong.
    """
    if not table:
        raise MissingSettingError(variable, purpose)
    if name not in table:
        raise PermanentError(f"{variable} has no {name!r}, only {', '.join(sorted(table))}")
    return table[name]


def transaction_id_of(key: str) -> str:
    return b32encode(sha256(key.encode()).digest())[:26].decode().lower()
