"""The HTTP doors on a port of their own, and what Slack and others bring them."""

import asyncio
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.store import Store
from failsoft.cli.serve import server_of
from failsoft.settings import Settings, load_settings
from failsoft.web.app import build_app
from failsoft.web.serving import Serving
from tests.conftest import Sandbox
from tests.slack_side import tell

SLACK, OLD_SLACK = "slack-signing-secret", "slack-signing-secret-before"
TOKEN, ANSWERS = "mail-token", "answer-secret"
SECRETS = {
    "FAILSOFT_SLACK_SIGNING_SECRET": SLACK,
    "FAILSOFT_SLACK_OLD_SIGNING_SECRET": OLD_SLACK,
    "FAILSOFT_MAIL_TOKEN": TOKEN,
    "FAILSOFT_ANSWER_SECRET": ANSWERS,
}


@dataclass
class Served:
    """The doors of some agents."""

    url: str
    http: httpx2.AsyncClient
    store: Store

    async def states(self) -> dict[str, int]:
        counts = await self.store.runs.counts()
        return {state: count for state, count in counts.items() if count}


def with_secrets(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Set the secret of every door, and return the settings."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@asynccontextmanager
async def on_a_port(app: Starlette) -> AsyncIterator[str]:
    """Serve an application as `failsoft serve` does; give its URL."""
    listening, server = socket.create_server(("127.0.0.1", 0)), server_of(app)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def serving(
    settings: Settings, database: Database, agents: Sequence[str] = ("slack-jira",)
) -> AsyncIterator[Served]:
    """Open the HTTP doors of agents, for as long as the block runs."""
    app = build_app(Serving.of([load_graph(name) for name in agents], database, settings))
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with (
        on_a_port(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=20, verify=no_tls) as client,
    ):
        yield Served(url, client, Store.of(database))


def message(number: int = 1, **more: Any) -> dict[str, Any]:
    event = {
        "type": "message", "channel": "C1", "user": "U1", "ts": f"{number}.000001",
        "text": f"The invoice {number} is wrong",
    }  # fmt: skip
    return {
        "type": "event_callback", "team_id": "T1", "event_id": f"Ev{number}", "event": event | more,
    }  # fmt: skip


async def deliver(
    sandbox: Sandbox, served: Served, payload: dict[str, Any], **way: Any
) -> list[dict[str, Any]]:
    """Let the sandbox's Slack deliver an event; return its attempts."""
    url = f"{served.url}/slack/events"
    report = await tell(
        sandbox, "events", **({"url": url, "secret": SLACK, "payload": payload} | way)
    )
    return [attempt for one in report["deliveries"] for attempt in one["attempts"]]


def signed_by_slack(body: bytes) -> dict[str, str]:
    """Sign as Slack's documentation says."""
    at = str(int(time.time()))
    made = hmac.new(SLACK.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={made}"}
