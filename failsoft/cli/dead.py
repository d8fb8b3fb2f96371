"""failsoft dead: runs that cannot go on by themselves; nothing is dropped without a person."""

import asyncio
import getpass
from typing import Any

import click

from failsoft.checkpoints.database import connect
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.cli.lanes import present_lane
from failsoft.cli.table import confirm, escaped, show_facts, show_json, show_table, when
from failsoft.settings import load_settings

COLUMNS = ("run", "agent", "event key", "crashes", "since", "reason")


@click.group("dead")
def command() -> None:
    """List, retry and discard runs that cannot go on.

    RUN is a run id, the first 6 or more characters of one, or an event key.
    """


@command.command("list")
@click.option("--agent", help="Only the runs of this agent.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(agent: str | None, limit: int, *, as_json: bool) -> None:
    """List dead runs, with the reason of each."""
    rows = asyncio.run(_list(agent, limit))
    if as_json:
        show_json(rows)
    else:
        show_table(COLUMNS, [_columns(row) for row in rows], empty="No run is dead.")


@command.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retry(run: str, *, as_json: bool) -> None:
    """Let a dead run go on where it stood, as if it had never crashed."""
    _say(asyncio.run(_retry(run)), as_json=as_json)


@command.command()
@click.argument("run")
@click.option("--by", default=getpass.getuser, help="Who says so; default: you.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def discard(run: str, by: str, *, yes: bool, as_json: bool) -> None:
    """Give a dead run up: its event stays listed, but nobody will handle it."""
    _say(asyncio.run(_discard(run, by, yes=yes)), as_json=as_json)


async def _list(agent: str | None, limit: int) -> list[dict[str, Any]]:
    async with connect(load_settings()) as database:
        runs = Store.of(database).runs
        return list(await runs.list(state=RunState.DEAD, agent=agent, limit=limit))


async def _retry(run: str) -> dict[str, Any]:
    async with connect(load_settings()) as database:
        runs = Store.of(database).runs
        row = await runs.find(run)
        run_id = row["run_id"]
        await runs.retry_dead(run_id, lane=present_lane(row["agent"]))
        await runs.ring()
        now = await runs.get(run_id)
        return {"run_id": run_id, "state": now["state"], "lane": now["lane"]}


async def _discard(run: str, by: str, *, yes: bool) -> dict[str, Any]:
    async with connect(load_settings()) as database:
        runs = Store.of(database).runs
        row = await runs.find(run)
        run_id = row["run_id"]
        if row["state"] == RunState.DEAD:  # else the store says what is wrong
            confirm(f"Give up run {run_id} ({escaped(row['event_key'])})?", yes=yes)
        await runs.discard_dead(run_id, by)
        now = await runs.get(run_id)
        return {"run_id": run_id, "state": now["state"], "reason": now["reason"]}


def _columns(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        str(row["run_id"])[:8],
        row["agent"],
        row["event_key"],
        row["crash_count"],
        when(row["updated_at"]),
        row["reason"],
    )


def _say(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(facts)
    else:
        show_facts(facts)
