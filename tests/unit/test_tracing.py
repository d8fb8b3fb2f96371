"""The local trace, the links to it and its tree."""

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from pydantic import SecretStr
from typing_extensions import TypedDict

from failsoft.errors import NotFoundError
from failsoft.tracing import attempts, links
from failsoft.tracing.links import flush, langsmith_guard, link_of
from failsoft.tracing.recorder import Recorder, new_trace_id
from failsoft.tracing.tree import find, render

RUN = UUID("00000000-0000-5000-8000-000000000001")


class State(TypedDict, total=False):
    text: str


class Client:
    """Something with a credential that no trace may show."""

    def __repr__(self) -> str:
        return "Client(hunter2)"


@tool
def look_up(name: str) -> str:
    """Look somebody up."""
    return f"{name} was found"


def answer(_: State) -> State:
    usage = {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}
    model = GenericFakeChatModel(messages=iter([AIMessage("bug", usage_metadata=usage)]))
    model.invoke("which label?")
    return {"text": str(look_up.invoke({"name": "Ada"}))}


def ask(_: State) -> State:
    return {"text": str(interrupt({"kind": "person"}))}


def fail(state: State) -> State:
    raise RuntimeError(f"refused: {state['text']}")


def recorder(folder: Path, *secrets: str) -> Recorder:
    return Recorder(
        folder,
        run_id=RUN,
        event_key="slack:T1:C1:1.1",
        agent="slack-jira",
        secrets=[SecretStr(secret) for secret in secrets],
    )


def drive(
    node: Callable[[State], State], handler: BaseCallbackHandler, *, text: str = "hello"
) -> UUID:
    """Run a graph of one node and return the attempt; an error of the node ends it."""
    graph = StateGraph(State)
    graph.add_node("work", node)  # type: ignore[call-overload]  # it looks at parameter names
    graph.add_edge(START, "work")
    trace_id = new_trace_id()
    config = RunnableConfig(
        run_id=trace_id,
        callbacks=[handler],
        run_name="slack-jira",
        configurable={"thread_id": "1", "api_token": "from-the-config"},
    )
    with suppress(RuntimeError):
        graph.compile(checkpointer=InMemorySaver()).invoke({"text": text}, config)
    return trace_id


def lines_of(folder: Path, trace_id: UUID) -> list[dict[str, object]]:
    path = folder / f"{trace_id}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_attempt_has_one_file_named_by_its_trace(tmp_path: Path) -> None:
    handler = recorder(tmp_path)
    ids = [drive(answer, handler), drive(answer, handler)]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(str(one) for one in ids)


def test_every_span_has_a_start_and_an_end(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, drive(answer, recorder(tmp_path)))
    assert {row["kind"] for row in rows} == {"chain", "llm", "tool"}
    assert {row["trace_id"] for row in rows} == {rows[0]["span"]}
    started = [row["span"] for row in rows if row["phase"] == "start"]
    ended = [row["span"] for row in rows if row["phase"] == "end"]
    assert len(started) == 4
    assert sorted(map(str, started)) == sorted(map(str, ended))


def test_the_first_line_names_run_event_and_agent(tmp_path: Path) -> None:
    first = lines_of(tmp_path, drive(answer, recorder(tmp_path)))[0]
    named = [first["run_id"], first["event_key"], first["agent"]]
    assert named == [str(RUN), "slack:T1:C1:1.1", "slack-jira"]


def test_a_model_call_carries_its_tokens(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, drive(answer, recorder(tmp_path)))
    assert [row["tokens"] for row in rows if "tokens" in row] == [{"input": 30, "output": 4}]


