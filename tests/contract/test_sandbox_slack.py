"""The simulated Slack, seen by Slack's own clients."""

import json
import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.conftest import Sandbox

METADATA: dict[str, Any] = {"event_type": "failsoft_txn", "event_payload": {"txn": "abc"}}
ROOT = "1723.000100"


@pytest.fixture
def slack(sandbox: Sandbox) -> WebClient:
    return WebClient("token", base_url=f"{sandbox.url}/slack/api/", retry_handlers=[], timeout=5)


@pytest.fixture
def slack_http(sandbox: Sandbox, no_tls: ssl.SSLContext) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=f"{sandbox.url}/slack/api", headers={"Authorization": "Bearer token"},
        verify=no_tls, trust_env=False,
    ) as client:  # fmt: skip
        yield client


@pytest.fixture
def async_slack(sandbox: Sandbox) -> AsyncWebClient:
    url = f"{sandbox.url}/slack/api/"
    return AsyncWebClient("token", base_url=url, retry_handlers=[], timeout=5)


def refused(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(error.value.response["error"])


async def test_the_async_client_replies_in_a_thread_and_finds_its_metadata(
    async_slack: AsyncWebClient,
) -> None:
    me = await async_slack.auth_test()
    posted = await async_slack.chat_postMessage(
        channel="C1", text="OPS-1", thread_ts=ROOT, metadata=METADATA
    )
    read = await async_slack.conversations_replies(
        channel="C1", ts=ROOT, include_all_metadata=True, oldest="1723.0"
    )
    root, reply = read["messages"]
    assert (root["ts"], root["reply_count"]) == (ROOT, 1)
    assert (reply["ts"], reply["bot_id"]) == (posted["ts"], me["bot_id"])
    assert reply["metadata"] == METADATA


def test_the_sync_client_posts_updates_and_reads_a_channel(slack: WebClient) -> None:
    first = slack.chat_postMessage(channel="C1", text="one")
    slack.chat_postMessage(channel="C1", text="two")
    slack.chat_postMessage(channel="C2", text="elsewhere")
    slack.chat_postMessage(channel="C1", text="in a thread", thread_ts=first["ts"])
    slack.chat_update(channel="C1", ts=first["ts"], text="one!")
    messages = slack.conversations_history(channel="C1")["messages"]
    assert [message["text"] for message in messages] == ["two", "one!"]


def test_metadata_is_shown_only_when_it_is_asked_for(slack: WebClient) -> None:
    slack.chat_postMessage(channel="C1", text="x", metadata=METADATA)
    assert "metadata" not in slack.conversations_history(channel="C1")["messages"][0]


def test_history_pages_by_cursor(slack: WebClient) -> None:
    for number in range(5):
        slack.chat_postMessage(channel="C1", text=str(number))
    pages = [
        [message["text"] for message in page["messages"]]
        for page in slack.conversations_history(channel="C1", limit=2)
    ]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]


def test_oldest_leaves_out_what_is_not_younger(slack: WebClient) -> None:
    first, second = (slack.chat_postMessage(channel="C1", text=text)["ts"] for text in "12")
    younger = slack.conversations_history(channel="C1", oldest=first)["messages"]
    assert [message["ts"] for message in younger] == [second]
    both = slack.conversations_history(channel="C1", oldest=first, inclusive=True)["messages"]
    assert len(both) == 2


def test_a_repeated_reaction_is_refused_and_stands_once(slack: WebClient, sandbox: Sandbox) -> None:
    slack.reactions_add(channel="C1", name="eyes", timestamp=ROOT)
    with pytest.raises(SlackApiError) as error:
        slack.reactions_add(channel="C1", name="eyes", timestamp=ROOT)
    assert refused(error) == "already_reacted"
    assert sandbox.state()["slack"]["reactions"] == [{"channel": "C1", "ts": ROOT, "name": "eyes"}]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"channel": "D1", "text": "x"}, "channel_not_found"),
        ({"channel": "C1", "text": ""}, "no_text"),
        ({"channel": "C1", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "C1", "text": "x", "thread_ts": "yesterday"}, "invalid_thread_ts"),
        ({"channel": "C1", "text": "x", "metadata": {"event_type": 1}}, "invalid_metadata_schema"),
    ],
)
def test_a_wrong_post_is_refused_with_slacks_code(
    slack: WebClient, sandbox: Sandbox, arguments: dict[str, Any], code: str
) -> None:
    with pytest.raises(SlackApiError) as error:
        slack.api_call("chat.postMessage", json=arguments)
    assert refused(error) == code
    assert sandbox.state()["slack"]["messages"] == []


def test_an_update_of_an_unknown_message_is_refused(slack: WebClient) -> None:
    with pytest.raises(SlackApiError) as error:
        slack.chat_update(channel="C1", ts=ROOT, text="x")
    assert refused(error) == "message_not_found"


def test_a_form_and_a_json_body_say_the_same(slack_http: httpx2.Client, sandbox: Sandbox) -> None:
    form = {"channel": "C1", "text": "x", "metadata": json.dumps(METADATA)}
    slack_http.post("/chat.postMessage", data=form)
    slack_http.post("/chat.postMessage", json={"channel": "C1", "text": "x", "metadata": METADATA})
    first, second = sandbox.state()["slack"]["messages"]
    assert first["metadata"] == second["metadata"] == METADATA
    assert first["ts"] != second["ts"]


def test_methods_that_read_take_no_json_body(slack_http: httpx2.Client) -> None:
    answer = slack_http.post("/conversations.history", json={"channel": "C1"})
    assert (answer.status_code, answer.json()["error"]) == (200, "invalid_arguments")


@pytest.mark.parametrize(
    ("header", "code"), [("", "not_authed"), ("Bearer bad-token", "invalid_auth")]
)
def test_a_stranger_is_refused_with_status_200(
    slack_http: httpx2.Client, header: str, code: str
) -> None:
    answer = slack_http.post("/auth.test", headers={"Authorization": header})
    assert answer.status_code == 200
    assert answer.json() == {"ok": False, "error": code}


def test_an_unknown_method_is_refused(slack_http: httpx2.Client) -> None:
    assert slack_http.post("/chat.shout").json()["error"] == "unknown_method"


def test_a_rate_limit_carries_retry_after(slack: WebClient, sandbox: Sandbox) -> None:
    sandbox.faults({
        "match": "POST /slack/api/chat.postMessage", "kind": "status", "status": 429,
        "headers": {"Retry-After": "2"}, "times": 1,
    })  # fmt: skip
    with pytest.raises(SlackApiError) as error:
        slack.chat_postMessage(channel="C1", text="x")
    assert refused(error) == "ratelimited"
    assert error.value.response.headers["Retry-After"] == "2"
    slack.chat_postMessage(channel="C1", text="x")
    assert len(sandbox.state()["slack"]["messages"]) == 1
