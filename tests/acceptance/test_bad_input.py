"""Whatever is wrong with what one types: one clear sentence, an exit code of its kind, no traceback.

2: what was asked for is wrong; 3: the environment is; 4: something that is needed is away.
"""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from failsoft.checkpoints.embedded import EmbeddedPostgres
from failsoft.checkpoints.migrate import migrate
from failsoft.events import MAX_TEXT

BIN = Path(sys.executable).parent
USAGE, CONFIGURATION, UNAVAILABLE = 2, 3, 4
SECRET = "hunter2"  # noqa: S105  # of a database that does not exist
SOMEBODY = 54321  # a user id that is not ours


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A folder, a home and an environment in which nothing else is set."""

    home: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(
        self, *arguments: str | bytes, stdin: bytes = b"", **variables: str
    ) -> "subprocess.CompletedProcess[bytes]":
        clean = {"PATH": os.environ["PATH"], "FAILSOFT_HOME": str(self.home), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [BIN / "failsoft", *arguments],
            env=clean | self.variables | variables,
            input=stdin,
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=90,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    def refused(self, *arguments: str, code: int, stdin: bytes = b"", **variables: str) -> str:
        """Run a command that must fail; return its one sentence."""
        done = self.run(*arguments, stdin=stdin, **variables)
        said = done.stderr.decode()
        assert done.returncode == code, said
        # Which sandbox it would have used is no complaint.
        lines = [line for line in said.splitlines() if "using a sandbox" not in line]
        assert len(lines) == 1, said
        assert lines[0].startswith("failsoft: ")
        assert lines[0].endswith(".") or "pip install" in lines[0]
        return lines[0]

    def accepted(self, event: object) -> dict[str, object]:
        """Run an event that must be handled; return the account of it."""
        done = self.run("run", "slack-jira", "-", "--json", stdin=json.dumps(event).encode())
        assert done.returncode == 0, done.stderr.decode()
        account: dict[str, object] = json.loads(done.stdout)
        return account


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose server runs as long as the module, so that no command waits for it."""
    with tempfile.TemporaryDirectory(prefix="failsoft-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        server = EmbeddedPostgres(home / "pg", fsync=False)
        asyncio.run(migrate(server.start()))
        try:
            yield home
        finally:
            server.close()


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Shell:
    return Shell(home=home, folder=tmp_path)


@pytest.mark.parametrize(
    "agent",
    ["slack-jria", "no.such.module:graph", "json:graph", "json:loads", "json", ":", "a:b:c"],
)
def test_an_agent_that_is_none(shell: Shell, agent: str) -> None:
    shell.refused("graph", agent, code=USAGE)


def test_an_agent_that_is_none_starts_no_run(shell: Shell) -> None:
    assert "'slack-jria'" in shell.refused("run", "slack-jria", "--text", "x", code=USAGE)


def test_a_run_without_an_event(shell: Shell) -> None:
    assert "--text" in shell.refused("run", "slack-jira", code=USAGE)
    assert "--text" in shell.refused("run", "slack-jira", "--text", "x", "--event", "y", code=USAGE)
    assert "empty" in shell.refused("run", "slack-jira", "--text", " ", code=USAGE)


@pytest.mark.parametrize("file", ["missing.json", "."])
def test_an_event_file_that_cannot_be_read(shell: Shell, file: str) -> None:
    said = shell.refused("run", "slack-jira", "--event", file, code=USAGE)
    assert f"{file} cannot be read" in said


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b'{"key": "k", "text": NaN}',
        b'{"key": "k", "key": "l", "text": "x"}',
        b'{"key": "", "source": "x", "text": "x"}',
        b'{"key": "k", "source": "x", "text": 7}',
        b'{"key": "k", "source": "x", "text": "x", "colour": "red"}',
    ],
)
def test_an_event_that_is_none(shell: Shell, event: bytes) -> None:
    shell.refused("run", "slack-jira", "-", code=USAGE, stdin=event)


