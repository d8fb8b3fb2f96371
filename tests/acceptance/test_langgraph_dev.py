"""`langgraph dev` serves the shipped agent as it is. Opt-in: `make test-langgraph-dev`."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from failsoft.cli.private_sandbox import variables

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("langgraph_api") is None,
    reason="langgraph dev has an environment of its own: make test-langgraph-dev",
)


@pytest.fixture
def dev_server(sandbox: Any, tmp_path: Path) -> Iterator[httpx2.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("langgraph")),
        "dev",
        "--no-browser",
        "--no-reload",
    ]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=os.environ | variables(sandbox.url) | {"FAILSOFT_HOME": str(tmp_path)},
        cwd=ROOT,  # the paths in langgraph.json are relative to where it is started
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_up(client)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def wait_until_up(client: httpx2.Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if client.get("/ok").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.3)
    pytest.fail("langgraph dev did not start")


@pytest.mark.parametrize(
    ("agent", "write", "field"),
    [("slack-jira", "create_ticket", "project"), ("email-salesforce", "create_case", "queue")],
)
def test_it_serves_schemas_and_a_run_that_writes_nothing(
    dev_server: httpx2.Client, sandbox: Any, agent: str, write: str, field: str
) -> None:
    (assistant,) = dev_server.post("/assistants/search", json={"graph_id": agent}).json()
    schemas = dev_server.get(f"/assistants/{assistant['assistant_id']}/schemas").json()
    assert "event" in schemas["input_schema"]["properties"]
    assert "classification" in schemas["state_schema"]["properties"]
    text = "bug: the app crashes with an error 500"
    event = {"key": "dev:1", "source": "dev", "text": text}
    asked = {"assistant_id": assistant["assistant_id"], "input": {"event": event}}
    state = dev_server.post("/runs/wait", json=asked).raise_for_status().json()
    assert state["classification"]["label"] in {"bug", "technical"}
    assert state["tool"][write]["result"]["dry_run"][field]
    world = sandbox.state()
    assert world["model"]["calls"] > 0
    assert world["jira"]["issues"] == world["salesforce"]["cases"] == []
