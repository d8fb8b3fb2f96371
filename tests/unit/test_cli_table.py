"""What commands print is aligned, fits, and cannot drive the terminal."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from failsoft.cli.table import confirm, escaped, indented, show_facts, show_json, table
from failsoft.errors import UsageError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("one\r\ntwo", "one\\x0d\\x0atwo"),
        ("right\u202eto left", "right\\u202eto left"),
        ("żółw 🐢", "żółw 🐢"),
    ],
)
def test_a_control_character_is_shown_by_its_number(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_text_keeps_its_lines_and_each_of_them_is_harmless() -> None:
    assert indented("one\r\n\x1b[31mtwo") == "  | one\n  | \\x1b[31mtwo"


def test_columns_begin_under_each_other_even_with_wide_characters() -> None:
    lines = table([("name", "state"), ("表示", "done"), ("ab", "dead")])
    assert lines == ["name  state", "表示  done", "ab    dead"]


def test_a_table_is_cut_to_the_terminal_from_its_last_column() -> None:
    lines = table([("run", "text"), ("12345678", "x" * 100)], width=30)
    assert [len(line) for line in lines] == [14, 30]
    assert lines[1] == "12345678  " + "x" * 19 + "…"


def test_what_is_empty_is_left_out_but_zero_is_a_fact(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"reason": None, "crashes": 0, "path": []})
    assert capsys.readouterr().out == "crashes  0\n"


def test_json_is_one_line_of_ascii_whatever_a_row_holds(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    show_json({"id": UUID(int=1), "at": at, "head": b"\x01\xff", "text": "\x1b\u202e"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {
        "id": "00000000-0000-0000-0000-000000000001",
        "at": "2026-01-02T00:00:00+00:00",
        "head": "01ff",
        "text": "\x1b\u202e",
    }


def test_harm_needs_a_yes_when_nobody_can_be_asked() -> None:
    confirm("Do it?", yes=True)
    with pytest.raises(UsageError, match="--yes"):
        confirm("Do it?", yes=False)
