"""A log line is one line, whatever it quotes."""

import logging

from failsoft.cli.environment import LOG_FORMAT, OneLine


def formatted(text: str, **more: object) -> str:
    record = logging.LogRecord("failsoft", logging.WARNING, "x", 1, text, (), None)
    vars(record).update(more)
    return OneLine(LOG_FORMAT).format(record)


def test_control_characters_neither_forge_a_line_nor_drive_the_terminal() -> None:
    line = formatted("one\r\ntwo \x1b]0;title\x07 \x9b31m \u202e end")
    assert line.isprintable()
    assert "one" in line
    assert "end" in line


def test_the_text_of_an_error_is_escaped_in_its_traceback_too() -> None:
    error = ValueError("\x1b]0;title\x07")
    lines = formatted("it broke", exc_info=(type(error), error, None)).split("\n")
    assert all(line.isprintable() for line in lines)
