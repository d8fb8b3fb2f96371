"""One text for every write of every connector: whatever goes wrong, there is one object.

Where the other side keeps no key and lets nobody look, there is at most one, and a person is asked.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.conninfo import make_conninfo

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.runs import RunState
from failsoft.connectors.clients import CONNECTORS
from failsoft.connectors.contract import Consistency, Operation, Outcome
from failsoft.connectors.jira import Jira
from failsoft.connectors.mail import Mail
from failsoft.connectors.pagerduty import PagerDuty
from failsoft.connectors.salesforce import Salesforce
from failsoft.connectors.slack import Slack
from failsoft.connectors.webhook import Webhook
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.policy import Retry
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox
from tests.integration.bench import Bench, bench_for
from tests.integration.conftest import created

LATE = 0.15  # seconds; the settle time below is longer
TIMES = {"send": 0.5, "settle": 0.3}
ROOT = "1723000000.000100"


class Trouble(StrEnum):
    """What happens to the first send of a write."""

    CRASH_BEFORE_SEND = "crash before the send"
    CRASH_AFTER_SEND = "crash after the send"
    DROP_AFTER_COMMIT = "drop after the commit"
    LATE_COMMIT = "late commit"
    TOO_MANY = "429 with Retry-After"
    SERVER_ERROR = "5xx"
    SERVER_ERROR_AFTER_COMMIT = "5xx after the commit"
    UNREADABLE = "unreadable 2xx"


CRASHES = {Trouble.CRASH_BEFORE_SEND, Trouble.CRASH_AFTER_SEND}
ASKED = EffectState.NEEDS_HUMAN
HTTP: dict[Trouble, JSONObject] = {
    Trouble.DROP_AFTER_COMMIT: {"kind": "drop_after"},
    Trouble.LATE_COMMIT: {"kind": "late_commit", "seconds": LATE},
    Trouble.TOO_MANY: {"kind": "status", "status": 429, "headers": {"Retry-After": "0.3"}},
    Trouble.SERVER_ERROR: {"kind": "status", "status": 503},
    Trouble.SERVER_ERROR_AFTER_COMMIT: {"kind": "status_after", "status": 502},
    Trouble.UNREADABLE: {"kind": "malformed"},
}
SMTP: dict[Trouble, JSONObject] = {  # which says "later" and "no" with other numbers
    **HTTP,
    Trouble.TOO_MANY: {"kind": "status", "status": 451},
    Trouble.SERVER_ERROR: {"kind": "drop_before"},  # 5yz is a refusal there
    Trouble.SERVER_ERROR_AFTER_COMMIT: {"kind": "truncate"},
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One write of one connector: how it is made, and where its objects are counted."""

    operation: Operation[Any]
    request: Callable[[Sandbox], JSONObject]
    route: str  # of the sandbox
    objects: Callable[[dict[str, Any]], list[Any]]
    troubles: dict[Trouble, JSONObject] = field(default_factory=lambda: HTTP)
    flavor: str = "cloud"  # of Jira


TICKET: JSONObject = {
    "project": "OPS", "issue_type": "Bug", "summary": "It broke", "description": "x",
}  # fmt: skip
CASE = "/salesforce/services/data/v66.0/sobjects/Case"
CASE_FIELDS: JSONObject = {"subject": "It broke", "description": "x", "queue": "Billing"}
MAIL_FIELDS: JSONObject = {
    "subject": "It broke", "text": "x", "from_address": "ann@example.com", "message_id": "<1@x>",
}  # fmt: skip
POST = "POST /slack/api/chat.postMessage"


def old_message(sandbox: Sandbox) -> JSONObject:
    """Return a request that changes a message which stands there already."""
    old = {"channel": "C1", "text": "It breaks"}
    token = {"Authorization": "Bearer xoxb-sandbox"}
    ts = sandbox.http.post("/slack/api/chat.postMessage", json=old, headers=token).json()["ts"]
    return {"channel": "C1", "ts": ts, "text": "It is mended"}


def old_case(sandbox: Sandbox) -> str:
    """Return the id of a case that stands there already."""
    token = {"Authorization": "Bearer sandbox"}
    return str(sandbox.http.post(CASE, json={"Subject": "It broke"}, headers=token).json()["id"])


