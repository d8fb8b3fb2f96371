"""Apprise: notices to whatever service it knows, at least once.

Its services give back no id and keep no key, so it has no operation and no agent writes through
it: it only tells people something. Its URLs hold tokens and passwords; no error shows one.
"""

import asyncio
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from failsoft.connectors.contract import Finding
from failsoft.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingSettingError,
    TransientError,
)
from failsoft.settings import Settings, Timing

if TYPE_CHECKING:  # it comes with an extra
    from apprise import Apprise as Services

# From which level on their log lines are kept: those below quote whole URLs.
QUIET = {"apprise": logging.CRITICAL + 1, "urllib3": logging.INFO}


class Apprise:
    """The client: every Apprise URL in the settings, by its name."""

    def __init__(self, urls: Mapping[str, SecretStr], *, timing: Timing) -> None:
        self._urls = dict(urls)
        self._timing = timing
        self._services: dict[str, Services] = {}

    def __repr__(self) -> str:
        return f"Apprise({[*self._urls]!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it; nothing is sent.

        Raises:
            MissingSettingError: there is no URL.
            MissingExtraError: apprise is not installed.
        """
        if not settings.apprise:
            raise MissingSettingError(
                "FAILSOFT_APPRISE__NAME", "the Apprise URL of the service NAME"
            )
        if find_spec("apprise") is None:
            raise MissingExtraError("notify", "Notices by Apprise")
        return cls(settings.apprise, timing=settings.timing)

    async def close(self) -> None:
        """Do nothing: each notice has a connection of its own."""

    async def examine(self) -> list[Finding]:
        """See whether Apprise can read each URL; only a notice would show whether it works."""
        return [await self._examined(name) for name in self._urls]

    async def notify(self, name: str, title: str, body: str) -> None:
        """Send a notice as plain text to the service `name`.

        Raises:
            ConfigurationError: there is no such service, or Apprise cannot read its URL.
            TransientError: it did not get through; part of it may have.
        """
        services = await self._service(name)
        try:
            async with asyncio.timeout(self._timing.send):
                sent = await services.async_notify(
                    title=title, body=body, body_format="text", timeout=self._timing.send
                )
        except TimeoutError:
            raise TransientError(f"Apprise {name}: not through in time") from None
        if not sent:  # Apprise keeps a plugin's own errors to itself
            raise TransientError(f"Apprise {name}: the service did not take it")

    async def _examined(self, name: str) -> Finding:
        try:
            await self._service(name)
        except ConfigurationError as error:
            return Finding(name=name, detail="cannot be used", mend=str(error))
        told = "its URL can be read; whether it works, only a notice can show"
        return Finding(name=name, detail=told)

    async def _service(self, name: str) -> "Services":
        if name not in self._urls:
            raise MissingSettingError(
                f"FAILSOFT_APPRISE__{name.upper()}", f"the Apprise URL of the service {name}"
            )
        if name not in self._services:  # in a thread: it imports all its plugins
            self._services[name] = await asyncio.to_thread(_load, name, self._urls[name])
        return self._services[name]


def _load(name: str, url: SecretStr) -> "Services":
    """Raise ConfigurationError when Apprise cannot read the URL."""
    from apprise import Apprise as Services  # noqa: PLC0415
    from apprise import AppriseAsset  # noqa: PLC0415

    for logger, level in QUIET.items():
        logging.getLogger(logger).setLevel(level)
    # No redirect is followed, as everywhere here: a token would go along.
    services = Services(asset=AppriseAsset(http_redirects=False))
    if not services.add(url.get_secret_value()):
        raise ConfigurationError(f"FAILSOFT_APPRISE__{name.upper()}: Apprise cannot read this URL.")
    return services
