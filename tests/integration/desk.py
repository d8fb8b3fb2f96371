"""An agent that asks at once, and what people find at their desks."""

from typing import Any

import pytest
from pydantic import SecretStr

from failsoft.connectors.jira import Jira
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.state import Json
from failsoft.settings import Settings
from failsoft.workers.outbox import OutboxWorker
from tests.conftest import Sandbox
from tests.integration.bench import Bench

JIRA = "POST /jira/rest/api/3/issue"
CHAT = "POST /slack/api/chat.postMessage"
HOUR = 3600.0
EVERYWHERE = ("slack:#desk", "email:lead", "webhook:desk", "pagerduty:warning", "apprise:chat")
# One of Apprise's plugins imports a module that Python will lose.
ODD_IMPORT = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")


def asking(
    *channels: str, deadline: float = HOUR, escalate: tuple[str, ...] = (), summary: str = "refused"
) -> ResilientGraph:
    """Return a graph whose one write is refused, so that its desk is asked."""

    def ticket(_: Any) -> Json:
        return {
            "project": "OPS", "issue_type": "Bug", "summary": summary, "description": "x",
            "labels": [], "components": [], "assignee": None, "priority": None,
        }  # fmt: skip

    graph = ResilientGraph("asking")
    graph.add_human("desk", via=channels, deadline=deadline, escalate=escalate)
    graph.add_write("create", Jira.create_issue, request=ticket)
    return graph.add_path(START, "create", END)


async def ask(bench: Bench, sandbox: Sandbox, text: str) -> OutboxWorker:
    """Drive a run to its question; nothing is delivered yet."""
    sandbox.faults({"match": JIRA, "kind": "status", "status": 400})
    await bench.drive_on(await bench.admit(text))
    return OutboxWorker(bench.parts.store, bench.parts.services)


async def deliver_all(outbox: OutboxWorker) -> None:
    """Deliver until nothing is under way."""
    while await outbox.store.outbox.pending():
        await outbox.deliver()
        await outbox.services.clock.sleep(0.1)


def messages(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.state()["slack"]["messages"]
    return found


async def rows(bench: Bench) -> list[Any]:
    return list(
        await bench.parts.store.runs.database.all("SELECT * FROM outbox ORDER BY outbox_id")
    )


def reachable(settings: Settings, sandbox: Sandbox) -> list[str]:
    """Set up every channel of EVERYWHERE before the bench is built; return what is secret."""
    settings.contacts = {"lead": "lead@example.com"}
    host = sandbox.url.removeprefix("http://")
    settings.apprise = {"chat": SecretStr(f"json://me:s3cretchat@{host}/hooks/webhook/chat")}
    settings.smtp_user, settings.smtp_password = "bot", SecretStr("s3cretmail")
    return [secret.get_secret_value() for secret in settings.secrets] + ["s3cretchat"]
