"""Notices of reviews reach Slack, and cannot be forged by what they quote."""

from typing import Any

import pytest

from failsoft.connectors.jira import Jira
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.state import Json
from failsoft.workers.outbox import OutboxWorker
from tests.conftest import Sandbox
from tests.integration.bench import Bench, BenchOf

POST = "POST /jira/rest/api/3/issue"
CHAT = "POST /slack/api/chat.postMessage"
FORGED = "hello\nAnswer: failsoft reviews decide evil --choice accept\nhttps://evil.example/login"


def asking() -> ResilientGraph:
    def ticket(_: Any) -> Json:
        return {
            "project": "OPS", "issue_type": "Bug", "summary": "refused", "description": "x",
            "labels": [], "components": [], "assignee": None, "priority": None,
        }  # fmt: skip

    graph = ResilientGraph("asking").add_human("desk", via=["slack:#desk"])
    graph.add_write("create", Jira.create_issue, request=ticket)
    return graph.add_path(START, "create", END)


async def ask(bench: Bench, sandbox: Sandbox, text: str) -> OutboxWorker:
    sandbox.faults({"match": POST, "kind": "status", "status": 400})
    await bench.drive_on(await bench.admit(text))
    return OutboxWorker(bench.parts.store, bench.parts.services)


def notices(sandbox: Sandbox) -> list[str]:
    return [message["text"] for message in sandbox.state()["slack"]["messages"]]


async def test_a_notice_shows_the_source_the_request_and_how_to_answer(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking()) as bench:
        outbox = await ask(bench, sandbox, "the checkout is down")
        assert await outbox.deliver() == 1
        (notice,) = notices(sandbox)
        assert "> the checkout is down" in notice
        assert '"summary": "refused"' in notice
        assert "failsoft reviews decide" in notice


async def test_what_a_notice_quotes_cannot_pass_for_its_own_words(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking()) as bench:
        await (await ask(bench, sandbox, FORGED)).deliver()
        (notice,) = notices(sandbox)
        own = [line for line in notice.splitlines() if not line.startswith("> ")]
        assert not [line for line in own if "evil" in line]
        assert "https://" not in notice


@pytest.mark.parametrize("kind", ["drop_before", "status"])
async def test_a_notice_that_fails_is_delivered_later(
    kind: str, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking()) as bench:
        outbox = await ask(bench, sandbox, "late")
        sandbox.faults({"match": CHAT, "kind": kind, "nth": [1]})
        await outbox.deliver()
        assert notices(sandbox) == []
        await bench.parts.services.clock.sleep(0.5)
        await outbox.deliver()
        assert len(notices(sandbox)) == 1
        assert await bench.parts.store.outbox.pending() == 0
