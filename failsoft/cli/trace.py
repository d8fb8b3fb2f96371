"""failsoft trace: the local traces of attempts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from failsoft.cli.table import show_json, show_table
from failsoft.errors import NotFoundError
from failsoft.settings import load_settings
from failsoft.tracing.tree import find, render

COLUMNS = ("trace", "agent", "event key", "run")


@click.group("trace")
def command() -> None:
    """List and show the local traces of attempts."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(limit: int, *, as_json: bool) -> None:
    """List traces, the newest first."""
    # The ids are UUIDs of version 7: their order is that of time.
    paths = sorted(_folder().glob("*.jsonl"), key=lambda path: path.stem, reverse=True)
    found = [_head(path) for path in paths[:limit]]
    if as_json:
        show_json(found)
        return
    rows = [(each["trace_id"], each["agent"], each["event_key"], each["run_id"]) for each in found]
    show_table(COLUMNS, rows, empty=f"There are no traces in {_folder()}.")


@command.command()
@click.argument("trace_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array: the lines of it.")
def show(trace_id: str, *, as_json: bool) -> None:
    """Show a trace as a tree; ID may be the beginning of one."""
    path = find(_folder(), trace_id)
    if as_json:
        show_json(list(_lines(path)))
    else:
        click.echo(render(path))


def _folder() -> Path:
    return load_settings().home / "traces"


def _head(path: Path) -> dict[str, Any]:
    first = next(_lines(path), {})
    about = {name: first.get(name) for name in ("agent", "event_key", "run_id")}
    return {"trace_id": path.stem, "path": str(path), **about}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a trace; a process that was killed leaves half a line."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    value = json.loads(line)
                except ValueError:
                    continue
                if isinstance(value, dict):
                    yield value
    except OSError as error:
        raise NotFoundError(f"The trace {path} cannot be read: {error.strerror}.") from None
