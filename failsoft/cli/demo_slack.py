"""The demo of slack-jira: Slack messages become Jira tickets."""

import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from typing_extensions import override

from failsoft.agents.slack_jira.requests import ROUTES
from failsoft.cli.demo_deliveries import Delivery, deliveries_of, write_messages
from failsoft.cli.demo_faults import ISSUE, SLACK_JIRA
from failsoft.cli.demo_samples import Sample
from failsoft.cli.demo_scenario import Entrance, Expected, Fate, Made, Scenario, Seen, Words
from failsoft.cli.demo_stage import Stage
from failsoft.cli.demo_world import World
from failsoft.intake.admission import Reception
from failsoft.intake.slack import normalise
from failsoft.sandbox.messages import BOT
from failsoft.workers.assembly import Parts

FATES = {  # by `expect`
    "ticket": Fate.OWN,
    "person_or_ticket": Fate.OWN,
    "joined": Fate.JOINED,
    "ignored": Fate.LISTED,
}

THANKS = "thanks"  # the kind that starts nothing, and is listed under the run of its thread


class Doorstep(Entrance[Delivery]):
    """Slack's Events API behind its signature, which is no part of the demo."""

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.delivered = []

    @override
    async def deliver(self, delivery: Delivery) -> None:
        await self.reception.admit(normalise(delivery.payload, own_bot_id=BOT))
        self.delivered.append(delivery)


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
            key = normalise(delivery.payload, own_bot_id=BOT).key
            fate = _fate(delivery.message.sample)
            if fate is not Fate.LISTED or key not in found:  # an edit has its message's key
                found[key] = _expected(delivery, fate)
        return found

    @override
    @contextlib.asynccontextmanager
    async def entrance(
        self, stage: Stage, parts: Parts, world: World
    ) -> AsyncIterator[Entrance[Delivery]]:
        (graph,) = parts.graphs
        yield Doorstep(Reception.of(graph, parts.store.runs))

    @override
    def route(self, label: str) -> tuple[str, ...]:
        found = ROUTES[label]
        return found.project, found.issue_type, found.priority

    @override
    def seen(self, state: Mapping[str, Any]) -> Seen:
        messages = state["slack"]["messages"]
        answered = [one for one in messages if one.get("thread_ts")]
        return Seen(
            made=[_made(issue) for issue in state["jira"]["issues"]],
            parts=[],
            answers=[f"{one['channel']} {one['thread_ts']}" for one in answered],
        )


def _fate(sample: Sample) -> Fate:
    return Fate.JOINED if sample.kind == THANKS else FATES[sample.expect]


def _expected(delivery: Delivery, fate: Fate) -> Expected:
    sent = delivery.message
    return Expected(
        nonce=sent.nonce,
        fate=fate,
        place=sent.place,
        silent=fate is not Fate.OWN,
        label=sent.sample.label if sent.sample.kind == "normal" else None,
    )


def _names(fields: Mapping[str, Any], **names: str) -> tuple[str, ...]:
    return tuple(str((fields.get(field) or {}).get(name)) for field, name in names.items())


def _made(issue: Mapping[str, Any]) -> Made:
    """Read a ticket; it carries its transaction id as a label."""
    marks = (label[3:] for label in issue["labels"] if label.startswith("fs-"))
    return Made(
        transaction_id=next(marks, ""),
        text=json.dumps(issue["fields"]),
        route=_names(issue["fields"], project="key", issuetype="name", priority="name"),
    )