def test_lines_are_on_disk_before_the_span_ends(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(_: State) -> State:
        seen.extend(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
        return {}

    drive(look, recorder(tmp_path))
    assert [json.loads(line)["phase"] for line in seen[0].splitlines()] == ["start", "start"]


def test_an_interrupt_is_no_error(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, drive(ask, recorder(tmp_path)))
    assert [row["status"] for row in rows if row["phase"] == "end"] == ["interrupted"] * 2


def test_an_error_has_its_class_and_a_short_text(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, drive(fail, recorder(tmp_path), text="x" * 5000))
    error = rows[-1]["error"]
    assert isinstance(error, dict)
    assert error["class"] == "RuntimeError"
    assert 400 < len(error["text"]) < 600


def test_inputs_are_bounded(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, drive(answer, recorder(tmp_path), text="long " * 200_000))
    assert max(len(json.dumps(row)) for row in rows) < 2700


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer abcDEF123456",
        "authorization: basic dXNlcjpwYXNzd29yZA==",
        "xoxb-1234567890-abcdefgh",
        "xapp-1-A111-222-abcdef",
        "sk-proj-abcdefgh12345678",
        "postgresql://someone:hunter22@db/x",
    ],
)
def test_what_looks_like_a_secret_is_not_written(tmp_path: Path, secret: str) -> None:
    trace_id = drive(fail, recorder(tmp_path), text=f"see {secret} there")
    text = (tmp_path / f"{trace_id}.jsonl").read_text(encoding="utf-8")
    assert text.count("[redacted]") == 4  # inputs and errors of two spans
    assert secret.rsplit(maxsplit=1)[-1] not in text


@pytest.mark.parametrize("before", [0, 1990, 2000, 6090, 6096, 7000])
def test_a_known_secret_is_not_written_wherever_it_stands(tmp_path: Path, before: int) -> None:
    secret = "plain words as a secret"  # noqa: S105
    trace_id = drive(answer, recorder(tmp_path, secret), text="." * before + secret)
    assert "plain" not in (tmp_path / f"{trace_id}.jsonl").read_text(encoding="utf-8")


def test_objects_that_are_no_data_appear_by_class_only(tmp_path: Path) -> None:
    handler, span = recorder(tmp_path), new_trace_id()
    handler.on_chain_start(None, {"client": Client(), "configurable": {"a": "hidden"}}, run_id=span)
    handler.on_chain_end(None, run_id=span)
    assert lines_of(tmp_path, span)[0]["inputs"] == {
        "client": "<Client>",
        "configurable": "[redacted]",
    }


def test_the_configuration_is_not_written(tmp_path: Path) -> None:
    trace_id = drive(answer, recorder(tmp_path))
    assert "from-the-config" not in (tmp_path / f"{trace_id}.jsonl").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_logged_once_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    done: list[str] = []

    def work(state: State) -> State:
        done.append(state["text"])
        return {}

    with caplog.at_level(logging.WARNING):
        drive(work, recorder(tmp_path / "file"))
    assert done == ["hello"]
    assert len(caplog.records) == 1


def test_an_object_that_cannot_be_read_does_not_reach_the_run(tmp_path: Path) -> None:
    class UnreadableError(RuntimeError):
        def __str__(self) -> str:
            raise ValueError

    def work(_: State) -> State:
        raise UnreadableError

    handler = recorder(tmp_path)
    drive(work, handler)
    assert not handler._files


def test_a_late_child_is_written_to_the_attempt_that_has_ended(tmp_path: Path) -> None:
    handler = recorder(tmp_path)
    trace_id = drive(answer, handler)
    late = uuid4()
    handler.on_chain_start({"name": "late"}, {}, run_id=late, parent_run_id=uuid4())
    handler.on_chain_end({}, run_id=late)
    assert lines_of(tmp_path, trace_id)[-1]["name"] == "late"


def test_an_abandoned_attempt_closes_its_file(tmp_path: Path) -> None:
    handler = recorder(tmp_path)
    handler.on_chain_start({"name": "graph"}, {}, run_id=new_trace_id())
    handler.close()
    assert not handler._files


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    trace_id = drive(answer, recorder(tmp_path))
    assert (tmp_path / f"{trace_id}.jsonl").stat().st_mode & 0o077 == 0


