"""The moments at which a worker dies, and who kills it there and counts afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from failsoft.agents.load import load_graph
from failsoft.checkpoints.saver import FencedSaver

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

TICKET = "POST /jira/rest/api/3/issue"
TOLD_TO_WAIT = {"kind": "status", "status": 429, "headers": {"Retry-After": "3"}}
LOCK = 4711
HOLD_STILL = f"""
CREATE FUNCTION hold_still() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NULL; END $$"""


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
                f"SELECT 1 FROM {table} AS new WHERE ({moment.when.replace('%', '%%')}) AND"
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
            # besides the notice of a question, which is no reply and comes at least once
            "replies": sum("thread_ts" in message for message in world["slack"]["messages"]),
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
async def executioner(
    station: "Station", kind: type[Executioner] = Executioner
) -> AsyncIterator[Executioner]:
    connect = psycopg.AsyncConnection[dict[str, Any]].connect
    async with await connect(station.dsn, autocommit=True, row_factory=dict_row) as admin:
        await admin.execute(HOLD_STILL)
        app = load_graph(station.agents[0]).compile(checkpointer=FencedSaver(station.database))
        yield kind(station=station, admin=admin, app=app)


def faults(moment: Moment) -> list[dict[str, Any]]:
    """Return the faults that make the story, and those that make time for the kill."""
    told = [{"match": TICKET, "nth": [1], **TOLD_TO_WAIT}] if moment.story is Story.TIMER else []
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
