"""The sandbox as a process of its own: one for the session, emptied before each test."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A running sandbox: `url`, and what tests tell and ask it."""

    url: str
    http: httpx2.Client

    def reset(self, **start: float) -> None:
        self.http.post("/_sim/reset", json=start).raise_for_status()

    def faults(self, *faults: dict[str, Any]) -> None:
        self.http.post("/_sim/faults", json=faults).raise_for_status()

    def occurred(self) -> dict[str, int]:
        occurred: dict[str, int] = self.http.get("/_sim/faults").json()["occurred"]
        return occurred

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.http.get("/_sim/state").json()
        return state

    def issues(self) -> list[dict[str, Any]]:
        issues: list[dict[str, Any]] = self.state()["jira"]["issues"]
        return issues

    def wait_executed(self, match: str, count: int = 1, seconds: float = 10.0) -> bool:
        """Wait until `count` matching requests were executed; False at the time-out."""
        asked = {"match": match, "executed": count, "timeout": seconds}
        answer = self.http.get("/_sim/wait", params=asked, timeout=seconds + 5)
        return bool(answer.raise_for_status().json()["reached"])


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    command = [sys.executable, "-m", "failsoft.sandbox", "--with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with httpx2.Client(base_url=url, timeout=10, trust_env=False) as http:
            yield Sandbox(url=url, http=http)
        process.terminate()


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def jira_http(sandbox: Sandbox) -> Iterator[httpx2.Client]:
    """A client of Jira's version 3 without any retry."""
    with httpx2.Client(
        base_url=f"{sandbox.url}/jira/rest/api/3", auth=("bot@example.com", "secret"), timeout=5,
        trust_env=False,
    ) as client:  # fmt: skip
        yield client
