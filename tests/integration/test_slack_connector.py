"""Slack over real HTTP: a message is found again by its metadata, refusals are sorted by name."""

from collections.abc import AsyncIterator

import pytest

from failsoft.connectors.clients import Clients
from failsoft.connectors.contract import Absent, Done, Failed, Found, NotSent, Operation, Unknown
from failsoft.connectors.jira import Jira
from failsoft.connectors.slack import Slack, escape
from failsoft.errors import MissingSettingError, NotFoundError, RefusedError, TransientError
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox

POST = "POST /slack/api/chat.postMessage"
ROOT = "1723000000.000100"
REPLY: JSONObject = {"channel": "C1", "thread_ts": ROOT, "text": "PAY-1 was opened"}
TOP: JSONObject = {"channel": "C1", "text": "Please look"}
WRITES = [(Slack.reply, REPLY), (Slack.post, TOP)]


def settings(sandbox: Sandbox, token: str = "canary-token") -> Settings:  # noqa: S107 - a canary
    return Settings.model_validate(
        {
            "profile": "sandbox",
            "slack_base_url": f"{sandbox.url}/slack/api/",
            "slack_token": token,
        }
    )


@pytest.fixture
async def slack(sandbox: Sandbox) -> AsyncIterator[Slack]:
    client = Slack.from_settings(settings(sandbox))
    yield client
    await client.close()


async def test_a_reply_stands_in_its_thread_and_carries_its_transaction(
    sandbox: Sandbox, slack: Slack
) -> None:
    outcome = await Slack.reply.send(slack, REPLY, "txn", within=2)
    (message,) = sandbox.state()["slack"]["messages"]
    assert outcome == Done(
        external_id=message["ts"], response={"channel": "C1", "ts": message["ts"]}
    )
    assert message["thread_ts"] == ROOT
    assert message["metadata"] == {"event_type": "failsoft_txn", "event_payload": {"txn": "txn"}}


@pytest.mark.parametrize(("operation", "request_"), WRITES)
@pytest.mark.parametrize("kind", ["drop_after", "malformed", "truncate"])
async def test_an_answer_lost_after_the_post_is_unknown_and_found(
    sandbox: Sandbox, slack: Slack, operation: Operation[Slack], request_: JSONObject, kind: str
) -> None:
    mark = await operation.mark(slack, request_)
    sandbox.faults({"match": POST, "kind": kind})
    assert type(await operation.send(slack, request_, "txn", within=2)) is Unknown
    (message,) = sandbox.state()["slack"]["messages"]
    found = await operation.find(slack, request_, "txn", mark)
    assert isinstance(found, Found)
    assert found.external_id == message["ts"]


@pytest.mark.parametrize(("operation", "request_"), WRITES)
async def test_a_request_lost_before_the_post_is_unknown_and_surely_absent(
    sandbox: Sandbox, slack: Slack, operation: Operation[Slack], request_: JSONObject
) -> None:
    mark = await operation.mark(slack, request_)
    await operation.send(slack, request_, "another", within=2)
    sandbox.faults({"match": POST, "kind": "drop_before"})
    assert type(await operation.send(slack, request_, "txn", within=2)) is Unknown
    assert await operation.find(slack, request_, "txn", mark) == Absent(certain=True)


@pytest.mark.parametrize(("operation", "request_"), WRITES)
async def test_a_message_beyond_the_first_page_is_found(
    slack: Slack, operation: Operation[Slack], request_: JSONObject
) -> None:
    mark = await operation.mark(slack, request_)
    for number in range(401):
        txn = "txn" if number == 200 else f"other{number}"
        await operation.send(slack, request_, txn, within=2)
    assert isinstance(await operation.find(slack, request_, "txn", mark), Found)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("channel_not_found", Failed),
        ("missing_scope", Failed),
        ("token_revoked", Failed),
        ("internal_error", Unknown),
        ("fatal_error", Unknown),
        ("request_timeout", Unknown),
        ("service_unavailable", Unknown),
        ("never_heard_of", Unknown),
        ("ratelimited", NotSent),
    ],
)
async def test_a_refusal_is_sorted_by_its_name(
    sandbox: Sandbox, slack: Slack, code: str, kind: type
) -> None:
    body = {"ok": False, "error": code}
    sandbox.faults({"match": POST, "kind": "status", "status": 200, "body": body})
    outcome = await Slack.reply.send(slack, REPLY, "txn", within=2)
    assert type(outcome) is kind
    assert not isinstance(outcome, Done)
    assert code in outcome.reason


async def test_429_was_not_sent_and_says_when_to_come_back(sandbox: Sandbox, slack: Slack) -> None:
    sandbox.faults(
        {"match": POST, "kind": "status", "status": 429, "headers": {"Retry-After": "2"}}
    )
    outcome = await Slack.reply.send(slack, REPLY, "txn", within=2)
    assert isinstance(outcome, NotSent)
    assert (outcome.retry_after, outcome.rate_limited) == (2.0, True)


async def test_a_thread_that_cannot_be_read_proves_nothing(sandbox: Sandbox, slack: Slack) -> None:
    sandbox.faults({"match": "GET /slack/api/*", "kind": "status", "status": 503, "times": 1})
    with pytest.raises(TransientError):
        await Slack.reply.find(slack, REPLY, "txn", {})
    with pytest.raises(RefusedError, match="channel_not_found"):
        await Slack.reply.find(slack, REPLY | {"channel": "X"}, "txn", {})


async def test_a_reaction_given_twice_is_there_once(sandbox: Sandbox, slack: Slack) -> None:
    request: JSONObject = {"channel": "C1", "ts": ROOT, "name": "eyes"}
    for _ in range(2):
        outcome = await Slack.react.send(slack, request, "txn", within=2)
        assert isinstance(outcome, Done)
        assert outcome.external_id == ROOT
    assert len(sandbox.state()["slack"]["reactions"]) == 1


async def test_a_refused_token_is_never_shown(sandbox: Sandbox) -> None:
    slack = Slack.from_settings(settings(sandbox, token="bad-token"))  # noqa: S106 - refused
    outcome = await Slack.reply.send(slack, REPLY, "txn", within=2)
    with pytest.raises(RefusedError, match="invalid_auth") as raised:
        await slack.examine()
    assert "bad-token" not in f"{outcome!r} {raised.value!r} {slack!r} {vars(slack)!r}"
    await slack.close()


def test_untrusted_text_cannot_call_the_channel() -> None:
    assert escape("<!channel> & <https://x.y|z>") == (
        "&lt;!channel&gt; &amp; &lt;https://x.y|z&gt;"
    )


async def test_clients_are_built_once_and_closed(sandbox: Sandbox) -> None:
    clients = Clients(settings(sandbox))
    assert clients.get("slack") is clients.get("slack")
    await clients.close()


async def test_a_client_without_its_settings_is_refused_when_it_is_needed(sandbox: Sandbox) -> None:
    clients = Clients(settings(sandbox))
    with pytest.raises(MissingSettingError, match="FAILSOFT_JIRA_BASE_URL"):
        clients.get("jira")


def test_an_operation_is_found_by_its_name() -> None:
    clients = Clients(Settings())
    assert clients.operation("jira.create_issue") is Jira.create_issue
    assert clients.operation("slack.reply") is Slack.reply
    for name in ("jira", "jira.close", "mars.land", "slack.create_issue", ""):
        with pytest.raises(NotFoundError):
            clients.operation(name)
