"""One request and one answer, as the simulated services see them: no sockets, no faults."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, parse_object

if TYPE_CHECKING:
    from failsoft.sandbox.contents import Content
    from failsoft.sandbox.state import World

BAD_TOKEN = "bad-token"  # noqa: S105 - the one token that every service refuses


class Credential(StrEnum):
    """What a request shows of its sender."""

    GOOD = "good"
    MISSING = "missing"
    BAD = "bad"


class Delivery(StrEnum):
    """What became of a computed model answer."""

    PENDING = "pending"
    ANSWERED = "answered"
    DROPPED = "dropped"


@dataclass(kw_only=True, slots=True)
class Served:
    """A model answer that was computed, and so would be paid for."""

    tokens_in: int
    tokens_out: int
    delivery: Delivery = Delivery.PENDING


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a service answers: JSON, or text for the few answers that are none."""

    status: int = 200
    body: JSON = None
    headers: Mapping[str, str] = field(default_factory=dict)
    served: Served | None = None

    @property
    def executed(self) -> bool:
        """Whether the request was accepted; Slack refuses with status 200 and `ok: false`."""
        refused = isinstance(self.body, dict) and self.body.get("ok") is False
        return self.status < 400 and not refused

    @property
    def content(self) -> bytes:
        """The body on the wire."""
        if self.status == 204:
            return b""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request; `parts` are the named parts of its path, `ordinal` counts its route."""

    world: "World"
    origin: str  # http://127.0.0.1:port
    method: str
    path: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    payload: bytes
    ordinal: int
    content: "Content | None" = None  # how a model answer is spoilt

    def json(self) -> JSONObject:
        """Read the body.

        Raises:
            InvalidDataError: it is no JSON object.
        """
        return parse_object(self.payload)

    @property
    def credential(self) -> Credential:
        """What the Authorization header holds: any bearer or basic secret but one is good."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return credential(_password(value) if scheme.lower() == "basic" else value)


Handler: TypeAlias = Callable[[Call], Answer]


def credential(secret: str) -> Credential:
    """Judge a token or password."""
    if not secret.strip():
        return Credential.MISSING
    return Credential.BAD if secret.strip() == BAD_TOKEN else Credential.GOOD


def texts(value: JSON) -> list[str]:
    """Return the strings of a list, nothing of anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def integer(value: JSON, default: int) -> int:
    """Read a whole number that may come as text.

    Raises:
        InvalidDataError: it is none.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidDataError("A whole number is needed.")
    try:
        return int(value)
    except ValueError:
        raise InvalidDataError(f"{value!r} is no whole number.") from None


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
