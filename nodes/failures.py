"""Errors of other people's code, told apart by what a node does about them."""

from collections.abc import Sequence

from langgraph.errors import GraphBubbleUp
from pydantic import SecretStr

from failsoft.errors import (
    BudgetExceededError,
    ConfigurationError,
    FailsoftError,
    HeldError,
    LeaseLostError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    TransientError,
    UnavailableError,
    UsageError,
)
from failsoft.nodes.state import ErrorNote
from failsoft.tracing.summary import Redaction

# What a node never catches: LangGraph's own signals, a lost lease, our own database away, a
# setting that an operator must mend.
PASS_THROUGH = (GraphBubbleUp, LeaseLostError, UnavailableError, ConfigurationError, UsageError)
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_REASON = 300  # characters

_redaction = [Redaction()]


def judge(error: Exception, tool: str) -> TransientError | PermanentError:
    """Return `error` as one of ours: worth another attempt, or not.

    Foreign errors are told apart by what HTTP clients share: a time-out or a broken connection, a
    `status_code` on the error or on its `response`. Whatever is not known is a bug, and a bug is
    not mended by trying again.
    """
    if isinstance(error, TransientError | PermanentError):
        return error
    reason = f"{tool}: {describe(error)}"
    status = _status(error)
    if status == 429:
        return RateLimitedError(reason)
    if status in RETRYABLE or isinstance(error, TimeoutError | ConnectionError):
        return TransientError(reason)
    if _is_transport_error(error):
        return TransientError(reason)
    return RefusedError(reason)


def note_of(error: FailsoftError) -> ErrorNote:
    """Return the error as data for the state."""
    reason = _clean(str(error))
    match error:
        case HeldError():
            return ErrorNote(kind="held", reason=reason, retry_after=error.retry_after)
        case TransientError():
            return ErrorNote(kind="transient", reason=reason, retry_after=error.retry_after)
        case BudgetExceededError():
            return ErrorNote(kind="budget", reason=reason)
        case _:
            return ErrorNote(kind="refused", reason=reason)


def hide(secrets: Sequence[SecretStr]) -> None:
    """Keep these values out of every text that is made of an error from now on.

    One list for the process: somebody else's error may quote a key wherever it is raised.
    """
    _redaction[0] = Redaction.of(secrets)


def describe(error: BaseException) -> str:
    """Return the error's class and first line; further lines of a database quote its rows."""
    text = _clean(str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _clean(text: str) -> str:
    return _redaction[0].text(text, MAX_REASON)


def _status(error: Exception) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _is_transport_error(error: Exception) -> bool:
    """Tell whether an HTTP library says that the connection failed, by the names they share."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "Timeout", "APIConnectionError"})
