"""A debit is done and its credit refused: the debit is taken back once, or a person decides once.

The bank is the sandbox's and counts by itself. The real worker is killed -9 between the debit and
the undo, and in the middle of the undo.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.acceptance.executioner import Executioner, Fate, Moment, Story, executioner
from tests.acceptance.test_kill_campaign import calls, commits

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

ENTRY = "POST /bank/entries"
DEBITED, BACK, CREDITED = ("ann", -2500), ("ann", 2500), ("bob", 2500)
AGENT = '''
"""Moves money between accounts of a bank; the second one does not exist."""

import os

from failsoft.connectors.answers import attempt, judge
from failsoft.connectors.contract import Absent, Consistency, Done, Operation
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.http import Http, Response
from failsoft.nodes.policy import Refusal
from failsoft.settings import load_settings


class Enter(Operation):
    """Make an entry; the bank keeps the key. It needs no client: Slack's is borrowed."""

    connector = "slack"
    name = "enter"
    consistency = Consistency.IDEMPOTENCY_KEY
    settle_seconds = 0.0

    async def send(self, client, request, transaction_id, *, within):
        async with Http(os.environ["BANK_URL"], timing=load_settings().timing) as http:
            headers = {"Idempotency-Key": transaction_id}
            sending = http.request("POST", "entries", json=request, headers=headers, within=within)
            answer = await attempt(sending)
        if not isinstance(answer, Response):
            return answer
        if answer.status not in {200, 201}:
            return judge(answer, "bank", "", now=0.0)
        return Done(external_id=answer.object()["id"], response=answer.object())

    async def find(self, client, request, transaction_id, mark):
        return Absent(certain=True)


ENTER = Enter()


def undo_for(state):
    done = state["tool"]["debit"]["result"]
    return {"account": done["account"], "cents": -done["cents"]}


def build(name, refusal):
    graph = ResilientGraph(name, refusal=refusal)
    graph.add_write(
        "debit", ENTER, request=lambda _: {"account": "ann", "cents": -2500},
        compensate="undo_debit",
    )
    graph.add_write("credit", ENTER, request=lambda _: {"account": "dora", "cents": 2500})
    graph.add_write("undo_debit", ENTER, request=undo_for)
    return graph.add_path(START, "debit", "credit", END)