TARGETS = {
    "slack.post": Target(
        operation=Slack.post,
        request=lambda _: {"channel": "C1", "text": "It broke"},
        route=POST,
        objects=lambda state: state["slack"]["messages"],
    ),
    "slack.reply": Target(
        operation=Slack.reply,
        request=lambda _: {"channel": "C1", "thread_ts": ROOT, "text": "OPS-1"},
        route=POST,
        objects=lambda state: state["slack"]["messages"],
    ),
    "slack.react": Target(
        operation=Slack.react,
        request=lambda _: {"channel": "C1", "ts": ROOT, "name": "eyes"},
        route="POST /slack/api/reactions.add",
        objects=lambda state: state["slack"]["reactions"],
    ),
    "slack.update": Target(
        operation=Slack.update,
        request=old_message,
        route="POST /slack/api/chat.update",
        objects=lambda state: [
            m for m in state["slack"]["messages"] if m["text"].endswith("mended")
        ],
    ),
    "jira.create_issue": Target(
        operation=Jira.create_issue,
        request=lambda _: TICKET,
        route="POST /jira/rest/api/3/issue",
        objects=lambda state: state["jira"]["issues"],
    ),
    "jira.create_issue of Data Center": Target(
        operation=Jira.create_issue,
        request=lambda _: TICKET,
        route="POST /jira-dc/rest/api/2/issue",
        objects=lambda state: state["jira"]["issues"],
        flavor="datacenter",
    ),
    "salesforce.create_case": Target(
        operation=Salesforce.create_case,
        request=lambda _: CASE_FIELDS,
        route=f"POST {CASE}",
        objects=lambda state: state["salesforce"]["cases"],
    ),
    "salesforce.add_email": Target(
        operation=Salesforce.add_email,
        request=lambda sandbox: {**MAIL_FIELDS, "case_id": old_case(sandbox)},
        route="POST /salesforce/services/data/v66.0/sobjects/EmailMessage",
        objects=lambda state: state["salesforce"]["emails"],
    ),
    "salesforce.route_case": Target(
        operation=Salesforce.route_case,
        request=lambda sandbox: {"case_id": old_case(sandbox), "queue": "Billing"},
        route=f"PATCH {CASE}/*",
        objects=lambda state: [c for c in state["salesforce"]["cases"] if c["queue"] == "Billing"],
    ),
    "mail.send": Target(
        operation=Mail.send,
        request=lambda _: {"to": "ann@example.com", "subject": "It broke", "text": "We are at it."},
        route="SMTP DATA",
        objects=lambda state: state["mail"],
        troubles=SMTP,
    ),
    "pagerduty.trigger": Target(
        operation=PagerDuty.trigger,
        request=lambda _: {"summary": "It broke", "severity": "critical"},
        route="POST /hooks/v2/enqueue",
        objects=lambda state: state["hooks"]["alerts"],
    ),
    "pagerduty.resolve": Target(
        operation=PagerDuty.resolve,
        request=lambda _: {},
        route="POST /hooks/v2/enqueue",
        objects=lambda state: state["hooks"]["alerts"],
    ),
    "webhook.post": Target(
        operation=Webhook.post,
        request=lambda _: {"name": "desk", "body": {"what": "It broke"}},
        route="POST /hooks/webhook/desk",
        objects=lambda state: state["hooks"]["posts"],
    ),
}


class Crash(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


@pytest.fixture(scope="module", params=[*TARGETS])
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


@pytest.fixture(scope="module")
def dsn(
    server: str,
    template: str,
    target: Target,  # noqa: ARG001  # for its scope
) -> Iterator[str]:
    """One database for all runs of a target, which know nothing of each other."""
    with created(server, template) as name:
        yield make_conninfo(server, dbname=name)


@pytest.fixture
def timed(target: Target, settings: Settings, sandbox: Sandbox) -> Settings:
    """The sandbox's settings with times so short that a hundred waits are no hardship."""
    place = "jira-dc" if target.flavor == "datacenter" else "jira"
    jira = {"jira_flavor": target.flavor, "jira_base_url": f"{sandbox.url}/{place}"}
    timing = settings.timing.model_copy(update=TIMES)
    return settings.model_copy(update={"timing": timing, "model": None, **jira})


@pytest.mark.parametrize("trouble", Trouble)
async def test_a_write_is_there_once_or_a_person_is_asked(
    trouble: Trouble, target: Target, timed: Settings, database: Database, sandbox: Sandbox
) -> None:
    graph = one_write(target.operation, target.request(sandbox))
    if fault := target.troubles.get(trouble):
        sandbox.faults({"match": target.route, "times": 1, **fault})
    event = uuid4().hex
    if trouble in CRASHES:
        async with bench_for(graph, database, timed) as bench:
            await die(trouble, target.operation, bench, await bench.admit(event))
    async with bench_for(graph, database, timed) as bench:  # after a crash, another process
        run_id = await bench.admit(event)
        rest = await bench.drive_on(run_id)
        await asyncio.sleep(LATE if trouble is Trouble.LATE_COMMIT else 0)
        assert sum(sandbox.occurred().values()) == (trouble not in CRASHES)  # it did happen
        there = len(target.objects(sandbox.state()))
        [effect] = await bench.effects(run_id)
        if target.operation.consistency is Consistency.NONE and trouble is not Trouble.TOO_MANY:
            assert (effect.state, there) in {(ASKED, 0), (ASKED, 1)}
            assert (await bench.review(run_id)).allowed == ["respond", "retry", "ignore"]
        else:
            assert (effect.state, there) == (EffectState.DONE, 1)
            assert rest.state is RunState.DONE


def test_every_write_of_every_connector_is_in_the_table() -> None:
    homes = [place.partition(":") for place in CONNECTORS.values()]
    kinds = [getattr(import_module(module), kind) for module, _, kind in homes]
    writes = {repr(one) for kind in kinds for one in vars(kind).values() if is_write(one)}
    assert writes == {repr(target.operation) for target in TARGETS.values()}


def is_write(value: object) -> bool:
    return isinstance(value, Operation)


def one_write(operation: Operation[Any], request: JSONObject) -> ResilientGraph:
    graph = ResilientGraph("one-write", retry=Retry(attempts=4))
    graph.add_write("write", operation, request=lambda _: request)
    return graph.add_path(START, "write", END)


async def die(trouble: Trouble, operation: Operation[Any], bench: Bench, run_id: UUID) -> None:
    """Let the process die at its send; it is declared gone, and its run is taken back."""
    send = operation.send

    async def dying(*given: Any, within: float) -> Outcome:
        if trouble is Trouble.CRASH_AFTER_SEND:
            await send(*given, within=within)
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operation, "send", dying)
        with pytest.raises(Crash):
            await bench.drive(run_id)
    store = bench.parts.store
    await store.runs.database.all("UPDATE workers SET expires_at = now() - interval '1 second'")
    await store.workers.sweep()
    await store.runs.expire(backoff=0)
