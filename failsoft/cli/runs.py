"""failsoft runs: what became of events, and how to send one on its way again."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from failsoft.checkpoints.audit import AuditEvent
from failsoft.checkpoints.database import connect
from failsoft.checkpoints.effects import Effect
from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.cli.lanes import move, present_lane
from failsoft.cli.table import confirm, escaped, indented, show_facts, show_json, show_table, when
from failsoft.errors import UsageError
from failsoft.settings import Settings, load_settings
from failsoft.tracing.links import link_of

SHORT_ID = 8  # characters of a run id in tables; `find` takes them
COLUMNS = ("run", "state", "agent", "event key", "due", "changed", "outcome")
# Shown apart, or of no use to a person.
NOT_SHOWN = {"event", "audit_head", "audit_seq", "run_no", "wakes", "epoch", "alone"}
ENDED = {RunState.DONE, RunState.DEAD}


@click.group("runs")
def command() -> None:
    """List, show, resume, cancel, replay and move runs.

    RUN is a run id, the first 6 or more characters of one, or an event key.
    """


command.add_command(move)


@command.command("list")
@click.option("--state", type=click.Choice([state.value for state in RunState]))
@click.option("--agent", help="Only the runs of this agent.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(state: str | None, agent: str | None, limit: int, *, as_json: bool) -> None:
    """List runs, the newest first."""
    rows = asyncio.run(_list(RunState(state) if state else None, agent, limit))
    if as_json:
        show_json(rows)
    else:
        show_table(COLUMNS, [_columns(row) for row in rows], empty="There are no such runs.")


@command.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(run: str, *, as_json: bool) -> None:
    """Show a run: its writes, questions, attempts with their traces, and audit events."""
    settings = load_settings()
    file = asyncio.run(_file(run, settings))
    attempts = file.traced(settings)
    if as_json:
        show_json(file.to_json(attempts))
    else:
        _show(file, attempts)


@command.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def resume(run: str, *, as_json: bool) -> None:
    """Wake the workers for a run that is due, and say what it waits for if it is not.

    A wait before a retry is kept: who comes early only waits on.
    """
    _say(asyncio.run(_resume(run)), as_json=as_json)


@command.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cancel(run: str, *, yes: bool, as_json: bool) -> None:
    """Cancel a run: what is written stays, an undecided write is decided first."""
    _say(asyncio.run(_cancel(run, yes=yes)), as_json=as_json)


@command.command()
@click.argument("run")
@click.option("--write", is_flag=True, help="Write to the real systems once more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(run: str, *, write: bool, yes: bool, as_json: bool) -> None:
    """Handle the event of a run once more, in a new run; without --write it writes nothing."""
    _say(asyncio.run(_replay(run, write=write, yes=yes)), as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class File:
    """Everything that is known of one run."""

    row: dict[str, Any]
    attempts: Sequence[dict[str, Any]]
    effects: list[Effect]
    reviews: list[Review]
    events: list[AuditEvent]
    verified: bool

    def traced(self, settings: Settings) -> list[dict[str, Any]]:
        """Return when each attempt began and where its trace is."""
        folder, template = settings.home / "traces", settings.trace_url_template
        return [
            {
                "at": attempt["started_at"],
                "epoch": attempt["epoch"],
                "trace_id": attempt["trace_id"],
                "trace": link_of(attempt["trace_id"], folder=folder, template=template),
            }
            for attempt in self.attempts
        ]

    def to_json(self, attempts: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "run": self.row,
            "effects": [asdict(effect) for effect in self.effects],
            "reviews": [asdict(review) for review in self.reviews],
            "attempts": attempts,
            "audit": {"verified": self.verified, "events": [asdict(each) for each in self.events]},
        }


async def _list(state: RunState | None, agent: str | None, limit: int) -> list[dict[str, Any]]:
    async with connect(load_settings()) as database:
        return list(await Store.of(database).runs.list(state=state, agent=agent, limit=limit))


async def _file(run: str, settings: Settings) -> File:
    async with connect(settings) as database:
        store = Store.of(database)
        row = await store.runs.find(run)
        return File(
            row=row,
            attempts=await store.runs.attempts(row["run_no"]),
            effects=await store.effects.of_run(row["run_no"]),
            reviews=list(await store.reviews.of_run(row["run_no"])),
            events=await store.audit.events(row["run_id"]),
            verified=await store.audit.verify(row["run_id"]),
        )


async def _resume(run: str) -> dict[str, Any]:
    async with connect(load_settings()) as database:
        store = Store.of(database)
        row = await store.runs.find(run)
        reviews = await store.reviews.of_run(row["run_no"])
        waiting = [each.review_id for each in reviews if each.state is ReviewState.OPEN]
        _refuse_to_resume(row, waiting)
        await store.runs.ring()
        workers = await store.workers.live()
        return {
            "run_id": row["run_id"],
            "state": row["state"],
            "due_at": row["due_at"],
            "reviews": waiting,
            "hint": _hint(row, working=bool(workers)),
        }


def _refuse_to_resume(row: dict[str, Any], waiting: list[str]) -> None:
    """Say what to do instead when no worker could go on with the run."""
    run_id, state = row["run_id"], RunState(row["state"])
    if state is RunState.DEAD:
        raise UsageError(f"Run {run_id} is dead: `failsoft dead retry {run_id}` lets it go on.")
    if state in {RunState.DONE, RunState.CANCELLED}:
        raise UsageError(
            f"Run {run_id} is {state}: `failsoft runs replay {run_id}` handles its event again."
        )
    if state is RunState.PARKED and row["due_at"] is None:
        asked = " and ".join(f"`failsoft reviews show {review}`" for review in waiting)
        raise UsageError(f"Run {run_id} waits for a person: see {asked or '`failsoft reviews`'}.")


async def _cancel(run: str, *, yes: bool) -> dict[str, Any]:
    async with connect(load_settings()) as database:
        runs = Store.of(database).runs
        row = await runs.find(run)
        run_id = row["run_id"]
        if row["state"] in ENDED:
            raise UsageError(f"Run {run_id} is {row['state']}: there is nothing left to cancel.")
        confirm(f"Cancel run {run_id} ({escaped(row['event_key'])})?", yes=yes)
        state = await runs.cancel(run_id)
        await runs.ring()
        asked = "it ends at its next step, once no write of it is undecided"
        hint = "" if state is RunState.CANCELLED else asked
        return {"run_id": run_id, "state": state, "hint": hint}


async def _replay(run: str, *, write: bool, yes: bool) -> dict[str, Any]:
    async with connect(load_settings()) as database:
        store = Store.of(database)
        row = await store.runs.find(run)
        if write:
            confirm(f"Write everything that run {row['run_id']} wrote once more?", yes=yes)
        admission = await store.runs.replay(
            row["run_id"], write=write, lane=present_lane(row["agent"])
        )
        await store.runs.ring()
        workers = await store.workers.live()
        replayed = await store.runs.get(admission.run_id)
        return {
            "run_id": admission.run_id,
            "state": replayed["state"],
            "lane": replayed["lane"],
            "replay_of": replayed["replay_of"],
            "dry_run": replayed["dry_run"],
            "hint": _hint(replayed, working=bool(workers)),
        }


def _hint(row: dict[str, Any], *, working: bool) -> str:
    if row["state"] == RunState.RUNNING:
        return "it is being driven right now"
    if not working:
        return f"no worker is alive: start `failsoft worker {row['agent']}`"
    return "the workers know"


def _columns(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        str(row["run_id"])[:SHORT_ID],
        row["state"],
        row["agent"],
        row["event_key"],
        when(row["due_at"]),
        when(row["updated_at"]),
        row["reason"] or row["outcome"],
    )


def _say(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(facts)
    else:
        due = facts.get("due_at")
        show_facts({**facts, "due_at": when(due)} if due else facts)


def _show(file: File, attempts: list[dict[str, Any]]) -> None:
    shown = {name: value for name, value in file.row.items() if name not in NOT_SHOWN}
    times = {name: when(shown[name]) for name in ("due_at", "created_at", "updated_at")}
    show_facts(shown | times)
    click.echo("\nevent")
    click.echo(indented(str(file.row["event"].get("text", ""))))
    click.echo("\nwrites")
    header = ("transaction id", "node", "operation", "state", "tries", "external id", "reason")
    show_table(header, [_effect_columns(each) for each in file.effects], empty="none")
    click.echo("\nreviews")
    rows = [(each.review_id, each.node, each.state, each.answered_by) for each in file.reviews]
    show_table(("review", "node", "state", "answered by"), rows, empty="none")
    click.echo("\nattempts")
    traced = [(when(attempt["at"]), attempt["trace"]) for attempt in attempts]
    show_table(("at", "trace"), traced, empty="none")
    click.echo("\naudit")
    happened = [(event.seq, event.at, event.kind) for event in file.events]
    show_table(("seq", "at", "kind"), happened, empty="none")
    click.echo("the chain verifies" if file.verified else "THE CHAIN DOES NOT VERIFY")


def _effect_columns(effect: Effect) -> tuple[object, ...]:
    node = f"{effect.node}/{effect.item_key}" if effect.item_key else effect.node
    return (
        effect.transaction_id,
        node,
        effect.operation,
        effect.state,
        effect.attempts,
        effect.external_id,
        effect.reason,
    )
