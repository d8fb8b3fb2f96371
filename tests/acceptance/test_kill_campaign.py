"""The real worker is killed -9 at chosen moments, and another one ends what it began.

A moment in Postgres is a commit: a deferred trigger stops it until the worker is dead; then it is
either let through, so that only its answer was lost, or rolled back, as if it had never arrived. A
moment at a connector is a request: killed before it is executed, or after that and before its
answer. Tickets, replies and model calls are counted by the sandbox, which is told nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from failsoft.agents.load import load_graph
from failsoft.checkpoints.saver import FencedSaver

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

LOCK = 4711
HOLD_STILL = f"""
CREATE FUNCTION hold_still() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NULL; END $$"""

MODEL = "POST /v1/chat/completions"
TICKET = "POST /jira/rest/api/3/issue"
REPLY = "POST /slack/api/chat.postMessage"
MARK = "POST /slack/api/reactions.add"
TOLD_TO_WAIT = {"kind": "status", "status": 429, "headers": {"Retry-After": "3"}}


class Story(StrEnum):
    """What happens to the run besides the kill; the value is its message."""

    LINE = "The Save address button does nothing in Firefox 140, it works in Chrome."
    TIMER = "The Export button does nothing in Firefox 140, it works in Chrome."  # Jira says 429
    PERSON = "qwertz"  # nobody but a person can classify it


class Rule(StrEnum):
    """How design section 4 resumes what the killed worker left."""

    START = "no checkpoint yet: the original input"
    DELIVER = "parks that are due or answered: strict resume"
    STALE = "answers that nobody waits for any more: go on without them"
    NEXT_EMPTY = "writes durable, next checkpoint not: `next` is empty, go on"
    GO_ON = "go on"


class Fate(StrEnum):
    """What the worker's last word met."""

    COMMITTED = "committed, the answer lost"
    ROLLED_BACK = "rolled back"
    EXECUTED = "executed, the answer lost"
    LATE = "executed after the worker was dead"
    LOST = "never executed"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When the worker dies. `asked`: how often the model may be asked in all."""

    what: str
    story: Story
    fate: Fate
    on: str  # INSERT ON table, UPDATE ON table, or a route
    when: str = ""  # SQL over NEW and OLD; of a route: which request of it
    rule: Rule | None  # None: two of LangGraph's writes race here
    asked: int = 1

    @property
    def name(self) -> str:
        return f"{self.story.name.lower()}: {self.what}: {self.fate}"


def commits(story: Story, what: str, on: str, when: str, *rules: Rule | None) -> Iterator[Moment]:
    """Yield both fates of one commit; `rules` are the one before it and, if another, after it."""
    one = Moment(what=what, story=story, on=on, when=when, fate=Fate.ROLLED_BACK, rule=rules[0])
    yield one
    yield replace(one, fate=Fate.COMMITTED, rule=rules[-1])


def calls(story: Story, what: str, route: str, nth: int, rule: Rule) -> Iterator[Moment]:
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


@dataclass(kw_only=True)
class Executioner:
    """Kills the worker of a station at a moment, lets the next one end the run, and looks."""

    station: "Station"
    admin: psycopg.AsyncConnection[dict[str, Any]]
    app: Any

    async def __call__(self, moment: Moment) -> list[str]:
        """Return what is wrong afterwards."""
        station = self.station
        await station.reset(*faults(moment))
        worker = station.workers[-1] if station.workers else station.fork_worker()
        async with self.stopped(moment):
            run_id, nonce = await station.admit(moment.story)
            backend = await self.reach(moment, run_id)
            await station.kill(worker)
            if backend and moment.fate is Fate.ROLLED_BACK:
                await self.admin.execute("SELECT pg_terminate_backend(%s)", [backend])
        if backend:
            await self.gone(backend)
        wrong = await self.misses(moment, run_id)
        station.fork_worker()
        await self.finish(run_id)
        return wrong + await self.account(moment, run_id, nonce)

    @asynccontextmanager
    async def stopped(self, moment: Moment) -> AsyncIterator[None]:
        """Let the commit of this moment wait for us, as long as the block runs."""
        if " ON " not in moment.on:
            yield
            return
        event, table = moment.on.split(" ON ")
        await self.admin.execute(
            f"CREATE CONSTRAINT TRIGGER moment AFTER {event} ON {table} DEFERRABLE INITIALLY"
            f" DEFERRED FOR EACH ROW WHEN ({moment.when})"
            " EXECUTE FUNCTION hold_still()"
        )
        await self.admin.execute(f"SELECT pg_advisory_lock({LOCK})")
        try:
            yield
        finally:
            await self.admin.execute(f"SELECT pg_advisory_unlock({LOCK})")
            await self.admin.execute(f"DROP TRIGGER moment ON {table}")

    async def reach(self, moment: Moment, run_id: UUID) -> int | None:
        """Wait for the moment; return the backend that waits for us, if one does."""
        while True:
            if " ON " in moment.on:
                if (backend := await self.waiting()) is not None:
                    return backend
            elif await self.requested(moment):
                return None
            await self.answer(run_id)
            await asyncio.sleep(0.005)

    async def waiting(self) -> int | None:
        cursor = await self.admin.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        row = await cursor.fetchone()
        return None if row is None else int(row["pid"])

    async def requested(self, moment: Moment) -> bool:
        """Say whether the request is there; executed, unless its fate is another."""
        for entry in (await self.station.world())["requests"]:
            here = (f"{entry['method']} {entry['path']}", str(entry["ordinal"]))
            if here == (moment.on, moment.when):
                return moment.fate is not Fate.EXECUTED or bool(entry["executed"])
        return False

    async def gone(self, backend: int) -> None:
        """Wait until the dead worker's backend has ended, so that its last word is known."""
        while True:
            cursor = await self.admin.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state <> 'idle'", [backend]
            )
            if await cursor.fetchone() is None:
                return
            await asyncio.sleep(0.005)

    async def answer(self, run_id: UUID) -> None:
        """Be the person: answer what the run asks, once it is parked."""
        parked = "SELECT 1 FROM runs WHERE run_id = %s AND state = 'parked' AND due_at IS NULL"
        if not await (await self.admin.execute(parked, [run_id])).fetchone():
            return
        for review in await self.station.store.reviews.list():
            reviews = self.station.store.reviews
            await reviews.answer(review.review_id, choice="respond", value="bug", by="ann")
            await self.station.store.runs.ring()

    async def finish(self, run_id: UUID) -> None:
        async def ended() -> bool:
            await self.answer(run_id)
            return (await self.station.row(run_id))["state"] in {"done", "dead", "cancelled"}

        await self.station.until(ended, f"the end of run {run_id}")

    async def misses(self, moment: Moment, run_id: UUID) -> list[str]:
        """Prove that the worker died where it should, and what the next one will find."""
        wrong = []
        if " ON " in moment.on and "OLD" not in moment.when:
            table = moment.on.split(" ON ")[1]
            cursor = await self.admin.execute(
                f"SELECT 1 FROM {table} AS new WHERE ({moment.when}) AND"
                " %s IN (to_jsonb(new)->>'thread_id', (SELECT run_id::text FROM runs WHERE"
                " run_no::text = to_jsonb(new)->>'run_no'))", [str(run_id)]
            )  # fmt: skip
            there = await cursor.fetchone() is not None
            if there is not (moment.fate is Fate.COMMITTED):
                wrong.append(f"the kill missed: it is {'' if there else 'not '}there")
        if (rule := await self.rule(run_id)) is not moment.rule is not None:
            wrong.append(f"found {rule.name}, not {moment.rule.name}")
        return wrong

    async def rule(self, run_id: UUID) -> Rule:
        """Return the rule that applies, from the stored state alone."""
        config = {"configurable": {"thread_id": str(run_id)}}
        if await self.app.checkpointer.aget_tuple(config) is None:
            return Rule.START
        state = await self.app.aget_state(config)
        cursor = await self.admin.execute(
            "SELECT interrupt_id FROM runs r JOIN parks p USING (run_no) LEFT JOIN reviews v"
            " USING (review_id) WHERE r.run_id = %s AND (p.due_at IS NOT NULL OR v.state ="
            " 'answered' OR v.state = 'open' AND r.state = 'parked')", [run_id]
        )  # fmt: skip
        delivered = {row["interrupt_id"] for row in await cursor.fetchall()}
        if delivered:
            pending = {interrupt.id for interrupt in state.interrupts}
            return Rule.DELIVER if delivered & pending else Rule.STALE
        return Rule.GO_ON if state.next else Rule.NEXT_EMPTY

    async def account(self, moment: Moment, run_id: UUID, nonce: str) -> list[str]:
        """Count, on the sandbox's side first."""
        world, row = await self.station.world(), await self.station.row(run_id)
        effects = await self.station.store.effects.of_run(row["run_no"])
        found = {
            "tickets": len(await self.station.tickets(nonce)),
            "issues": len(world["jira"]["issues"]),
            "replies": len(world["slack"]["messages"]),
            "marks": len(world["slack"]["reactions"]),
            "asked": world["model"]["calls"],
            "run": row["state"],
            "effects": [effect.state.value for effect in effects],
            "chain": await self.station.store.audit.verify(run_id),
        }
        right = {
            "tickets": 1, "issues": 1, "replies": 1, "marks": 1, "asked": moment.asked,
            "run": "done", "effects": ["done"] * 3, "chain": True,
        }  # fmt: skip
        return [
            f"{key}: {found[key]}, not {right[key]}" for key in right if found[key] != right[key]
        ]


@asynccontextmanager
async def executioner(station: "Station") -> AsyncIterator[Executioner]:
    connect = psycopg.AsyncConnection[dict[str, Any]].connect
    async with await connect(station.dsn, autocommit=True, row_factory=dict_row) as admin:
        await admin.execute(HOLD_STILL)
        app = load_graph("slack-jira").compile(checkpointer=FencedSaver(station.database))
        yield Executioner(station=station, admin=admin, app=app)


def faults(moment: Moment) -> list[dict[str, Any]]:
    """Return the faults that make the story, and those that make time for the kill."""
    told = [{"match": TICKET, "nth": [1], **TOLD_TO_WAIT}] if moment.story is TIMER else []
    if " ON " in moment.on:
        return told
    here = {"match": moment.on, "nth": [int(moment.when)]}
    match moment.fate:
        case Fate.EXECUTED:
            return [*told, {**here, "kind": "hold", "seconds": 30}]
        case Fate.LATE:
            return [*told, {**here, "kind": "latency", "seconds": 0.4}]
        case _:
            wait = {**here, "kind": "latency", "seconds": 0.4}
            return [*told, wait, {**here, "kind": "drop_before"}]
