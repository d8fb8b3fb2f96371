"""What goes wrong goes wrong as ordered, and the outside world counts what really happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.conftest import Sandbox

CREATE = "POST /jira/rest/api/3/issue"
BULK = "POST /jira/rest/api/3/issue/bulkfetch"
TICKET = {
    "fields": {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "It is broken"}
}


def create(jira_http: httpx2.Client, *, timeout: float = 5.0) -> httpx2.Response:
    return jira_http.post("/issue", json=TICKET, timeout=timeout)


def try_create(jira_http: httpx2.Client) -> str:
    """Return what a caller sees: a status, or the name of the exception."""
    try:
        return str(create(jira_http).status_code)
    except httpx2.TransportError as error:
        return type(error).__name__


@pytest.mark.parametrize(("kind", "committed"), [("drop_before", 0), ("drop_after", 1)])
def test_both_drops_look_the_same_and_differ_in_what_was_committed(
    jira_http: httpx2.Client, sandbox: Sandbox, kind: str, committed: int
) -> None:
    sandbox.faults({"match": CREATE, "kind": kind})
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        create(jira_http)
    assert len(sandbox.issues()) == committed
    entry = sandbox.state()["requests"][0]
    assert (entry["status"], entry["executed"]) == (None, bool(committed))


def test_a_late_commit_appears_after_the_caller_gave_up(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "late_commit", "seconds": 0.6})
    with pytest.raises(httpx2.RemoteProtocolError):
        create(jira_http)
    assert sandbox.issues() == []
    assert sandbox.wait_executed(CREATE)
    assert len(sandbox.issues()) == 1


def test_a_reset_leaves_late_commits_to_the_old_world(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "late_commit", "seconds": 0.2})
    with pytest.raises(httpx2.RemoteProtocolError):
        create(jira_http)
    sandbox.reset()
    assert not sandbox.wait_executed(CREATE, seconds=0.4)
    assert sandbox.issues() == []


def test_a_fault_on_one_route_does_not_hit_a_longer_one(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "status", "status": 503})
    bulk = jira_http.post("/issue/bulkfetch", json={"issueIdsOrKeys": ["OPS-1"]})
    assert (bulk.status_code, create(jira_http).status_code) == (200, 503)


def test_a_prefix_with_a_star_hits_every_route_below_it(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE + "*", "kind": "status", "status": 503})
    bulk = jira_http.post("/issue/bulkfetch", json={"issueIdsOrKeys": ["OPS-1"]})
    assert (bulk.status_code, create(jira_http).status_code) == (503, 503)


def test_a_status_fault_speaks_jiras_words_and_executes_nothing(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    headers = {"Retry-After": "2"}
    sandbox.faults({"match": CREATE, "kind": "status", "status": 429, "headers": headers})
    answer = create(jira_http)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.json() == {"errorMessages": ["Too Many Requests"], "errors": {}}
    assert sandbox.issues() == []


def test_a_status_after_the_commit_leaves_the_issue(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    body = "upstream timed out"
    sandbox.faults({"match": CREATE, "kind": "status_after", "status": 504, "body": body})
    answer = create(jira_http)
    assert (answer.status_code, answer.text) == (504, body)
    assert len(sandbox.issues()) == 1


def test_a_malformed_answer_follows_the_commit(jira_http: httpx2.Client, sandbox: Sandbox) -> None:
    sandbox.faults({"match": CREATE, "kind": "malformed"})
    answer = create(jira_http)
    assert answer.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(sandbox.issues()) == 1


def test_a_truncated_answer_breaks_off_after_the_commit(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "truncate"})
    with pytest.raises(httpx2.RemoteProtocolError, match=r"without sending complete"):
        create(jira_http)
    assert len(sandbox.issues()) == 1


@pytest.mark.parametrize("kind", ["latency", "latency_after", "hold", "slow_body"])
def test_a_slow_answer_takes_its_seconds(
    jira_http: httpx2.Client, sandbox: Sandbox, kind: str
) -> None:
    sandbox.faults({"match": CREATE, "kind": kind, "seconds": 0.3})
    began = time.monotonic()
    assert create(jira_http).json()["key"] == "OPS-1"
    assert time.monotonic() - began >= 0.29


def test_a_caller_that_gives_up_during_latency_has_sent_its_request(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "latency", "seconds": 0.3})
    with pytest.raises(httpx2.ReadTimeout):
        create(jira_http, timeout=0.1)
    assert sandbox.wait_executed(CREATE)
    assert len(sandbox.issues()) == 1


def test_hold_keeps_the_answer_back_while_the_commit_can_be_seen(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "hold", "seconds": 1.0, "nth": [2]})
    create(jira_http)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(create, jira_http)
        assert sandbox.wait_executed(CREATE, 2)
        assert not held.done()
        assert len(sandbox.issues()) == 2
        assert held.result().status_code == 201


def test_waiting_for_what_does_not_come_ends(sandbox: Sandbox) -> None:
    assert not sandbox.wait_executed(CREATE, seconds=0.1)


def test_refused_requests_do_not_count_as_executed(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    assert jira_http.post("/issue", json={"fields": {}}).status_code == 400
    assert not sandbox.wait_executed(CREATE, seconds=0.1)


@pytest.mark.parametrize(
    ("selection", "hit"),
    [
        ({"nth": [1, 4]}, [1, 4]),
        ({"every": 3}, [3, 6]),
        ({"times": 2}, [1, 2]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"p": 1.0}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_fault_hits_the_requests_that_it_selects(
    jira_http: httpx2.Client, sandbox: Sandbox, selection: dict[str, Any], hit: list[int]
) -> None:
    sandbox.faults({"match": CREATE, "kind": "drop_before"} | selection)
    seen = [try_create(jira_http) for _ in range(6)]
    assert [at for at, what in enumerate(seen, 1) if what == "RemoteProtocolError"] == hit


def test_ordinals_count_from_the_reset_and_by_match(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    create(jira_http)
    jira_http.get("/myself")
    sandbox.faults({"match": CREATE, "kind": "status", "nth": [2]})
    assert [create(jira_http).status_code for _ in "ab"] == [500, 201]


def pattern(jira_http: httpx2.Client, sandbox: Sandbox, seed: int) -> str:
    sandbox.reset(seed=seed)
    sandbox.faults({"match": CREATE, "kind": "status", "p": 0.5})
    return "".join("x" if create(jira_http).status_code == 500 else "." for _ in range(24))


def test_a_seed_reproduces_what_it_decided(jira_http: httpx2.Client, sandbox: Sandbox) -> None:
    first = pattern(jira_http, sandbox, 7)
    assert pattern(jira_http, sandbox, 7) == first
    assert pattern(jira_http, sandbox, 8) != first
    assert {*first} == {"x", "."}


def test_several_faults_on_one_request_all_happen(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    sandbox.faults(
        {"match": CREATE, "kind": "latency", "seconds": 0.2},
        {"match": "POST *", "kind": "drop_after", "times": 1},
    )
    began = time.monotonic()
    assert try_create(jira_http) == "RemoteProtocolError"
    assert time.monotonic() - began >= 0.19
    assert sandbox.occurred() == {"latency": 1, "drop_after": 1}
    assert sandbox.state()["requests"][0]["faults"] == ["latency", "drop_after"]


@pytest.mark.parametrize(
    "fault",
    [
        {"match": CREATE, "kind": "explode"},
        {"match": CREATE, "kind": "latency", "second": 1},
        {"match": CREATE, "kind": "content"},
        {"match": CREATE, "kind": "hold", "nth": [1], "every": 2},
        {"kind": "hold"},
    ],
)
def test_a_fault_that_nobody_understands_is_refused(
    sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    answer = sandbox.http.post("/_sim/faults", json=[fault])
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_request_log_tells_route_status_and_ordinal(
    jira_http: httpx2.Client, sandbox: Sandbox
) -> None:
    create(jira_http)
    create(jira_http)
    jira_http.get("/issue/OPS-9")
    logged = sandbox.state()["requests"]
    assert [(one["method"], one["ordinal"], one["status"]) for one in logged] == [
        ("POST", 1, 201), ("POST", 2, 201), ("GET", 1, 404),
    ]  # fmt: skip
    assert "secret" not in json.dumps(logged)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "failsoft.sandbox", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_sandbox_quietly(number: signal.Signals) -> None:
    with started() as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert (line["pid"], line["url"][:17]) == (process.pid, "http://127.0.0.1:")
        os.kill(process.pid, number)
        assert process.communicate(timeout=10) == (b"", b"")
        assert process.returncode == 0


def test_a_sandbox_ends_when_its_parent_is_gone() -> None:
    with started("--with-parent") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_the_sandbox_does_not_listen_to_the_world() -> None:
    with started("--host", "0.0.0.0") as process:  # noqa: S104 - what must be refused
        _, error = process.communicate(timeout=10)
    assert process.returncode == 2
    assert b"loopback" in error
