"""The simulated sender, judged by Slack's own verifier."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from tests.conftest import Sandbox
from tests.slack_side import tell

SECRET = "signing-secret"  # noqa: S105  # of this test
EVENT = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": {"type": "message"}}


@dataclass
class Receiver:
    """A server that answers as `answers` says, by the number of the request."""

    url: str = ""
    seen: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    answers: Callable[[int], web.Response] = lambda _number: web.Response()
    slow: int = 0  # the first so many answers come late

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((body, headers))
        if len(self.seen) <= self.slow:
            await asyncio.sleep(0.4)
        if not SignatureVerifier(SECRET).is_valid_request(body, headers):
            return web.Response(status=401)
        return self.answers(len(self.seen))

    def retries(self) -> list[tuple[str | None, str | None]]:
        names = ("x-slack-retry-num", "x-slack-retry-reason")
        return [(headers.get(names[0]), headers.get(names[1])) for _, headers in self.seen]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/slack", made.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/slack"
    yield made
    await runner.cleanup()


async def send(sandbox: Sandbox, receiver: Receiver, **more: Any) -> list[dict[str, Any]]:
    asked = {"url": receiver.url, "secret": SECRET, "payload": EVENT} | more
    report = await tell(sandbox, "events", **asked)
    deliveries: list[dict[str, Any]] = report["deliveries"]
    return deliveries


async def test_an_event_that_is_taken_comes_once(receiver: Receiver, sandbox: Sandbox) -> None:
    (delivery,) = await send(sandbox, receiver)

    assert delivery["delivered"]
    assert receiver.retries() == [(None, None)]
    assert json.loads(receiver.seen[0][0]) == EVENT


async def test_what_is_refused_comes_again_signed_anew_with_its_number_and_reason(
    receiver: Receiver, sandbox: Sandbox
) -> None:
    receiver.answers = lambda number: web.Response(status=503 if number < 3 else 200)

    (delivery,) = await send(sandbox, receiver)

    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 503, 200]
    assert receiver.retries() == [(None, None), ("1", "http_error"), ("2", "http_error")]


async def test_an_answer_that_is_late_counts_as_none(receiver: Receiver, sandbox: Sandbox) -> None:
    receiver.slow = 1

    (delivery,) = await send(sandbox, receiver, seconds=0.2)

    assert [attempt["status"] for attempt in delivery["attempts"]] == [None, 200]
    assert receiver.retries() == [(None, None), ("1", "http_timeout")]


async def test_after_its_repeats_it_is_given_up(receiver: Receiver, sandbox: Sandbox) -> None:
    receiver.answers = lambda _number: web.Response(status=500)

    (delivery,) = await send(sandbox, receiver, pauses=[0, 0])

    assert not delivery["delivered"]
    assert len(receiver.seen) == 3


async def test_an_answer_may_forbid_repeats(receiver: Receiver, sandbox: Sandbox) -> None:
    receiver.answers = lambda _: web.Response(status=500, headers={"X-Slack-No-Retry": "1"})

    await send(sandbox, receiver)

    assert len(receiver.seen) == 1


async def test_a_server_that_is_away_is_tried_again(receiver: Receiver, sandbox: Sandbox) -> None:
    url = receiver.url.replace("/slack", "").rpartition(":")[0] + ":1/slack"

    (delivery,) = await send(sandbox, receiver, url=url, pauses=[0])

    assert [each["reason"] for each in delivery["attempts"]] == ["connection_failed"] * 2


@pytest.mark.parametrize("spoil", ["unsigned", "wrong", "stale", "future", "reencoded"])
async def test_what_is_forged_is_refused_by_slacks_own_verifier(
    receiver: Receiver, sandbox: Sandbox, spoil: str
) -> None:
    (delivery,) = await send(sandbox, receiver, spoil=spoil)

    assert [attempt["status"] for attempt in delivery["attempts"]] == [401]
    assert json.loads(receiver.seen[0][0]) == EVENT


async def test_a_replay_is_the_very_same_request(receiver: Receiver, sandbox: Sandbox) -> None:
    await send(sandbox, receiver, spoil="replayed")

    first, second = receiver.seen
    assert first == second


async def test_times_says_how_many_deliveries_there_are(
    receiver: Receiver, sandbox: Sandbox
) -> None:
    assert len(await send(sandbox, receiver, times=4)) == len(receiver.seen) == 4


async def test_a_click_is_a_signed_form_with_the_payload(
    receiver: Receiver, sandbox: Sandbox
) -> None:
    receiver.answers = lambda _number: web.json_response({"response_action": "clear"})
    option = {"text": {"type": "plain_text", "text": "Bugs"}, "value": "r1:respond:bugs"}
    select = {"type": "static_select", "action_id": "choose", "options": [option]}
    posted = sandbox.http.post(
        "/slack/api/chat.postMessage", headers={"Authorization": "Bearer t"},
        json={"channel": "C1", "text": "x", "blocks": [{"type": "actions", "elements": [select]}]},
    ).json()  # fmt: skip

    report = await tell(
        sandbox, "click", url=receiver.url, secret=SECRET, ts=posted["ts"], action_id="choose",
        option="Bugs", user="U9",
    )  # fmt: skip

    assert report["deliveries"][0]["answer"] == {"response_action": "clear"}
    payload = json.loads(parse_qs(receiver.seen[0][0].decode())["payload"][0])
    assert payload["actions"][0]["selected_option"] == option
    assert payload["message"]["ts"] == payload["container"]["message_ts"] == posted["ts"]
    assert payload["user"]["id"] == "U9"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("events", {"payload": EVENT}),
        ("events", {"payload": EVENT, "url": "http://example.com/", "secret": SECRET}),
        ("events", {"payload": EVENT, "url": "http://127.0.0.1/", "socket": True}),
        ("click", {"socket": True, "ts": "1.2", "action_id": "x"}),
        ("submit", {"socket": True, "text": "x"}),
        ("messages", {"channel": "C1", "text": "x", "ts": "yesterday"}),
        ("disconnect", {"unknown": 1}),
    ],
)
def test_what_cannot_be_done_is_refused(
    sandbox: Sandbox, name: str, asked: dict[str, object]
) -> None:
    assert sandbox.http.post(f"/_sim/slack/{name}", json=asked).status_code == 400
