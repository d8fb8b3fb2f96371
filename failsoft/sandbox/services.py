"""The services beside Slack, Jira and the model: each is a module of the form of `Service`."""

from collections.abc import Sequence
from typing import Protocol

from failsoft.parsing import JSON
from failsoft.sandbox import bank, hooks, salesforce
from failsoft.sandbox.call import Handler


class Service(Protocol):
    """What such a module holds; its state is a field of `World`."""

    @property
    def PREFIX(self) -> str:  # noqa: N802  # a module's constant
        """What all its paths begin with."""

    @property
    def ROUTES(self) -> Sequence[tuple[str, str, Handler]]:  # noqa: N802  # likewise
        """Method, path behind the prefix, handler."""

    def refusal(self, status: int, /) -> JSON:
        """Return the body of a status that the real service answers."""


SERVICES: tuple[Service, ...] = (bank, hooks, salesforce)
