"""What Salesforce's error codes mean for a write: the body of a refusal is a list of them."""

from dataclasses import dataclass

from failsoft.connectors.answers import MAX_REASON, judge, read
from failsoft.connectors.contract import NotSent, Outcome, Unknown
from failsoft.errors import InvalidDataError, RateLimitedError
from failsoft.http import Response
from failsoft.parsing import JSON, JSONObject

DUPLICATE = "DUPLICATE_VALUE"  # of a unique field; DUPLICATES_DETECTED is a rule, and a refusal
STALE_TOKEN = "INVALID_SESSION_ID"  # noqa: S105 - a code
LIMIT = "REQUEST_LIMIT_EXCEEDED"  # the organisation's calls of 24 hours
LATER = {  # rolled back as a whole, by Salesforce's own word
    "UNABLE_TO_LOCK_ROW",
    "EXCEEDED_MAX_CONCURRENT_REQUESTS",
    "CONCURRENT_REQUEST_LIMIT_EXCEEDED",
    "TXN_SECURITY_METERING_ERROR",
}
FIRST = 1.0  # seconds until a locked row is tried again, at the least


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One error: its code, its sentence, and the fields that it is about."""

    code: str
    message: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        about = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{self.code}{about}: {self.message}"


def complaints(response: Response) -> list[Complaint]:
    """Return the errors in an answer, none where it holds none that can be read."""
    try:
        said = response.json()
    except InvalidDataError:
        return []
    listed = said if isinstance(said, list) else []
    return [_complaint(one) for one in listed if isinstance(one, dict)]


def detail(response: Response) -> str:
    """Return the errors of an answer as a part of a sentence."""
    said = "; ".join(str(one) for one in complaints(response))
    return f": {said}" if said else ""


def outcome_of(response: Response, what: str, *, cap: float, now: float) -> Outcome:
    """Sort an answer that is no success; `cap` is the longest pause in seconds.

    Where Salesforce refuses every call for hours, everybody keeps away for `cap` at a time.
    """
    codes = {one.code for one in complaints(response)}
    reason = f"{what}: status {response.status}{detail(response)}"[:MAX_REASON]
    if LIMIT in codes:
        return NotSent(reason=reason, retry_after=cap, rate_limited=True)
    if codes & LATER:
        return NotSent(reason=reason, retry_after=min(FIRST, cap))
    if response.status == 401 and STALE_TOKEN in codes:
        return NotSent(reason=reason)
    if "SERVER_UNAVAILABLE" in codes:
        return Unknown(reason=reason)
    return judge(response, what, detail(response), now=now)


def record_of(response: Response, what: str, *, cap: float, now: float) -> JSONObject:
    """Return the object that a reading call answered.

    Raises:
        TransientError: it cannot be read now.
        RefusedError: it can never be read.
    """
    codes = {one.code for one in complaints(response)}
    if codes & {LIMIT, *LATER}:
        pause = cap if LIMIT in codes else min(FIRST, cap)
        raise RateLimitedError(f"{what}: status {response.status}{detail(response)}", pause)
    return read(response, what, detail(response), now=now)


def _complaint(one: dict[str, JSON]) -> Complaint:
    fields = one.get("fields")
    named = tuple(str(name) for name in fields) if isinstance(fields, list) else ()
    return Complaint(
        code=str(one.get("errorCode", "")), message=str(one.get("message", "")), fields=named
    )