def test_an_attempt_belongs_to_the_owner_that_it_was_begun_for(tmp_path: Path) -> None:
    owner = str(uuid4())
    with attempts.owned_by(owner):
        trace_id = drive(answer, recorder(tmp_path))
    drive(answer, recorder(tmp_path))
    assert [attempt.trace_id for attempt in attempts.of(owner)] == [trace_id]


def test_the_tree_shows_each_span_on_a_line(tmp_path: Path) -> None:
    drawn = render(find(tmp_path, str(drive(answer, recorder(tmp_path)))))
    shape = [line.rsplit(" ", 1)[0] for line in drawn.splitlines()]
    assert shape[:2] == ["✓ slack-jira [chain]", "  ✓ work [chain]"]
    assert shape[2].startswith("    ✓ GenericFakeChatModel [llm] ")
    assert drawn.splitlines()[2].endswith("ms 30+4 tok")


def test_the_tree_shows_what_failed_and_what_waits(tmp_path: Path) -> None:
    failed = render(find(tmp_path, str(drive(fail, recorder(tmp_path)))))
    waits = render(find(tmp_path, str(drive(ask, recorder(tmp_path)))))
    assert failed.splitlines()[1].startswith("  ✗ work [chain] ")
    assert failed.endswith("RuntimeError: refused: hello")
    assert waits.splitlines()[1].startswith("  ⏸ work [chain] ")


def test_the_tree_of_a_killed_attempt_shows_what_had_begun(tmp_path: Path) -> None:
    handler, span = recorder(tmp_path), new_trace_id()
    handler.on_chain_start({"name": "graph"}, {}, run_id=span)
    handler.close()
    path = tmp_path / f"{span}.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + '{"trace_id": "01', encoding="utf-8")
    assert render(path) == "… graph [chain] unfinished"


def test_the_tree_lets_no_control_character_through(tmp_path: Path) -> None:
    drawn = render(find(tmp_path, str(drive(fail, recorder(tmp_path), text="\x1b[2J"))))
    assert "\x1b" not in drawn


def test_a_trace_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    (tmp_path / "0aa1.jsonl").touch()
    (tmp_path / "0aa2.jsonl").touch()
    assert find(tmp_path, "0aa2").name == "0aa2.jsonl"


@pytest.mark.parametrize("prefix", ["0aa", "0b", "", "*", "../"])
def test_a_prefix_of_none_or_of_several_traces_is_not_found(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "0aa1.jsonl").touch()
    (tmp_path / "0aa2.jsonl").touch()
    with pytest.raises(NotFoundError):
        find(tmp_path, prefix)


class Projects(BaseHTTPRequestHandler):
    """LangSmith's list of projects: one project, or none, or an error."""

    rows: list[dict[str, str | None]]
    status: int
    asked: int

    def do_GET(self) -> None:
        type(self).asked += 1
        body = json.dumps(self.rows).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_langsmith(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("LANGSMITH_", "LANGCHAIN_", "FAILSOFT_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(links, "_refused", {})


@pytest.fixture
def langsmith(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Projects]]:
    row = {"id": str(uuid4()), "tenant_id": str(uuid4()), "start_time": "2026-01-01T00:00:00Z"}
    more = {"name": "triage", "reference_dataset_id": None}

    class Api(Projects):
        rows = [{**row, **more}]  # noqa: RUF012
        status = 200
        asked = 0

    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    _turn_on(monkeypatch)
    yield Api
    server.shutdown()
    thread.join()
    server.server_close()


def _turn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", "a-key-of-no-account")
    monkeypatch.setenv("LANGSMITH_PROJECT", "triage")


def test_without_langsmith_the_link_is_the_local_file(tmp_path: Path) -> None:
    trace_id = new_trace_id()
    assert link_of(trace_id, folder=tmp_path, template=None) == str(tmp_path / f"{trace_id}.jsonl")


@pytest.mark.parametrize("value", ["1", "True", "yes", ""])
def test_only_the_word_true_turns_langsmith_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, langsmith: type[Projects], value: str
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", value)
    link_of(new_trace_id(), folder=tmp_path, template=None)
    assert langsmith.asked == 0


def test_a_template_wins_and_knows_trace_and_run(tmp_path: Path, langsmith: type[Projects]) -> None:
    trace_id = new_trace_id()
    handler = recorder(tmp_path)
    handler.on_chain_start({"name": "graph"}, {}, run_id=trace_id)
    handler.on_chain_end({}, run_id=trace_id)
    link = link_of(trace_id, folder=tmp_path, template="https://x.test/{trace_id}?run={run_id}")
    assert (link, langsmith.asked) == (f"https://x.test/{trace_id}?run={RUN}", 0)


def test_the_url_is_composed_from_settings_without_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, langsmith: type[Projects]
) -> None:
    monkeypatch.setenv("FAILSOFT_LANGSMITH_TENANT_ID", "t1")
    monkeypatch.setenv("FAILSOFT_LANGSMITH_PROJECT_ID", "p1")
    monkeypatch.setenv("FAILSOFT_LANGSMITH_WEB_URL", "https://smith.test")
    trace_id = new_trace_id()
    link = link_of(trace_id, folder=tmp_path, template=None)
    assert link == f"https://smith.test/o/t1/projects/p/p1/r/{trace_id}?trace_id={trace_id}"
    assert langsmith.asked == 0


