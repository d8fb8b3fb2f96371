"""The connectors of one process, each with its client built when the first call needs it."""

from importlib import import_module
from typing import Any, Protocol, Self, cast

from failsoft.connectors.contract import Finding, Operation
from failsoft.errors import NotFoundError
from failsoft.settings import Settings


class Client(Protocol):
    """What every connector's client can do."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it; nothing is sent. Raises MissingSettingError or MissingExtraError."""

    async def close(self) -> None: ...

    async def examine(self) -> list[Finding]:
        """Look at whatever it needs on the other side, writing nothing.

        Raises:
            TransientError: it cannot be asked now.
            PermanentError: it refuses us.
        """


CONNECTORS = {
    "apprise": "failsoft.connectors.apprise:Apprise",
    "jira": "failsoft.connectors.jira:Jira",
    "mail": "failsoft.connectors.mail:Mail",
    "pagerduty": "failsoft.connectors.pagerduty:PagerDuty",
    "salesforce": "failsoft.connectors.salesforce:Salesforce",
    "slack": "failsoft.connectors.slack:Slack",
    "webhook": "failsoft.connectors.webhook:Webhook",
}


class Clients:
    """Builds each client once, from settings, and closes them all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._built: dict[str, Client] = {}

    def get(self, name: str) -> Client:
        """Return the client of a connector.

        Raises:
            NotFoundError: there is no connector of that name.
            MissingSettingError: it lacks a setting.
        """
        if name not in self._built:
            self._built[name] = _connector(name).from_settings(self._settings)
        return self._built[name]

    # Any: which client an operation takes is known only to the connector that it hangs on.
    def operation(self, name: str) -> Operation[Any]:
        """Return the operation named `connector.operation`; raises NotFoundError."""
        connector, _, operation = name.partition(".")
        found = vars(_connector(connector)).get(operation)
        if not isinstance(found, Operation):
            raise NotFoundError(f"There is no operation {name!r}.")
        return found

    async def close(self) -> None:
        """Close what was built; a client that is asked for later is built anew."""
        while self._built:
            _, client = self._built.popitem()
            await client.close()


def _connector(name: str) -> type[Client]:
    if name not in CONNECTORS:
        known = ", ".join(CONNECTORS)
        raise NotFoundError(f"There is no connector {name!r}; there are {known}.")
    module, _, kind = CONNECTORS[name].partition(":")
    return cast("type[Client]", getattr(import_module(module), kind))
