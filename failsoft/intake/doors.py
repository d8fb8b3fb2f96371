"""Every kind of door by name: what `failsoft listen --door` and FAILSOFT_DOORS may say."""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from failsoft.errors import ConfigurationError
from failsoft.intake.door import Door
from failsoft.settings import Settings


class Kind(Protocol):
    """What every class of doors can do beside being a door."""

    def at(self, spec: str, settings: Settings) -> Door: ...


SHOWN = 30  # characters of a kind that nobody knows

# How a spec is written, and the class that reads it. The word before the first colon is the kind.
DOORS = {
    "slack-socket": "failsoft.intake.slack_socket:SocketDoor",
    "slack-history[:TS]": "failsoft.intake.slack_history:HistoryDoor",
    "maildir:/path": "failsoft.intake.maildir:MaildirDoor",
    "smtp:HOST:PORT": "failsoft.intake.smtp:SmtpDoor",
    "imap://USER@HOST:PORT/FOLDER": "failsoft.intake.imap:ImapDoor",
    "imaps://USER@HOST:PORT/FOLDER": "failsoft.intake.imap:ImapDoor",
    "amqp://…": "failsoft.intake.rabbitmq:RabbitDoor",
    "amqps://…": "failsoft.intake.rabbitmq:RabbitDoor",
    "redis://…": "failsoft.intake.redis_stream:RedisDoor",
    "rediss://…": "failsoft.intake.redis_stream:RedisDoor",
    "sqs:QUEUE_URL": "failsoft.intake.sqs:SqsDoor",
    "salesforce-cases:QUEUE": "failsoft.intake.salesforce_cases:CasesDoor",
}


def open_door(spec: str, settings: Settings) -> Door:
    """Set up the door that a spec names; nothing is connected yet.

    Raises:
        ConfigurationError: no such kind, a spec that its kind cannot read, or a missing setting.
        MissingExtraError: its package is not installed.
    """
    homes = {form.partition(":")[0].rstrip("["): home for form, home in DOORS.items()}
    kind = spec.partition(":")[0]  # the rest may hold a password: it is never quoted
    if kind not in homes:
        known = ", ".join(DOORS)
        shown = kind[:SHOWN].partition("@")[0]
        raise ConfigurationError(f"There is no door of the kind {shown!r}; there are {known}.")
    module, _, name = homes[kind].partition(":")
    made = cast("Kind", getattr(import_module(module), name))
    return made.at(spec, settings)


def open_doors(specs: Sequence[str], settings: Settings) -> list[Door]:
    """Set up several doors.

    Raises:
        ConfigurationError: see `open_door`; or two of them read from the same place.
    """
    doors = [open_door(spec, settings) for spec in specs]
    names = [door.name for door in doors]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"The door {min(twice)} is named twice: once is enough.")
    return doors