asking, undoing = build("asking", Refusal.ASK), build("undoing", Refusal.UNDO)
'''


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put the agent where the tests find it; the workers have it in their own folders."""
    (tmp_path / "transfer.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "transfer", raising=False)


def given(station: "Station", agent: str) -> None:
    (station.folder / "transfer.py").write_text(AGENT)
    station.agents = [f"transfer:{agent}"]
    station.options["BANK_URL"] = f"{station.place.url}/bank/"


async def entries(station: "Station") -> list[tuple[str, int]]:
    found = (await station.world())["bank"]["entries"]
    return [(entry["account"], entry["cents"]) for entry in found]


def typed(station: "Station", *arguments: str) -> Any:
    """Run a command as an operator does; return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "failsoft.cli.main", *arguments, "--json"],
        env=os.environ | station.environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


async def rested(station: "Station", run_id: UUID) -> dict[str, Any]:
    async def rests() -> bool:
        row = await station.row(run_id)
        waits = row["state"] == "parked" and row["due_at"] is None
        return waits or row["state"] in {"done", "dead", "cancelled"}

    await station.until(rests, "the run rests")
    return await station.row(run_id)


async def audit(station: "Station", run_id: UUID) -> list[str]:
    """Return what the run's chain says of its writes and answers, in order."""
    events = await station.store.audit.events(run_id)
    effects = await station.store.effects.of_run((await station.row(run_id))["run_no"])
    nodes = {effect.transaction_id: effect.node for effect in effects}
    told = []
    for event in events:
        if event.kind.startswith("effect."):
            told.append(f"{nodes[str(event.facts['transaction_id'])]} {event.kind[7:]}")
        elif event.kind == "human.answered":
            told.append(f"{event.facts['actor']}: {event.facts['choice']}")
    return told


@pytest.mark.usefixtures("agent")
async def test_by_policy_the_debit_is_taken_back_and_the_audit_shows_it(station: "Station") -> None:
    given(station, "undoing")
    station.fork_worker()
    run_id, _ = await station.admit()
    row = await rested(station, run_id)
    assert (row["state"], row["outcome"]) == ("done", "undone")
    assert await entries(station) == [DEBITED, BACK]
    assert await audit(station, run_id) == [
        "debit claimed", "debit done", "credit claimed", "credit failed",
        "undo_debit claimed", "undo_debit done",
    ]  # fmt: skip
    await station.chains_verify()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person says, and what follows."""

    choice: str
    value: tuple[str, ...] = ()
    entries: tuple[tuple[str, int], ...]
    outcome: str
    audit: tuple[str, ...]


MENDED = json.dumps({"account": "bob", "cents": 2500})
ANSWERS = [
    Answer(
        choice="undo", entries=(DEBITED, BACK), outcome="undone",
        audit=("undo_debit claimed", "undo_debit done"),
    ),
    Answer(
        choice="edit", value=("--value", MENDED), entries=(DEBITED, CREDITED), outcome="done",
        audit=("credit claimed", "credit done"),
    ),
    Answer(choice="accept", entries=(DEBITED,), outcome="done", audit=()),
]  # fmt: skip


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.choice)
async def test_a_person_decides_once_and_it_happens_once(
    answer: Answer, station: "Station"
) -> None:
    given(station, "asking")
    worker = station.fork_worker()
    run_id, _ = await station.admit()
    assert (await rested(station, run_id))["state"] == "parked"
    (review,) = typed(station, "reviews", "list")
    assert review["allowed"] == ["undo", "edit", "retry", "accept"]
    assert review["question"]["request"] == {"account": "dora", "cents": 2500}
    await station.kill(worker)
    decide = ("reviews", "decide", review["review_id"], "--choice", answer.choice, *answer.value)
    typed(station, *decide, "--by", "ann")
    station.fork_worker()
    await station.until(lambda: ended(station, run_id), "the run ends")
    row = await station.row(run_id)
    assert (row["state"], row["outcome"]) == ("done", answer.outcome)
    assert await entries(station) == list(answer.entries)
    told = await audit(station, run_id)
    assert told == [
        "debit claimed", "debit done", "credit claimed", "credit failed",
        f"ann: {answer.choice}", *answer.audit,
    ]  # fmt: skip
    await station.chains_verify()


async def ended(station: "Station", run_id: UUID) -> bool:
    return (await station.row(run_id))["state"] in {"done", "dead", "cancelled"}


class Teller(Executioner):
    """Kills the worker, answers `undo` where a person is asked, and counts the entries."""

    async def answer(self, run_id: UUID) -> None:
        row = await self.station.row(run_id)
        if row["state"] != "parked" or row["due_at"] is not None:
            return
        for review in await self.station.store.reviews.list():
            reviews = self.station.store.reviews
            await reviews.answer(review.review_id, choice="undo", by="ann")
            await self.station.store.runs.ring()

    async def account(self, moment: Moment, run_id: UUID, nonce: str) -> list[str]:
        row = await self.station.row(run_id)
        effects = await self.station.store.effects.of_run(row["run_no"])
        found = {
            "entries": await entries(self.station),
            "run": (row["state"], row["outcome"]),
            "effects": [(effect.node, effect.state.value) for effect in effects],
            "chain": await self.station.store.audit.verify(run_id),
        }
        right = {
            "entries": [DEBITED, BACK],
            "run": ("done", "undone"),
            "effects": [("debit", "done"), ("credit", "failed"), ("undo_debit", "done")],
            "chain": True,
        }
        return [f"{key}: {found[key]}" for key in right if found[key] != right[key]]


EFFECTS = "UPDATE ON effects"
LINE = Story.LINE


def is_now(node: str, state: str) -> str:
    return f"NEW.node = '{node}' AND NEW.state = '{state}'"


def moments() -> Iterator[Moment]:
    yield from commits(LINE, "the debit", EFFECTS, is_now("debit", "done"), None)
    for moment in calls(LINE, "the credit is sent", ENTRY, 2, None):
        if moment.fate is not Fate.EXECUTED:  # it is refused, never executed
            yield moment
    yield from commits(LINE, "the refusal", EFFECTS, is_now("credit", "failed"), None)
    yield from commits(
        LINE, "the undo is claimed", "INSERT ON effects", "NEW.node = 'undo_debit'", None
    )
    yield from calls(LINE, "the undo is sent", ENTRY, 3, None)
    yield from commits(LINE, "the undo", EFFECTS, is_now("undo_debit", "done"), None)


def asked() -> Iterator[Moment]:
    yield from commits(LINE, "the question", "INSERT ON reviews", "true", None)
    yield from calls(LINE, "the undo is sent", ENTRY, 3, None)


CHAPTERS = {"undoing": list(moments()), "asking": list(asked())}


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("agent_name", CHAPTERS)
async def test_a_worker_killed_around_the_undo_takes_the_debit_back_exactly_once(
    agent_name: str, stations: "list[Station]"
) -> None:
    left, failures = list(CHAPTERS[agent_name]), list[str]()

    async def work(station: "Station") -> None:
        given(station, agent_name)
        async with executioner(station, Teller) as one:
            while left:
                moment = left.pop(0)
                try:
                    async with asyncio.timeout(40):
                        failures.extend(f"{moment.name}: {fault}" for fault in await one(moment))
                except TimeoutError:
                    failures.append(f"{moment.name}: nothing more happened")

    await asyncio.gather(*(work(station) for station in stations))
    assert not failures, "\n".join(failures)
