"""Whatever is wrong with what one types: one sentence, an exit code of its kind, no traceback.

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
from dataclasses import dataclass
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

    def run(
        self, *arguments: str, stdin: bytes = b"", **variables: str
    ) -> "subprocess.CompletedProcess[bytes]":
        clean = {"PATH": os.environ["PATH"], "FAILSOFT_HOME": str(self.home), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [BIN / "failsoft", *arguments],
            env=clean | variables,
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
        return lines[0]

    def account_of(self, event: object) -> dict[str, object]:
        """Let an event be handled; return what became of it."""
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


@pytest.mark.parametrize("agent", ["slack-jria", "no.such.module:graph"])
def test_an_agent_that_is_none(shell: Shell, agent: str) -> None:
    said = shell.refused("run", agent, "--text", "x", code=USAGE)
    assert agent.partition(":")[0] in said


def test_an_event_file_that_cannot_be_read(shell: Shell) -> None:
    said = shell.refused("run", "slack-jira", "--event", "missing.json", code=USAGE)
    assert "'missing.json' cannot be read" in said


def test_an_event_that_is_no_json(shell: Shell) -> None:
    shell.refused("run", "slack-jira", "-", code=USAGE, stdin=b"\xff\xfe\x00 not json")


def test_an_event_that_is_nested_too_deeply(shell: Shell) -> None:
    event = b'{"key": "k", "text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    said = shell.refused("run", "slack-jira", "-", code=USAGE, stdin=event)
    assert "nested deeper" in said


def test_a_text_with_nul_and_lone_surrogates_is_cleaned_and_handled(shell: Shell) -> None:
    text = "The shop is down, all servers time out \x00 \ud800 \udfff"
    account = shell.account_of({"key": "dirty", "source": "cli", "text": text})
    assert account["state"] == "done"
    kept = json.loads(shell.run("runs", "show", "dirty", "--json").stdout)["run"]["event"]["text"]
    assert kept == "The shop is down, all servers time out \ufffd ? ?"


def test_a_text_of_one_megabyte_is_handled(shell: Shell) -> None:
    text = "The shop is down, all servers time out. ".ljust(MAX_TEXT, "x")
    account = shell.account_of({"key": "large", "source": "cli", "text": text})
    assert account["state"] == "done"


@pytest.mark.parametrize("command", [["runs", "list"], ["run", "slack-jira", "--text", "x"]])
def test_a_database_that_does_not_answer(shell: Shell, command: list[str]) -> None:
    dsn = f"postgresql://me:{SECRET}@127.0.0.1:1/failsoft"
    said = shell.refused(*command, code=UNAVAILABLE, FAILSOFT_DSN=dsn, FAILSOFT_MODEL="openai:x")
    assert "127.0.0.1:1/failsoft does not answer" in said
    assert SECRET not in said


def test_a_production_database_never_meets_a_sandbox(shell: Shell) -> None:
    said = shell.refused(
        "run", "slack-jira", "--text", "x", code=CONFIGURATION,
        FAILSOFT_DSN="postgresql://me@127.0.0.1:1/failsoft",
    )  # fmt: skip
    assert "unset FAILSOFT_DSN to try the agent in a sandbox" in said


def test_runs_of_a_sandbox_never_meet_the_real_world(shell: Shell) -> None:
    shell.run("run", "slack-jira", "--text", "begun in a sandbox")
    said = shell.refused(
        "run", "slack-jira", "--text", "x", code=CONFIGURATION,
        FAILSOFT_MODEL="openai:gpt-5-mini", FAILSOFT_MODEL_API_KEY="k",
    )  # fmt: skip
    assert "begun in a sandbox" in said


def test_a_dsn_that_is_none(shell: Shell) -> None:
    dsn = f"postgresql://me:{SECRET}@host/failsoft?no_such_option=1"
    said = shell.refused("runs", "list", code=CONFIGURATION, FAILSOFT_DSN=dsn)
    assert "FAILSOFT_DSN" in said
    assert SECRET not in said


def test_a_setting_of_the_wrong_kind(shell: Shell) -> None:
    said = shell.refused("runs", "list", code=CONFIGURATION, FAILSOFT_CONCURRENCY="many")
    assert "FAILSOFT_CONCURRENCY" in said


def test_routes_to_what_the_project_does_not_have(shell: Shell) -> None:
    shell.run("new", "my_agent")
    routes = shell.folder / "my_agent" / "routes.yaml"
    text = routes.read_text("utf-8").replace("project: PAY", "project: NOWHERE")
    routes.write_text(text.replace("[platform]", "[plumbing]"), "utf-8")
    done = shell.run("doctor", "my_agent.graph:graph", "--json")
    assert done.returncode == CONFIGURATION
    checks = json.loads(done.stdout)["checks"]
    wrong = {each["name"]: each["detail"] for each in checks if each["health"] == "wrong"}
    assert wrong.keys() == {"route outage", "route billing"}
    assert "OPS has no component 'plumbing', only platform, on-call" in wrong["route outage"]
    assert "NOWHERE" in wrong["route billing"]


def test_a_model_that_is_named_wrongly(shell: Shell) -> None:
    said = shell.refused(
        "run", "slack-jira", "--text", "x", code=CONFIGURATION, FAILSOFT_MODEL="gpt-5"
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_that_belongs_to_somebody_else(shell: Shell) -> None:
    foreign = shell.folder / "home"
    foreign.mkdir()
    os.chown(foreign, SOMEBODY, SOMEBODY)
    said = shell.refused("runs", "list", code=CONFIGURATION, FAILSOFT_HOME=str(foreign))
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


@pytest.mark.parametrize(
    ("command", "compiled"),
    [(["graph"], ""), (["run", "--text", "x"], "graph = graph.compile()\n")],
)
def test_an_edge_out_of_a_verb_node(shell: Shell, command: list[str], compiled: str) -> None:
    (shell.folder / "wrong.py").write_text(STATIC_EDGE + compiled)
    said = shell.refused(command[0], "wrong:graph", *command[1:], code=USAGE)
    assert "`create`" in said
    assert "add_path" in said


@pytest.mark.parametrize("noun", ["runs", "reviews", "trace"])
def test_something_that_is_not_there(shell: Shell, noun: str) -> None:
    assert "nothing-like-it" in shell.refused(noun, "show", "nothing-like-it", code=USAGE)
