"""A local trace in the terminal."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from failsoft.errors import NotFoundError

MAX_LINES = 200
MAX_DEPTH = 20
MARKS = {"ok": "✓", "error": "✗", "interrupted": "⏸", "open": "…"}


@dataclass(kw_only=True, slots=True)
class Span:
    """A span of a trace, `open` until its second line was read."""

    start: dict[str, object]
    end: dict[str, object] = field(default_factory=lambda: {"status": "open"})
    children: list["Span"] = field(default_factory=list)

    def __str__(self) -> str:
        status = str(self.end.get("status"))
        words = [MARKS.get(status, "?"), _shown(self.start.get("name"))]
        words += [f"[{_shown(self.start.get('kind'))}]", self._took()]
        tokens, error = self.end.get("tokens"), self.end.get("error")
        if isinstance(tokens, dict):
            words.append(f"{tokens.get('input', 0)}+{tokens.get('output', 0)} tok")
        if isinstance(error, dict):
            lines = str(error.get("text")).strip().splitlines() or [""]
            words.append(f"{_shown(error.get('class'))}: {_shown(lines[0])}".removesuffix(": "))
        return " ".join(words)

    def _took(self) -> str:
        start, end = self.start.get("at"), self.end.get("at")
        if not (isinstance(start, int | float) and isinstance(end, int | float)):
            return "unfinished"
        return f"{(end - start) * 1000:.0f}ms"


def find(folder: Path, prefix: str) -> Path:
    """Return the only trace in `folder` whose id begins with `prefix`.

    Raises:
        NotFoundError: there is none, or more than one.

    """
    found = [path for path in folder.glob("*.jsonl") if prefix and path.stem.startswith(prefix)]
    if not found:
        raise NotFoundError(f"No trace in {folder} begins with {prefix!r}.")
    if len(found) > 1:
        raise NotFoundError(f"{len(found)} traces begin with {prefix!r}: give more of the id.")
    return found[0]


def render(path: Path) -> str:
    """Return the spans of a local trace as an indented tree, one line a span.

    Raises:
        NotFoundError: the file cannot be read.

    """
    lines: list[str] = []
    for root in _roots(path):
        _draw(root, 0, lines)
    more = len(lines) - MAX_LINES
    return "\n".join(lines if more <= 0 else [*lines[:MAX_LINES], f"… {more} more spans"])


def _roots(path: Path) -> list[Span]:
    spans: dict[str, Span] = {}
    roots: list[Span] = []
    for row in _rows(path):
        name = str(row.get("span"))
        if row.get("phase") == "start" and name not in spans:
            span = spans[name] = Span(start=row)
            above = spans.get(str(row.get("parent")))
            (above.children if above else roots).append(span)
        elif row.get("phase") == "end" and name in spans:
            spans[name].end = row
    return roots


def _rows(path: Path) -> Iterator[dict[str, object]]:
    """Read the lines; a process that was killed leaves half a line."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotFoundError(f"The trace {path} cannot be read: {error.strerror}.") from None
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _draw(span: Span, depth: int, lines: list[str]) -> None:
    lines.append("  " * min(depth, MAX_DEPTH) + str(span))
    for child in span.children:
        _draw(child, depth + 1, lines)


def _shown(value: object) -> str:
    """Return a short text without control characters, which would reach the terminal."""
    return "".join(char if char.isprintable() else "�" for char in str(value))[:120]
