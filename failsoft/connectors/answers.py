"""How an answer of the outside world becomes an outcome: one table for every connector."""

from collections.abc import Awaitable

from failsoft.connectors.contract import Failed, NotSent, Outcome, Unknown
from failsoft.errors import (
    InvalidDataError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from failsoft.http import NotSentError, OutcomeUnknownError, Response
from failsoft.parsing import JSONObject

MAX_REASON = 500  # characters


async def attempt(sending: Awaitable[Response]) -> Response | NotSent | Unknown | Failed:
    """Await one attempt; what it raises becomes an outcome."""
    try:
        return await sending
    except NotSentError as error:
        return NotSent(reason=str(error), retry_after=error.retry_after)
    except OutcomeUnknownError as error:
        return Unknown(reason=str(error))
    except RefusedError as error:
        return Failed(reason=str(error))


def judge(response: Response, what: str, detail: str, *, now: float) -> Outcome:
    """Sort an answer that is no success: 429 was not executed, other 4xx were refused.

    Whatever is left (5xx, redirects, 408, an unreadable 2xx) may have been executed.
    """
    reason = f"{what}: status {response.status}{detail}"[:MAX_REASON]
    if response.status == 429:
        return NotSent(reason=reason, retry_after=response.retry_after(now), rate_limited=True)
    if 400 <= response.status < 500 and response.status != 408:
        return Failed(reason=reason)
    return Unknown(reason=reason)


def read(response: Response, what: str, detail: str, *, now: float) -> JSONObject:
    """Return the object that a reading call answered.

    Raises:
        RateLimitedError: 429.
        RefusedError: another 4xx, or a redirect: it can never be read.
        TransientError: a 5xx or an unreadable body: it cannot be read now.
    """
    if response.status == 200:
        try:
            return response.object()
        except InvalidDataError as error:
            raise TransientError(f"{what}: {error}") from None
    reason = f"{what}: status {response.status}{detail}"[:MAX_REASON]
    if response.status == 429:
        raise RateLimitedError(reason, response.retry_after(now))
    if 300 <= response.status < 500 and response.status != 408:
        raise RefusedError(reason)
    raise TransientError(reason)
