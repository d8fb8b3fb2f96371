"""What `failsoft run` takes for an event and for an agent, and what it refuses."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from failsoft.agents.load import load_graph
from failsoft.cli.private_sandbox import REAL
from failsoft.cli.run import Given, command
from failsoft.errors import FailsoftError, InvalidEventError, UnknownAgentError, UsageError
from failsoft.events import MAX_TEXT, Event
from failsoft.settings import Settings


def of_file(path: Path, content: bytes) -> Event:
    file = path / "event.json"
    file.write_bytes(content)
    event = Given.read(file=str(file)).event(Settings())
    assert isinstance(event, Event)
    return event


def of_text(text: str | None, *, file: str | None = None) -> Event:
    event = Given.read(text=text, file=file).event(Settings())
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


@pytest.mark.parametrize("option", ["mail", "file"])
def test_a_file_without_end_is_read_no_further_than_its_limit(option: str) -> None:
    with pytest.raises(InvalidEventError, match="larger than"):
        Given.read(**{option: "/dev/zero"})


@pytest.mark.parametrize("option", ["mail", "file", "source"])
def test_a_key_is_refused_where_the_event_has_its_own(option: str) -> None:
    with pytest.raises(UsageError, match="--key"):
        Given.read(key="mine", **{option: "-"})


def test_a_key_given_with_a_text_is_the_events(tmp_path: Path) -> None:
    event = Given.read(text="down", key="mine").event(Settings(home=tmp_path))
    assert isinstance(event, Event)
    assert event.key == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nothing"),
        pytest.param(["--text", "x", "--mail", os.devnull], id="two"),
        pytest.param(["--key", "k", "--mail", os.devnull], id="key"),
        pytest.param(["--event", "no/such.json"], id="no file"),
        pytest.param(["--event", os.devnull], id="no JSON"),
        pytest.param(["what"], id="a word"),
    ],
)
def test_wrong_use_starts_no_sandbox(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*REAL, "FAILSOFT_DSN"]:
        monkeypatch.delenv(name, raising=False)
    used = CliRunner().invoke(command, ["slack-jira", *arguments])
    assert isinstance(used.exception, FailsoftError)
    assert used.exception.exit_code == 2
    assert "sandbox" not in used.output
