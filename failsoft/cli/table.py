"""What commands put on the terminal: tables, JSON, and texts from outside made harmless."""

import json
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from failsoft.errors import UsageError

GAP = "  "
NARROWEST = 8  # characters that a column keeps however narrow the terminal is


def escaped(text: object) -> str:
    """Return one harmless line: a control character would drive the terminal or forge lines."""
    return "".join(char if char.isprintable() else _code(char) for char in str(text))


def indented(text: str) -> str:
    """Return a text verbatim, line by line behind a margin, each line harmless."""
    lines = text.split("\n")
    return "\n".join(f"  | {escaped(line.removesuffix(chr(13)))}" for line in lines)


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print aligned columns, cut to the terminal if there is one; `empty` is said for no rows."""
    if not rows:
        click.echo(empty)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table([header, *rows], width):
        click.echo(line)


def table(rows: Sequence[Sequence[object]], width: int | None = None) -> list[str]:
    """Return rows as aligned lines of at most `width` characters; the last column is cut first."""
    cells = [["" if cell is None else escaped(cell) for cell in row] for row in rows]
    widths = [max(map(_wide, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = _fitting(widths, width)
    return [
        GAP.join(_padded(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def show_facts(facts: Mapping[str, object]) -> None:
    """Print one fact a line; what is empty is left out."""
    rows = [(name, value) for name, value in facts.items() if value not in (None, "", [], {})]
    for line in table(rows):
        click.echo(line)


def show_json(value: object) -> None:
    """Print one JSON document on one line; everything beyond ASCII is escaped."""
    click.echo(json.dumps(value, sort_keys=True, default=_plain))


def when(at: datetime | None) -> str:
    """Return a time as people on this machine read it."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be taken back.

    Raises:
        UsageError: nobody is there to ask.
        click.Abort: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is here to answer: say so with --yes.")
    click.confirm(question, abort=True)


def _code(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _fitting(widths: Sequence[int], width: int) -> list[int]:
    """Narrow the columns from the last to the first until they fit."""
    fitted = list(widths)
    for place in reversed(range(len(fitted))):
        over = sum(fitted) + len(GAP) * (len(fitted) - 1) - width
        if over > 0:
            fitted[place] = max(min(NARROWEST, fitted[place]), fitted[place] - over)
    return fitted


def _padded(cell: str, size: int) -> str:
    if _wide(cell) > size:
        while _wide(cell) >= size:
            cell = cell[:-1]
        cell += "…"
    return cell + " " * (size - _wide(cell))


def _wide(text: str) -> int:
    """Return the columns that a text takes: two for Chinese, Japanese, Korean and emoji."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
