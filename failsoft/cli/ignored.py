"""failsoft ignored: what came in and started nothing; nothing is dropped without a line here."""

import asyncio
import sys
from collections.abc import Sequence

import click
from psycopg.rows import DictRow

from failsoft.checkpoints.database import connect
from failsoft.checkpoints.ignored import found, latest
from failsoft.cli.table import indented, show_facts, show_json, show_table, when
from failsoft.errors import UsageError
from failsoft.settings import load_settings

COLUMNS = ("when", "agent", "event key", "run", "bytes", "reason")


@click.group("ignored")
def command() -> None:
    """List and show what came in and started nothing.

    Bots, bare thanks, replies that joined a run; and rejections: what could not be read. Of those
    the bytes are kept, 64 KiB of each.
    """


@command.command("list")
@click.option("--agent", help="Only what came for this agent.")
@click.option("--rejected", is_flag=True, help="Only what could not be read.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(agent: str | None, limit: int, *, rejected: bool, as_json: bool) -> None:
    """List what started nothing, the newest first, with the reason of each."""
    rows = asyncio.run(_list(agent, limit, rejected=rejected))
    if as_json:
        show_json(rows)
    else:
        show_table(COLUMNS, [_columns(row) for row in rows], empty="Nothing was ignored.")


@command.command()
@click.argument("key")
@click.option("--agent", help="What came for this agent, where several got it.")
@click.option("--raw", is_flag=True, help="Write the bytes that are kept, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array; bytes as hex.")
def show(key: str, agent: str | None, *, raw: bool, as_json: bool) -> None:
    """Show what came under the event key KEY, and why it started nothing."""
    if raw and as_json:
        raise UsageError("Give either --raw or --json.")
    rows = asyncio.run(_show(key, agent))
    if raw:
        _write(key, rows)
    elif as_json:
        show_json(rows)
    else:
        for row in rows:
            show_facts(_facts(row))
            click.echo()


async def _list(agent: str | None, limit: int, *, rejected: bool) -> list[DictRow]:
    async with connect(load_settings()) as database:
        return list(await latest(database, agent=agent, rejected=rejected, limit=limit))


async def _show(key: str, agent: str | None) -> list[DictRow]:
    async with connect(load_settings()) as database:
        return list(await found(database, key, agent=agent))


def _columns(row: DictRow) -> tuple[object, ...]:
    run = str(row["run_id"])[:8] if row["run_id"] else None
    return when(row["at"]), row["agent"], row["event_key"], run, row["kept"], row["reason"]


def _facts(row: DictRow) -> dict[str, object]:
    return {
        "event key": row["event_key"],
        "agent": row["agent"],
        "reason": row["reason"],
        "when": when(row["at"]),
        "joined run": row["run_id"],
        "bytes kept": row["kept"],
    }


def _write(key: str, rows: Sequence[DictRow]) -> None:
    """Write the newest bytes: as they are into a pipe or file, harmless on a terminal.

    Raises:
        UsageError: none are kept.
    """
    kept = next((bytes(row["raw"]) for row in rows if row["raw"] is not None), None)
    if kept is None:
        raise UsageError(f"No bytes are kept of {key!r}: it was read, only not wanted.")
    if sys.stdout.isatty():
        click.echo(indented(kept.decode("utf-8", "backslashreplace")))
    else:
        sys.stdout.buffer.write(kept)
        sys.stdout.flush()
