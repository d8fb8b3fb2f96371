"""The simulated Socket Mode, seen by Slack's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.conftest import Sandbox
from tests.slack_side import tell

EVENT = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": {"type": "message"}}


class App:
    """An app on slack_sdk that acknowledges what `takes` says."""

    def __init__(self, sandbox: Sandbox) -> None:
        web = AsyncWebClient("token", base_url=f"{sandbox.url}/slack/api/", retry_handlers=[])
        self.client = SocketModeClient("xapp-1", web_client=web, ping_interval=0.2)
        self.client.proxy = None
        self.client.socket_mode_request_listeners.append(self.listen)
        self.seen: list[SocketModeRequest] = []
        self.takes: Callable[[int], bool] = lambda _number: True
        self.answer: dict[str, Any] = {}

    async def listen(self, _client: object, request: SocketModeRequest) -> None:
        self.seen.append(request)
        if self.takes(len(self.seen)):
            response = SocketModeResponse(request.envelope_id, self.answer)
            await self.client.send_socket_mode_response(response)


@pytest.fixture
async def app(sandbox: Sandbox) -> AsyncIterator[App]:
    made = App(sandbox)
    await made.client.connect()  # type: ignore[no-untyped-call]
    yield made
    await made.client.close()  # type: ignore[no-untyped-call]
    await asyncio.sleep(0)


async def test_an_envelope_that_is_acknowledged_comes_once(app: App, sandbox: Sandbox) -> None:
    report = await tell(sandbox, "events", socket=True, payload=EVENT)

    assert report["deliveries"][0]["attempts"] == [{"acked": True, "reason": None}]
    assert [(request.type, request.payload) for request in app.seen] == [("events_api", EVENT)]


async def test_an_envelope_that_is_not_acknowledged_comes_again_with_its_number(
    app: App, sandbox: Sandbox
) -> None:
    app.takes = lambda number: number == 3

    report = await tell(sandbox, "events", socket=True, payload=EVENT, seconds=0.2)

    assert report["deliveries"][0]["delivered"]
    assert [(request.retry_attempt, request.retry_reason) for request in app.seen] == [
        (0, ""), (1, "timeout"), (2, "timeout"),
    ]  # fmt: skip
    assert len({request.envelope_id for request in app.seen}) == 1


async def test_after_a_broken_connection_it_comes_on_the_next_one(
    app: App, sandbox: Sandbox
) -> None:
    app.takes = lambda number: number == 2
    sending = asyncio.create_task(tell(sandbox, "events", socket=True, payload=EVENT, seconds=10))
    while not app.seen:  # noqa: ASYNC110  # the client tells nobody
        await asyncio.sleep(0.01)

    await tell(sandbox, "disconnect", abrupt=True)

    assert (await sending)["deliveries"][0]["attempts"] == [
        {"acked": False, "reason": "connection_failed"}, {"acked": True, "reason": None},
    ]  # fmt: skip


async def test_a_click_by_socket_brings_the_payload_and_takes_an_answer(
    app: App, sandbox: Sandbox
) -> None:
    app.answer = {"response_action": "clear"}
    button = {"type": "button", "action_id": "go:1", "value": "v", "text": {"type": "plain_text"}}
    posted = await app.client.web_client.chat_postMessage(
        channel="C1", text="x", blocks=[{"type": "actions", "elements": [button]}]
    )

    report = await tell(sandbox, "click", socket=True, ts=posted["ts"], action_id="go:1", user="U9")

    assert report["deliveries"][0]["answer"] == app.answer
    (request,) = app.seen
    assert (request.type, request.payload["user"]["id"]) == ("interactive", "U9")
    assert request.payload["actions"][0]["value"] == "v"


async def test_a_form_opens_once_for_each_click(app: App, sandbox: Sandbox) -> None:
    web = app.client.web_client
    button = {"type": "button", "action_id": "go", "value": "v", "text": {"type": "plain_text"}}
    posted = await web.chat_postMessage(
        channel="C1", text="x", blocks=[{"type": "actions", "elements": [button]}]
    )
    await tell(sandbox, "click", socket=True, ts=posted["ts"], action_id="go")
    trigger = app.seen[0].payload["trigger_id"]
    field = {"type": "plain_text_input", "action_id": "field"}
    view = {
        "type": "modal", "title": {"type": "plain_text", "text": "Edit"},
        "submit": {"type": "plain_text", "text": "OK"}, "callback_id": "mine",
        "blocks": [{"type": "input", "block_id": "block", "element": field}],
    }  # fmt: skip

    await web.views_open(trigger_id=trigger, view=view)
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        await web.views_open(trigger_id=trigger, view=view)
    report = await tell(sandbox, "submit", socket=True, text="typed")

    assert report["errors"] == {}
    values = app.seen[1].payload["view"]["state"]["values"]
    assert values == {"block": {"field": {"type": "plain_text_input", "value": "typed"}}}


async def test_a_ticket_is_good_for_one_connection(sandbox: Sandbox) -> None:
    first = sandbox.http.post(
        "/slack/api/apps.connections.open", headers={"Authorization": "Bearer xapp-1"}
    )
    assert first.json()["url"].startswith("ws://127.0.0.1")
    assert sandbox.http.get("/slack/socket?ticket=guessed").status_code == 403


async def test_a_person_s_message_stands_in_the_history_and_opens_a_thread(
    app: App, sandbox: Sandbox
) -> None:
    root = await tell(sandbox, "messages", channel="C1", text="Help", user="U7")
    reply = await tell(sandbox, "messages", channel="C1", text="?", thread_ts=root["ts"])
    await app.client.web_client.chat_postMessage(channel="C1", text="ours")

    read = await app.client.web_client.conversations_history(channel="C1")

    ours, theirs = read["messages"]
    assert "bot_id" in ours
    assert "bot_id" not in theirs
    assert (theirs["user"], theirs["text"], theirs["latest_reply"]) == ("U7", "Help", reply["ts"])
    assert len(sandbox.state()["slack"]["messages"]) == 1
    assert len(sandbox.state()["slack"]["people"]) == 2
