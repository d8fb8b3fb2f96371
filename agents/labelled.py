"""Texts with the labels that people gave them: what rules are learned from and measured on."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from failsoft.errors import InvalidDataError
from failsoft.parsing import clean_text

MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 50_000
MAX_LABEL = 100  # characters
MAX_LABELS = 300
LABEL_COLUMNS = ("label", "category")


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """One text and its label; `line` is where it stands in its file, 0: in none."""

    text: str
    label: str
    line: int = field(default=0, compare=False)


def read_csv(path: Path) -> list[Labelled]:
    """Read a CSV in UTF-8 whose header names the columns `text` and `label` (or `category`).

    Raises:
        InvalidDataError: it cannot be read, is too large, lacks a column, or holds no row.
    """
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[Labelled] = []
    try:
        label = _label_column(path, reader.fieldnames or [])
        for row in _rows(path, reader, label):
            if len(rows) == MAX_ROWS:
                raise InvalidDataError(f"{path} has more than {MAX_ROWS} rows: take a sample.")
            rows.append(row)
    except csv.Error as error:
        raise InvalidDataError(f"{path}, line {reader.line_num + 1}: {error}.") from None
    if not rows:
        raise InvalidDataError(f"{path} has a header and no row.")
    if (many := len({row.label for row in rows})) > MAX_LABELS:
        raise InvalidDataError(
            f"{path} has {many} labels; {MAX_LABELS} are allowed. Is this the right column?"
        )
    return rows


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidDataError(f"{path} cannot be read: {error.strerror}.") from None
    if len(raw) > MAX_BYTES:
        raise InvalidDataError(f"{path} is larger than {MAX_BYTES} bytes: take a sample.")
    if not raw.strip():
        raise InvalidDataError(f"{path} is empty.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidDataError(
            f"{path}, line {line}: this is not UTF-8. Save it as such."
        ) from None


def _label_column(path: Path, names: Sequence[str]) -> str:
    found = [name for name in LABEL_COLUMNS if name in names]
    if "text" in names and found:
        return found[0]
    seen = ", ".join(repr(clean_text(name)[:40]) for name in names[:10])
    raise InvalidDataError(
        f"{path} needs the columns `text` and `label` (or `category`), with commas between them; "
        f"its header has {seen}."
    )


def _rows(path: Path, reader: "csv.DictReader[str]", column: str) -> Iterator[Labelled]:
    for row in reader:
        # None: the line is shorter than the header, whatever the stub of csv says
        text, label = (clean_text(row[name] or "") for name in ("text", column))
        if not text.strip() or not label.strip():
            raise InvalidDataError(f"{path}, line {reader.line_num}: a text or its label is empty.")
        if len(label) > MAX_LABEL or not label.isprintable():
            raise InvalidDataError(
                f"{path}, line {reader.line_num}: this is no label: {label[:100]!r}."
            )
        yield Labelled(text=text, label=label.strip(), line=reader.line_num)