def test_the_project_is_looked_up_once_and_kept_on_disk(
    tmp_path: Path, langsmith: type[Projects]
) -> None:
    found = [link_of(new_trace_id(), folder=tmp_path, template=None) for _ in range(3)]
    row = langsmith.rows[0]
    path = f"/o/{row['tenant_id']}/projects/p/{row['id']}/r/"
    assert all(path in link for link in found)
    assert langsmith.asked == 1


def test_a_project_that_is_not_there_yet_is_asked_for_again(
    tmp_path: Path, langsmith: type[Projects]
) -> None:
    known, langsmith.rows = langsmith.rows, []
    first = link_of(new_trace_id(), folder=tmp_path, template=None)
    langsmith.rows = known
    assert first.endswith(".jsonl (LangSmith does not know the project yet)")
    assert "/projects/p/" in link_of(new_trace_id(), folder=tmp_path, template=None)


def test_a_langsmith_in_trouble_is_asked_once_in_a_process(
    tmp_path: Path, langsmith: type[Projects]
) -> None:
    langsmith.status = 500
    found = [link_of(new_trace_id(), folder=tmp_path, template=None) for _ in range(3)]
    assert all("no link from LangSmith" in link for link in found)
    assert langsmith.asked == 1


def test_a_langsmith_that_refuses_connections_gives_the_local_file_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    _turn_on(monkeypatch)
    trace_id = new_trace_id()
    link = link_of(trace_id, folder=tmp_path, template=None)
    assert link.startswith(f"{tmp_path / str(trace_id)}.jsonl (no link from LangSmith: LangSmith")


def test_the_guard_keeps_what_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in links.GUARDS:
        monkeypatch.setenv(name, "")  # so that it is taken back after the test
        monkeypatch.delenv(name)
    _turn_on(monkeypatch)
    monkeypatch.setenv("LANGSMITH_TRACING_QUEUE_MAX_SIZE", "50")
    langsmith_guard()
    assert [os.environ[name] for name in links.GUARDS] == ["true", "true", "50"]


def test_the_guard_does_nothing_when_langsmith_is_off() -> None:
    langsmith_guard()
    assert not links.GUARDS.keys() & os.environ.keys()


def test_a_flush_without_langsmith_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "langsmith.run_trees", raising=False)
    flush(0.1)


def test_the_light_half_imports_nothing_heavy() -> None:
    heavy = ("langchain_core", "langgraph", "langsmith", "pydantic", "yaml")
    script = (
        "import sys, failsoft.tracing.links, failsoft.tracing.tree\n"
        f"sys.exit(str([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"
