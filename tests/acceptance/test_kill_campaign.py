"""The real worker is killed -9 at chosen moments, and another one ends what it began.

A moment in Postgres is a commit: a deferred trigger stops it until the worker is dead; then it is
either let through, so that only its answer was lost, or rolled back, as if it had never arrived. A
moment at a connector is a request: killed before it is executed, or after that and before its
answer. Tickets, replies and model calls are counted by the sandbox, which is told nothing.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.executioner import TICKET, Fate, Moment, Rule, Story, executioner

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

MODEL = "POST /v1/chat/completions"
REPLY = "POST /slack/api/chat.postMessage"
MARK = "POST /slack/api/reactions.add"


def commits(story: Story, what: str, on: str, when: str, *rules: Rule | None) -> Iterator[Moment]:
    """Yield both fates of one commit; `rules` are the one before it and, if another, after it."""
    one = Moment(what=what, story=story, on=on, when=when, fate=Fate.ROLLED_BACK, rule=rules[0])
    yield one
    yield replace(one, fate=Fate.COMMITTED, rule=rules[-1])


def calls(story: Story, what: str, route: str, nth: int, rule: Rule | None) -> Iterator[Moment]:
    """Yield what may become of a request."""
    for fate in (Fate.LOST, Fate.LATE, Fate.EXECUTED):
        yield Moment(what=what, story=story, on=route, when=str(nth), fate=fate, rule=rule)


def kind(name: str) -> str:
    return f"convert_from(NEW.body, 'UTF8') LIKE '%\"kind\":\"{name}\"%'"


def step(number: int) -> str:
    return f"(NEW.metadata->>'step')::int = {number}"


RUN, AUDIT = "UPDATE ON runs", "INSERT ON audit_event"
CHECKPOINT, WRITES = "INSERT ON checkpoints", "INSERT ON checkpoint_writes"
CLAIMED = "OLD.state <> 'running' AND NEW.state = 'running'"
LINE, TIMER, PERSON = Story.LINE, Story.TIMER, Story.PERSON
START, GO_ON, EMPTY = Rule.START, Rule.GO_ON, Rule.NEXT_EMPTY
DELIVER, STALE = Rule.DELIVER, Rule.STALE


def settled(node: str) -> str:
    return f"NEW.state = 'done' AND NEW.node = '{node}'"


CHAPTERS: dict[str, list[Moment]] = {
    "beginning": [
        *commits(LINE, "the run is claimed", RUN, CLAIMED, START),
        *list(commits(LINE, "the attempt is noted", AUDIT, kind("run.attempt"), START))[1:],
        *commits(LINE, "the first checkpoint", CHECKPOINT, step(-1), None),
        *commits(LINE, "the input", WRITES, "NEW.task_path LIKE '%, __start__'", None),
        *commits(LINE, "the input's checkpoint", CHECKPOINT, step(0), EMPTY, GO_ON),
        *commits(LINE, "the model call is reserved", AUDIT, kind("model.reserved"), GO_ON),
    ],
    "classification": [
        *(
            replace(moment, asked=1 if moment.fate is Fate.LOST else 2)
            for moment in calls(LINE, "the model is asked", MODEL, 1, GO_ON)
        ),
        *(
            replace(moment, asked=2 if moment.fate is Fate.ROLLED_BACK else 1)
            for moment in commits(
                LINE, "the model's answer", AUDIT, kind("model.answered"), GO_ON
            )
        ),
        *commits(LINE, "the classification", WRITES, "NEW.channel = 'classification'", None),
        *commits(LINE, "the classification's checkpoint", CHECKPOINT, step(1), None, GO_ON),
    ],
    "ticket": [
        *commits(LINE, "the ticket is claimed", AUDIT, kind("effect.claimed"), GO_ON),
        *calls(LINE, "the ticket is sent", TICKET, 1, GO_ON),
        *commits(LINE, "the ticket", "UPDATE ON effects", settled("create_ticket"), GO_ON),
        *commits(LINE, "its step", WRITES, "NEW.channel = 'branch:to:reply'", None),
        *commits(LINE, "its checkpoint", CHECKPOINT, step(2), None, GO_ON),
    ],
    "end": [
        *calls(LINE, "the reply is sent", REPLY, 1, GO_ON),
        *commits(LINE, "the reply", "UPDATE ON effects", settled("reply"), GO_ON),
        *list(calls(LINE, "the mark is sent", MARK, 1, GO_ON))[2:],
        *commits(LINE, "the last step", WRITES, "NEW.task_path LIKE '%, mark'", None),
        *commits(LINE, "the last checkpoint", CHECKPOINT, step(4), None, EMPTY),
        *commits(LINE, "the run is done", RUN, "NEW.state = 'done'", EMPTY),
    ],
    "timer": [
        *commits(TIMER, "the wait begins", WRITES, "NEW.channel = '__interrupt__'", GO_ON),
        *commits(TIMER, "the run is parked", RUN, "NEW.state = 'parked'", GO_ON, DELIVER),
        *commits(TIMER, "claimed when due", RUN, f"NEW.epoch = 2 AND {CLAIMED}", DELIVER),
        *commits(
            TIMER, "the tick's step", WRITES,
            "NEW.task_path LIKE '%push%' AND NEW.channel = 'branch:to:create_ticket'",
            None,
        ),
        *commits(TIMER, "the tick's checkpoint", CHECKPOINT, step(4), None, STALE),
        *calls(TIMER, "the ticket is sent again", TICKET, 2, STALE),
    ],
    "person": [
        *commits(PERSON, "the question", "INSERT ON reviews", "true", GO_ON),
        *commits(PERSON, "the run is parked", RUN, "NEW.state = 'parked'", GO_ON, DELIVER),
        *commits(PERSON, "claimed when answered", RUN, f"NEW.epoch = 2 AND {CLAIMED}", DELIVER),
        *commits(PERSON, "the answer's step", WRITES, "NEW.channel = 'review'", None),
        *commits(PERSON, "the answer's checkpoint", CHECKPOINT, step(3), None, STALE),
        *calls(PERSON, "the ticket is sent", TICKET, 1, STALE),
    ],
}  # fmt: skip
MOMENTS = [moment for moments in CHAPTERS.values() for moment in moments]


def test_the_campaign_has_forty_moments_and_every_rule() -> None:
    assert len({moment.name for moment in MOMENTS}) >= 40
    assert {moment.rule for moment in MOMENTS} >= set(Rule)


@pytest.mark.parametrize("chapter", CHAPTERS)
async def test_a_worker_killed_at_any_moment_loses_nothing_and_writes_nothing_twice(
    chapter: str, stations: "list[Station]"
) -> None:
    left, failures = list(CHAPTERS[chapter]), list[str]()

    async def work(station: "Station") -> None:
        async with executioner(station) as one:
            while left:
                moment = left.pop(0)
                try:
                    async with asyncio.timeout(40):
                        failures.extend(f"{moment.name}: {fault}" for fault in await one(moment))
                except TimeoutError:
                    failures.append(f"{moment.name}: nothing more happened")

    await asyncio.gather(*(work(station) for station in stations))
    assert not failures, "\n".join(failures)
