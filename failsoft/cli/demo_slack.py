"""The demo of slack-jira: Slack messages become Jira tickets."""

import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from typing_extensions import override

from failsoft.cli.demo_deliveries import Delivery, deliveries_of, write_messages
from failsoft.cli.demo_faults import ISSUE, SLACK_JIRA
from failsoft.cli.demo_scenario import Entrance, Expected, Fate, Made, Scenario, Seen, Words
from failsoft.cli.demo_stage import Stage
from failsoft.cli.demo_world import World
from failsoft.events import Event, Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.slack import normalise
from failsoft.sandbox.messages import BOT
from failsoft.workers.assembly import Parts


class Doorstep(Entrance[Delivery]):
    """Slack's Events API behind its signature, which is no part of the demo."""

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.delivered = []

    @override
    async def deliver(self, delivery: Delivery) -> None:
        await self.reception.admit(normalise(delivery.payload, own_bot_id=BOT))
        self.delivered.append(delivery)

    @override
    async def settle(self) -> None:
        return  # it is durable when `deliver` returns


class SlackJira(Scenario[Delivery]):
    """Messages of three channels, and what becomes of them in Jira."""

    agent = "slack-jira"
    creation = ISSUE
    words = Words(
        came="Slack messages", made="tickets in Jira", one="ticket", system="Jira",
        counted="tickets",
    )  # fmt: skip
    harm = SLACK_JIRA

    @override
    def write(self, number: int, rng: random.Random) -> list[Sequence[Delivery]]:
        return [deliveries_of(write_messages(number, rng), rng)]

    @override
    def expected(self, delivered: Sequence[Delivery]) -> Mapping[str, Expected]:
        found: dict[str, Expected] = {}
        for delivery in delivered:
            event = normalise(delivery.payload, own_bot_id=BOT)
            fate = _fate(event)
            if fate is not Fate.LISTED or event.key not in found:  # an edit has its message's key
                found[event.key] = _expected(delivery, fate)
        return found

    @override
    @contextlib.asynccontextmanager
    async def entrance(
        self, stage: Stage, parts: Parts, world: World
    ) -> AsyncIterator[Entrance[Delivery]]:
        (graph,) = parts.graphs
        yield Doorstep(Reception.of(graph, parts.store.runs))

    @override
    def seen(self, state: Mapping[str, Any]) -> Seen:
        messages = state["slack"]["messages"]
        answered = [one for one in messages if one.get("thread_ts")]
        return Seen(
            made=[_made(issue) for issue in state["jira"]["issues"]],
            parts=[],
            answers=[f"{one['channel']} {one['thread_ts']}" for one in answered],
        )


def _fate(event: Event | Ignored) -> Fate:
    if isinstance(event, Ignored):
        return Fate.LISTED
    return Fate.JOINED if event.thread else Fate.OWN


def _expected(delivery: Delivery, fate: Fate) -> Expected:
    sent = delivery.message
    return Expected(nonce=sent.nonce, fate=fate, place=sent.place, silent=fate is not Fate.OWN)


def _made(issue: Mapping[str, Any]) -> Made:
    """Read a ticket; it carries its transaction id as a label."""
    marks = (label[3:] for label in issue["labels"] if label.startswith("fs-"))
    return Made(
        transaction_id=next(marks, ""),
        text=json.dumps(issue["fields"]),
    )
