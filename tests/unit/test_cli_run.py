"""What `failsoft run` takes for an event and for an agent, and what it refuses."""

from pathlib import Path

import pytest

from failsoft.agents.load import load_graph
from failsoft.cli.run import read_event
from failsoft.errors import FailsoftError, UnknownAgentError, UsageError
from failsoft.events import MAX_TEXT, Event
from failsoft.settings import Settings


def of_file(path: Path, content: bytes) -> Event:
    file = path / "event.json"
    file.write_bytes(content)
    event = read_event(text=None, key=None, file=str(file), settings=Settings())
    assert isinstance(event, Event)
    return event


def of_text(text: str | None, *, file: str | None = None) -> Event:
    event = read_event(text=text, key=None, file=file, settings=Settings())
    assert isinstance(event, Event)
    return event


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1, 2]",
        b'{"key": "k", "source": "x", "text": NaN}',
        b'{"key": "k", "key": "l", "source": "x", "text": "x"}',
        b'{"key": "", "source": "x", "text": "x"}',
        b'{"key": "k", "source": "x", "text": 7}',
        b'{"key": "k", "source": "x", "text": "x", "colour": "red"}',
        b'{"key": "k", "source": "x", "text": "x", "facts": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"key": "k", "source": "x", "text": "' + b"x" * (MAX_TEXT + 1) + b'"}',
        b'{"key": "k", "source": "x", "text": "' + b"x" * (8 * MAX_TEXT) + b'"}',
    ],
    ids=["empty", "list", "NaN", "twice", "no key", "number", "field", "deep", "large", "larger"],
)
def test_an_event_that_breaks_a_rule_is_wrong_use(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(FailsoftError) as refusal:
        of_file(tmp_path, content)
    assert refusal.value.exit_code == 2
    assert "\n" not in str(refusal.value)


def test_a_folder_is_no_event(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        of_text(None, file=str(tmp_path))


@pytest.mark.parametrize(("text", "file"), [(None, None), ("x", "y"), (" ", None)])
def test_an_event_is_one_text_or_one_file(text: str | None, file: str | None) -> None:
    with pytest.raises(UsageError):
        of_text(text, file=file)


def test_bytes_that_are_no_text_are_cleaned() -> None:
    assert of_text("down \udcff\udcfe").text == "down ??"


def test_the_same_text_is_the_same_event() -> None:
    assert of_text("down").key == of_text("down").key != of_text("up").key


@pytest.mark.parametrize(
    "agent",
    ["slack-jria", "json", "no.such:graph", "json:graph", "json:loads", "os:getcwd", ":", "a:"],
)
def test_an_agent_that_is_none_is_named_as_such(agent: str) -> None:
    with pytest.raises(UnknownAgentError):
        load_graph(agent)
