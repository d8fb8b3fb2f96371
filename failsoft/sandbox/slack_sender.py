"""Slack as a sender by HTTP: it signs, waits three seconds, and repeats what was not taken."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import aiohttp

from failsoft.clock import Clock
from failsoft.errors import InvalidDataError
from failsoft.parsing import JSONObject

AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
MAX_SHOWN = 10_000  # characters of an answer
OFF = 600.0  # seconds by which a stale or a future signature is off


class Spoil(StrEnum):
    """How a delivery is forged; such a one is not repeated."""

    UNSIGNED = "unsigned"
    WRONG = "wrong"  # signed with another secret
    STALE = "stale"
    FUTURE = "future"
    REENCODED = "reencoded"  # the same content in other bytes than were signed
    REPLAYED = "replayed"  # a good delivery, and then the very same request again


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where to, with which secret; `pauses` are those before each repeat, all in seconds."""

    url: str
    secret: str
    pauses: tuple[float, ...]
    seconds: float
    skew: float = 0.0  # of the sender's clock
    spoil: Spoil | None = None


@dataclass(kw_only=True, slots=True)
class Posted:
    """One delivery, with all its attempts."""

    attempts: list[JSONObject] = field(default_factory=list)

    @property
    def delivered(self) -> bool:
        status = self.attempts[-1]["status"] if self.attempts else None
        return isinstance(status, int) and 200 <= status < 300

    def as_json(self) -> JSONObject:
        return {"delivered": self.delivered, "attempts": [*self.attempts]}


def event_body(payload: JSONObject) -> tuple[bytes, str]:
    """Return the body of an event, and its type."""
    return json.dumps(payload).encode(), JSON_TYPE


def interaction_body(payload: JSONObject) -> tuple[bytes, str]:
    """Return the body of an interaction, and its type."""
    return urlencode({"payload": json.dumps(payload)}).encode(), FORM_TYPE


async def post(target: Target, body: bytes, kind: str, clock: Clock) -> Posted:
    """Deliver a body, again after anything but a 2xx in time, unless the answer forbids it.

    Raises:
        InvalidDataError: the target is not on this machine.
    """
    _refuse_strangers(target.url)
    posted = Posted()
    sent = _reencoded(body, kind) if target.spoil is Spoil.REENCODED else body
    headers = _headers(target, body, kind, clock)
    async with aiohttp.ClientSession() as session:
        reason, wanted = await _attempt(session, target, sent, headers, posted)
        if target.spoil is Spoil.REPLAYED and posted.delivered:
            await _attempt(session, target, sent, headers, posted)
        for number, pause in enumerate(() if target.spoil else target.pauses, start=1):
            if posted.delivered or not wanted:
                break
            await clock.sleep(pause)
            again = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason}
            headers = _headers(target, body, kind, clock) | again
            reason, wanted = await _attempt(session, target, body, headers, posted)
    return posted


async def _attempt(
    session: aiohttp.ClientSession,
    target: Target,
    body: bytes,
    headers: dict[str, str],
    posted: Posted,
) -> tuple[str, bool]:
    """Send once; return why it failed, and whether it may be repeated."""
    status, text, wanted = None, "", True
    try:
        async with asyncio.timeout(target.seconds):
            async with session.post(
                target.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status, text = answer.status, (await answer.text(errors="replace"))[:MAX_SHOWN]
                wanted = answer.headers.get("X-Slack-No-Retry") != "1"
                reason = "" if 200 <= status < 300 else "http_error"
    except TimeoutError:
        status, reason = None, "http_timeout"
    except (aiohttp.ClientError, OSError):
        status, reason = None, "connection_failed"
    posted.attempts.append({"status": status, "reason": reason or None, "body": text})
    return reason, wanted


def _headers(target: Target, body: bytes, kind: str, clock: Clock) -> dict[str, str]:
    headers = {"Content-Type": kind, "User-Agent": AGENT}
    if target.spoil is Spoil.UNSIGNED:
        return headers
    off = {Spoil.STALE: -OFF, Spoil.FUTURE: OFF}.get(target.spoil, 0.0) if target.spoil else 0.0
    at = str(int(clock.now() + target.skew + off))
    secret = target.secret + ("?" if target.spoil is Spoil.WRONG else "")
    made = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return headers | {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={made}"}


def _reencoded(body: bytes, kind: str) -> bytes:
    if kind == JSON_TYPE:
        return json.dumps(json.loads(body), separators=(",", ":")).encode()
    return urlencode(parse_qsl(body.decode()), quote_via=quote).encode()


def _refuse_strangers(url: str) -> None:
    """Send to this machine only: nobody's real server gets forged events."""
    try:
        host = urlsplit(url).hostname or ""
        near = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        near = False
    if not near:
        raise InvalidDataError("The sandbox sends to loopback addresses only.")