@pytest.mark.parametrize("depth", [40, 200_000])
def test_an_event_that_is_nested_too_deeply(shell: Shell, depth: int) -> None:
    event = b'{"key": "k", "text": ' + b"[" * depth + b"]" * depth + b"}"
    said = shell.refused("run", "slack-jira", "-", code=USAGE, stdin=event)
    assert "nested deeper" in said


def test_a_text_with_nul_and_lone_surrogates_is_cleaned_and_handled(shell: Shell) -> None:
    text = "The shop is down, all servers time out \x00 \ud800 \udfff"
    account = shell.accepted({"key": "dirty", "source": "cli", "text": text})
    assert account["state"] == "done"
    kept = json.loads(shell.run("runs", "show", "dirty", "--json").stdout)["run"]["event"]["text"]
    assert kept == "The shop is down, all servers time out \ufffd ? ?"


def test_bytes_that_are_no_text_are_cleaned_on_the_command_line_too(shell: Shell) -> None:
    text = b"The shop is down, all servers time out \xff\xfe"
    done = shell.run("run", "slack-jira", "--text", text, "--key", "bytes", "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["state"] == "done"


def test_a_text_of_one_megabyte_is_handled(shell: Shell) -> None:
    text = "The shop is down, all servers time out. ".ljust(MAX_TEXT, "x")
    account = shell.accepted({"key": "large", "source": "cli", "text": text})
    assert account["state"] == "done"


@pytest.mark.parametrize("more", [1, 8 * MAX_TEXT])
def test_a_larger_text_is_refused(shell: Shell, more: int) -> None:
    event = {"key": "larger", "source": "cli", "text": "x" * (MAX_TEXT + more)}
    said = shell.refused("run", "slack-jira", "-", code=USAGE, stdin=json.dumps(event).encode())
    assert "are allowed" in said


def test_a_database_that_does_not_answer(shell: Shell) -> None:
    dsn = f"postgresql://me:{SECRET}@127.0.0.1:1/failsoft"
    for command in (["runs", "list"], ["run", "slack-jira", "--text", "x"], ["db", "status"]):
        said = shell.refused(*command, code=UNAVAILABLE, FAILSOFT_DSN=dsn)
        assert "127.0.0.1:1/failsoft does not answer" in said
        assert SECRET not in said


def test_a_dsn_that_is_none(shell: Shell) -> None:
    dsn = f"postgresql://me:{SECRET}@host:port/failsoft"
    said = shell.refused("runs", "list", code=CONFIGURATION, FAILSOFT_DSN=dsn)
    assert "FAILSOFT_DSN" in said
    assert SECRET not in said


def test_a_setting_of_the_wrong_kind(shell: Shell) -> None:
    said = shell.refused("runs", "list", code=CONFIGURATION, FAILSOFT_CONCURRENCY="many")
    assert "FAILSOFT_CONCURRENCY" in said


def test_a_route_to_a_project_that_does_not_exist(shell: Shell) -> None:
    shell.run("new", "my_agent")
    routes = shell.folder / "my_agent" / "routes.yaml"
    routes.write_text(routes.read_text("utf-8").replace("project: PAY", "project: NOWHERE"))
    done = shell.run("doctor", "my_agent.graph:graph", "--json")
    assert done.returncode == CONFIGURATION
    wrong = [each for each in json.loads(done.stdout)["checks"] if each["health"] == "wrong"]
    assert [each["name"] for each in wrong] == ["route billing"]
    assert "NOWHERE" in wrong[0]["detail"]


def test_a_component_that_the_project_does_not_have(shell: Shell) -> None:
    shell.run("new", "my_agent")
    routes = shell.folder / "my_agent" / "routes.yaml"
    routes.write_text(routes.read_text("utf-8").replace("[platform]", "[plumbing]"))
    done = shell.run("doctor", "my_agent.graph:graph")
    assert done.returncode == CONFIGURATION
    assert b"OPS has no component 'plumbing', only platform, on-call" in done.stdout


def test_a_route_that_no_label_leads_to(shell: Shell) -> None:
    shell.run("new", "my_agent")
    routes = shell.folder / "my_agent" / "routes.yaml"
    routes.write_text(routes.read_text("utf-8").replace("billing:", "biling:"))
    said = shell.refused("graph", "my_agent.graph:graph", code=USAGE)
    assert "'biling'" in said or "'billing'" in said


@pytest.mark.parametrize("name", ["gpt-5", "nobody:gpt-5", "openai:"])
def test_a_model_that_is_named_wrongly(shell: Shell, name: str) -> None:
    said = shell.refused(
        "run", "slack-jira", "--text", f"x {name}", code=CONFIGURATION, FAILSOFT_MODEL=name
    )
    assert "provider:model" in said


@pytest.mark.skipif(
    importlib.util.find_spec("langchain_anthropic") is not None, reason="its extra is installed"
)
def test_a_model_whose_package_is_not_installed(shell: Shell) -> None:
    said = shell.refused(
        "run", "slack-jira", "--text", "a model without its package", code=CONFIGURATION,
        FAILSOFT_MODEL="anthropic:claude-x", FAILSOFT_MODEL_API_KEY="k",
    )  # fmt: skip
    assert "pip install 'failsoft[anthropic]'" in said


def test_a_model_without_its_key(shell: Shell) -> None:
    said = shell.refused(
        "run", "slack-jira", "--text", "a model without its key", code=CONFIGURATION,
        FAILSOFT_MODEL="openai:gpt-5-mini",
    )  # fmt: skip
    assert "FAILSOFT_MODEL_API_KEY is not set" in said


def test_an_agent_whose_connector_is_not_configured(shell: Shell) -> None:
    done = shell.run(
        "doctor", "slack-jira", FAILSOFT_MODEL="openai:gpt-5-mini", FAILSOFT_MODEL_API_KEY="k"
    )
    assert done.returncode == CONFIGURATION
    assert b"FAILSOFT_JIRA_BASE_URL is not set" in done.stdout
    assert b"FAILSOFT_SLACK_TOKEN is not set" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("command", [["runs", "list"], ["run", "slack-jira", "--text", "x"]])
def test_a_home_that_belongs_to_somebody_else(shell: Shell, command: list[str]) -> None:
    foreign = shell.folder / "home"
    foreign.mkdir()
    os.chown(foreign, SOMEBODY, SOMEBODY)
    said = shell.refused(*command, code=CONFIGURATION, FAILSOFT_HOME=str(foreign))
    assert f"{foreign} belongs to" in said
    assert list(foreign.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written(shell: Shell) -> None:
    closed = shell.folder / "home"
    closed.mkdir(mode=0o500)
    said = shell.refused("runs", "list", code=CONFIGURATION, FAILSOFT_HOME=str(closed))
    assert "FAILSOFT_HOME" in said


STATIC_EDGE = """
from failsoft import END, START, Jira, ResilientGraph

graph = ResilientGraph("wrong")
graph.add_write("create", Jira.create_issue, request=lambda state: None)
graph.add_path(START, "create", END)
graph.add_edge("create", END)
"""


@pytest.mark.parametrize("compiled", ["", "graph = graph.compile()\n"])
@pytest.mark.parametrize("command", [["graph"], ["run", "--text", "x"]])
def test_an_edge_out_of_a_verb_node(shell: Shell, compiled: str, command: list[str]) -> None:
    (shell.folder / "wrong.py").write_text(STATIC_EDGE + compiled)
    said = shell.refused(command[0], "wrong:graph", *command[1:], code=USAGE)
    assert "`create`" in said
    assert "add_path" in said


@pytest.mark.parametrize(
    "command",
    [
        ["runs", "show", "nothing-like-it"],
        ["runs", "show", "abc"],
        ["runs", "cancel", "nothing-like-it", "--yes"],
        ["reviews", "show", "nothing-like-it"],
        ["reviews", "decide", "nothing-like-it", "--choice", "accept"],
        ["dead", "retry", "nothing-like-it"],
        ["trace", "show", "nothing-like-it"],
        ["new", "9lives"],
        ["graph", "slack-jira", "--mermaid", "--ascii"],
    ],
)
def test_something_that_is_not_there_or_makes_no_sense(shell: Shell, command: list[str]) -> None:
    shell.refused(*command, code=USAGE)
