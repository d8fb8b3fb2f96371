"""What failsoft raises on purpose, split by what the caller does about it.

FailsoftError
├── UsageError                  what was asked for is wrong: change the call            (exit 2)
│   ├── UnknownAgentError
│   ├── InvalidEventError
│   ├── InvalidGraphError
│   ├── InvalidDataError        a data file or a text from outside that breaks its rules
│   └── NotFoundError           no such run, review or trace
├── ConfigurationError          the environment is wrong: change a setting or install   (exit 3)
│   ├── MissingSettingError
│   ├── MissingExtraError
│   └── ForeignHomeError
├── UnavailableError            something we need is away: try again later              (exit 4)
│   ├── DatabaseUnavailableError
│   └── EmbeddedPostgresError
├── TransientError              the call was not executed: the same call may succeed later
│   ├── RateLimitedError
│   ├── ToolTimeoutError
│   └── HeldError               our own gate said: not yet (counts as no attempt)
├── PermanentError              the same call will fail again: fall back, or ask a person
│   ├── RefusedError
│   └── InvalidOutputError      a model's answer broke its schema
├── BudgetExceededError         the run would spend more than it was given
├── RunCancelledError           a person cancelled the run: stop at this durable step
└── LeaseLostError              somebody else drives this run now: stop, write nothing more

An error's arguments are its fields, so that it survives pickling; `str()` makes the sentence.
"""

from typing import ClassVar


class FailsoftError(Exception):
    """Base of every error that failsoft raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(FailsoftError):
    """What was asked for is wrong: change the call."""

    exit_code = 2


class UnknownAgentError(UsageError):
    """There is no agent of that name."""


class InvalidEventError(UsageError):
    """The event cannot be read."""


class InvalidGraphError(UsageError):
    """The graph breaks a rule that keeps its writes single."""


class InvalidDataError(UsageError):
    """A data file or a text from outside breaks its rules."""


class NotFoundError(UsageError):
    """There is no such run, review or trace."""


class ConfigurationError(FailsoftError):
    """The environment is wrong: change a setting or install something."""

    exit_code = 3


class MissingSettingError(ConfigurationError):
    """A setting that this work needs has no value."""

    def __init__(self, variable: str, purpose: str) -> None:
        super().__init__(variable, purpose)
        self.variable = variable
        self.purpose = purpose

    def __str__(self) -> str:
        return f"{self.variable} is not set: {self.purpose}."


class MissingExtraError(ConfigurationError):
    """A package that only an extra brings is not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(extra, purpose)
        self.extra = extra
        self.purpose = purpose

    def __str__(self) -> str:
        return f"{self.purpose} needs a package of its own: pip install 'failsoft[{self.extra}]'"


class ForeignHomeError(ConfigurationError):
    """The home folder belongs to another user."""


class UnavailableError(FailsoftError):
    """Something that this work needs is away: try again later."""

    exit_code = 4


class DatabaseUnavailableError(UnavailableError):
    """Postgres does not answer."""


class EmbeddedPostgresError(UnavailableError):
    """The embedded Postgres cannot be started."""


class TransientError(FailsoftError):
    """The call was not executed; the same call may succeed later.

    `retry_after` is in seconds: what the other side asked for, 0 when it did not say.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason, retry_after)
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.reason


class RateLimitedError(TransientError):
    """The other side asked for fewer calls."""


class ToolTimeoutError(TransientError):
    """A tool gave no answer in time."""

    def __init__(self, tool: str, seconds: float) -> None:
        super().__init__(f"{tool} gave no answer within {seconds:g} s")
        self.args = (tool, seconds)


class HeldError(TransientError):
    """Our own gate holds the call back for `retry_after` seconds; this counts as no attempt."""


class PermanentError(FailsoftError):
    """The same call will fail again."""


class RefusedError(PermanentError):
    """The other side said no for good."""


class InvalidOutputError(PermanentError):
    """A model's answer breaks its schema."""


class BudgetExceededError(FailsoftError):
    """The run would spend more than it was given."""


class RunCancelledError(FailsoftError):
    """A person cancelled the run; what is decided stays, nothing more is written."""


class LeaseLostError(FailsoftError):
    """The run was taken over or has ended: stop driving it, write nothing more."""
