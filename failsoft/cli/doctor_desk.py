"""What the doctor says of an agent's desk: each channel that its questions go to."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from failsoft.cli.check import Check, checked
from failsoft.errors import ConfigurationError
from failsoft.settings import Settings

if TYPE_CHECKING:
    from failsoft.nodes.policy import Desk

CONNECTORS = {  # what delivers to a channel; the log needs none
    "apprise": "apprise", "email": "mail", "pagerduty": "pagerduty", "slack": "slack",
    "webhook": "webhook",
}  # fmt: skip


def connectors_of(desk: "Desk") -> set[str]:
    """Return the connectors that the desk's channels need."""
    schemes = {channel.partition(":")[0] for channel in _channels(desk)}
    return {connector for scheme, connector in CONNECTORS.items() if scheme in schemes}


async def look_at_desk(desk: "Desk", settings: Settings) -> list[Check]:
    """Say of each channel whether the settings have what it names; nothing is sent."""
    return [
        await checked(f"channel {channel}", partial(_look, channel, settings))
        for channel in dict.fromkeys(_channels(desk))
    ]


def _channels(desk: "Desk") -> Iterator[str]:
    yield from desk.via
    yield from desk.escalate


async def _look(channel: str, settings: Settings) -> str:
    """Raise ConfigurationError or PermanentError where no message could ever arrive."""
    # Only here: heavy, not for --help.
    from failsoft.cli.doctor_outside import CONFIGURED  # noqa: PLC0415
    from failsoft.connectors.pagerduty import SEVERITIES  # noqa: PLC0415
    from failsoft.workers.channel import named  # noqa: PLC0415
    from failsoft.workers.mail_channel import address_of  # noqa: PLC0415

    scheme, _, target = channel.partition(":")
    match scheme:
        case "email":
            address_of(target, settings.contacts)
        case "webhook":
            named(settings.webhooks, target, "FAILSOFT_WEBHOOKS", "signed webhooks by name")
        case "apprise":
            named(settings.apprise, target, "FAILSOFT_APPRISE", "Apprise URLs by name")
        case "pagerduty" if target and target not in SEVERITIES:
            raise ConfigurationError(f"the severity is one of {', '.join(SEVERITIES)}")
        case "slack" if not target:
            raise ConfigurationError("name the channel: slack:#name or slack:<id>")
        case "log":
            return "a line in the worker's log"
    if scheme not in CONNECTORS:
        raise ConfigurationError(
            f"there is no channel {scheme!r}: use log, {', '.join(CONNECTORS)}"
        )
    setting = CONFIGURED[CONNECTORS[scheme]]
    if not getattr(settings, setting):
        raise ConfigurationError(f"set FAILSOFT_{setting.upper()}: questions of the agent go there")
    return "is set up"
