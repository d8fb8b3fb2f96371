"""Slack's signature on what it sends by HTTP: HMAC-SHA256 over time and raw body.

Signed are the bytes as they came, never a body that was read and written again.
"""

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from failsoft.errors import InvalidDataError

SIGNATURE, TIMESTAMP = "x-slack-signature", "x-slack-request-timestamp"
WINDOW = 300.0  # seconds that a signature is good for, before and after: clocks differ
REMEMBERED = 10_000  # answered requests within the window; more push the oldest out

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


class SignatureError(InvalidDataError):
    """A request is not from Slack, is too old, or was answered before: answer it with 401."""


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[SecretStr], now: float
) -> str:
    """Check that one of `secrets` signed exactly these bytes, and return the signature.

    `secrets` are the signing secret and, while it is being rotated, the old one; `now` is in
    seconds since 1970. What the error says is for our own log: to the caller every refusal is one.

    Raises:
        SignatureError: a header is missing or malformed, the time is off by more than WINDOW, or
            none of the secrets made it.
    """
    named = {name.lower(): value for name, value in headers.items()}
    at, shown = named.get(TIMESTAMP, ""), named.get(SIGNATURE, "")
    if not _TIMESTAMP.fullmatch(at) or not _SIGNATURE.fullmatch(shown):
        raise SignatureError("The request has no readable signature of Slack's.")
    if abs(now - int(at)) > WINDOW:
        raise SignatureError(f"The request was signed {now - int(at):.0f} s ago; compare clocks.")
    # All are tried, or the time taken would tell which of the two secrets is in use.
    made = [hmac.compare_digest(_made(secret, at, body), shown) for secret in secrets]
    if not any(made):
        raise SignatureError("The request was not signed with our signing secret.")
    return shown


class Answered:
    """The signatures of requests that were answered for good: none is taken a second time.

    Slack signs each delivery anew, its repeats too, so that a signature that comes again after a
    2xx comes from somebody else. Before that it may come again: what was answered 5xx because the
    database was away may be brought again as it is, by a proxy. Another process does not know the
    signature; there the event's key, or the review that has its answer, tells the repeat, so that
    a replay never does anything twice.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def check(self, signature: str, now: float) -> None:
        """Raise SignatureError for a signature whose request was answered 2xx."""
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
        if signature in self._until:
            raise SignatureError("The request was answered before: it is a replay.")

    def add(self, signature: str, now: float) -> None:
        """Note that the request of that signature is being answered 2xx."""
        # Its time may be ahead of ours by one window, and is then good for one more.
        self._until[signature] = now + 2 * WINDOW
        if len(self._until) > REMEMBERED:
            self._until.popitem(last=False)


def _made(secret: SecretStr, at: str, body: bytes) -> str:
    signed = f"v0:{at}:".encode() + body
    return "v0=" + hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
