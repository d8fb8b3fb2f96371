"""What one demo plays: what comes in, through which door, what goes wrong, what is counted."""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

if TYPE_CHECKING:
    from failsoft.cli.demo_faults import Harm
    from failsoft.cli.demo_stage import Stage
    from failsoft.cli.demo_world import World
    from failsoft.workers.assembly import Parts

AGENTS = {
    "slack-jira": "failsoft.cli.demo_slack:SlackJira",
    "email-salesforce": "failsoft.cli.demo_email:EmailSalesforce",
}

Sent = TypeVar("Sent")  # one delivery, as the scenario's door takes it


class Fate(StrEnum):
    """What must become of an event, unless a person is asked about it."""

    OWN = "own"  # a ticket or case of its own
    JOINED = "joined"  # it stands where the event stands that it answers
    LISTED = "listed"  # nothing: it is listed with its reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What must become of one event; `place` is where an answer to it would stand."""

    nonce: str  # stands in its text
    fate: Fate
    place: str
    silent: bool  # nobody may answer it
    root: str = ""  # the nonce of what it must be a part of, where that can be seen from outside
    label: str | None = None  # the one that a model which answers must give it


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One ticket or case in the outside world, and the words of an event that it holds."""

    transaction_id: str
    text: str
    route: tuple[str, ...] = ()  # where it went, as the scenario's `route` names it


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What was added to a ticket or case, which `within` names by its words."""

    text: str
    within: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the outside world holds of a scenario; `answers` are the places that were answered."""

    made: Sequence[Made]
    parts: Sequence[Part]
    answers: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """How the demo speaks of a scenario."""

    came: str
    made: str
    one: str
    system: str
    counted: str  # the figure that counts what was made


class Entrance(ABC, Generic[Sent]):
    """The open door of a scenario; `delivered` is what came through it, in order."""

    delivered: list[Sent]

    @abstractmethod
    async def deliver(self, delivery: Sent) -> None:
        """Bring one delivery in, however often it came before.

        Raises:
            UnavailableError: the database is away.
        """


class Scenario(ABC, Generic[Sent]):
    """One demo. All that happens in it follows from the seed."""

    agent: ClassVar[str]
    creation: ClassVar[str]  # the route that creates what is counted
    words: ClassVar[Words]
    harm: ClassVar["Harm"]

    @abstractmethod
    def write(self, number: int, rng: random.Random) -> list[Sequence[Sent]]:
        """Write the deliveries of so many messages, in acts: one begins when all rests."""

    @abstractmethod
    def expected(self, delivered: Sequence[Sent]) -> Mapping[str, Expected]:
        """Return what must become of each event, by its key: what was sent decides."""

    @abstractmethod
    def entrance(
        self, stage: "Stage", parts: "Parts", world: "World"
    ) -> AbstractAsyncContextManager[Entrance[Sent]]:
        """Open the door."""

    @abstractmethod
    def route(self, label: str) -> tuple[str, ...]:
        """Return where a label leads, by the agent's routes."""

    @abstractmethod
    def seen(self, state: Mapping[str, Any]) -> Seen:
        """Read the state of the sandbox."""


def scenario_of(agent: str) -> Scenario[Any]:  # Any: a delivery only goes back to its scenario
    """Return the scenario of an agent that AGENTS names."""
    module, _, name = AGENTS[agent].partition(":")
    return cast("Scenario[Any]", getattr(import_module(module), name)())
