"""Slack's events and clicks by HTTP: what is let in, what is refused, and when Slack is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import make_conninfo

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.ignored import latest
from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.checkpoints.store import Store
from failsoft.settings import Settings
from failsoft.workers.slack_notice import notice
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf
from tests.integration.served import (
    OLD_SLACK,
    SLACK,
    Served,
    deliver,
    message,
    serving,
    signed_by_slack,
    with_secrets,
)
from tests.integration.test_database_away import Wire, wire_to
from tests.slack_side import tell

ANN, BOB = "U0ANN", "U0BOB"
FORGED = ["unsigned", "wrong", "stale", "future", "reencoded"]


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    del settings  # it has set the environment
    return with_secrets(monkeypatch)


@pytest.fixture
async def doors(own_settings: Settings, database: Database) -> AsyncIterator[Served]:
    async with serving(own_settings, database) as served:
        yield served


async def test_an_event_that_slack_signed_is_a_run_however_often_it_comes(
    sandbox: Sandbox, doors: Served
) -> None:
    for skew in range(3):  # each is signed anew, at another second
        (attempt,) = await deliver(sandbox, doors, message(), skew=skew)
        assert attempt["status"] == 200
    assert await doors.states() == {"queued": 1}


async def test_the_old_secret_is_good_while_it_is_being_rotated(
    sandbox: Sandbox, doors: Served
) -> None:
    assert (await deliver(sandbox, doors, message(), secret=OLD_SLACK))[0]["status"] == 200
    assert await doors.states() == {"queued": 1}


@pytest.mark.parametrize("spoil", FORGED)
async def test_what_slack_did_not_sign_just_so_and_just_now_is_refused(
    sandbox: Sandbox, doors: Served, spoil: str
) -> None:
    (attempt,) = await deliver(sandbox, doors, message(), spoil=spoil)
    assert attempt["status"] == 401
    assert json.loads(attempt["body"]) == {"error": "The signature is not good."}
    assert await doors.states() == {}


async def test_a_replayed_request_is_refused_and_starts_nothing_more(
    sandbox: Sandbox, doors: Served
) -> None:
    attempts = await deliver(sandbox, doors, message(), spoil="replayed")
    assert [attempt["status"] for attempt in attempts] == [200, 401]
    assert await doors.states() == {"queued": 1}


async def test_an_event_of_an_unknown_kind_is_taken_and_listed(
    sandbox: Sandbox, doors: Served, database: Database
) -> None:
    payload = message(type="team_rename_of_tomorrow")
    assert (await deliver(sandbox, doors, payload))[0]["status"] == 200
    assert await doors.states() == {}
    listed = await latest(database, agent="slack-jira")
    assert [row["reason"] for row in listed] == ["not a message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"type": "event_callback"}']
)
async def test_what_slack_signed_but_nobody_can_read_is_a_listed_rejection(
    doors: Served, database: Database, body: bytes
) -> None:
    answer = await doors.http.post("/slack/events", content=body, headers=signed_by_slack(body))
    assert answer.status_code == 200  # else Slack would bring it for ever
    (listed,) = await latest(database, agent="slack-jira")
    assert listed["reason"].startswith("an unreadable message")


async def test_slack_hears_its_challenge_back_and_nobody_else_does(
    sandbox: Sandbox, doors: Served
) -> None:
    asked = {"type": "url_verification", "challenge": "3eZbrw1a", "token": "x"}
    (attempt,) = await deliver(sandbox, doors, asked)
    assert json.loads(attempt["body"]) == {"challenge": "3eZbrw1a"}
    (attempt,) = await deliver(sandbox, doors, asked, spoil="wrong")
    assert attempt["status"] == 401


async def test_a_repeat_is_taken_like_a_first_delivery(doors: Served) -> None:
    # The first one may be the one that failed: here nothing of it ever came.
    body = json.dumps(message()).encode()
    headers = signed_by_slack(body) | {"X-Slack-Retry-Num": "2", "X-Slack-Retry-Reason": "x"}
    answer = await doors.http.post("/slack/events", content=body, headers=headers)
    assert answer.status_code == 200
    assert await doors.states() == {"queued": 1}


@pytest.fixture
async def wire(dsn: str) -> AsyncIterator[Wire]:
    async with wire_to(dsn) as opened:
        yield opened


async def test_what_came_while_the_database_was_away_is_taken_when_it_is_brought_again(
    own_settings: Settings, wire: Wire, dsn: str, store: Store
) -> None:
    address = make_conninfo(dsn, host="127.0.0.1", port=wire.port)
    body = json.dumps(message()).encode()
    headers = signed_by_slack(body)  # a proxy may bring it again as it is
    async with Database(address, lease=1.0) as remote, serving(own_settings, remote) as served:
        wire.thawed.clear()
        first = await served.http.post("/slack/events", content=body, headers=headers)
        assert (first.status_code, first.headers["retry-after"]) == (503, "5")
        wire.thawed.set()
        status = 503
        async with asyncio.timeout(20):
            while status == 503:  # while the pool finds back
                repeat = headers | {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_error"}
                answer = await served.http.post("/slack/events", content=body, headers=repeat)
                status = answer.status_code
    assert status == 200
    assert len(await store.runs.list()) == 1


@pytest.fixture
async def asked(
    bench_of: BenchOf, doors: Served, sandbox: Sandbox
) -> AsyncIterator[tuple[Review, str]]:
    """A review that waits, and the ts of its notice in Slack."""
    del doors
    sandbox.faults({"match": "POST /v1/chat/completions", "kind": "status", "status": 400})
    async with bench_of(load_graph("slack-jira")) as bench:
        run_id = await bench.admit("Xyzzy plugh.")
        await bench.drive_on(run_id)
        review = await bench.review(run_id)
        yield review, await post_notice(sandbox, review)


async def post_notice(sandbox: Sandbox, review: Review) -> str:
    body = {"channel": "C0DESK", **notice(review, None)}
    answer = await asyncio.to_thread(
        sandbox.http.post, "/slack/api/chat.postMessage", json=body,
        headers={"Authorization": "Bearer t"},
    )  # fmt: skip
    return str(answer.json()["ts"])


async def click(
    sandbox: Sandbox, doors: Served, ts: str, choice: str, **more: Any
) -> dict[str, Any]:
    url = f"{doors.url}/slack/interactive"
    asked = {"url": url, "secret": SLACK, "ts": ts, "action_id": f"failsoft_review:{choice}"}
    return await tell(sandbox, "click", **({**asked, "user": ANN} | more))


async def test_a_click_answers_the_review_and_whoever_clicked_is_told(
    sandbox: Sandbox, doors: Served, asked: tuple[Review, str]
) -> None:
    review, ts = asked
    report = await click(sandbox, doors, ts, "respond", option="bug")
    assert report["deliveries"][0]["delivered"]
    kept = await doors.store.reviews.get(review.review_id)
    assert kept.answer == {"choice": "respond", "value": "bug"}
    assert kept.answered_by == f"slack:T0SANDBOX:{ANN}"
    assert await asyncio.to_thread(sandbox.wait_executed, "POST /slack/api/chat.postEphemeral")
    (told,) = sandbox.state()["slack"]["ephemerals"]
    assert (told["user"], told["text"]) == (ANN, "Your answer counts: respond bug.")


async def test_double_clicks_and_two_people_at_once_give_one_answer(
    sandbox: Sandbox, doors: Served, asked: tuple[Review, str]
) -> None:
    review, ts = asked
    clicks = [("bug", ANN), ("bug", ANN), ("question", BOB), ("question", BOB)]
    reports = await asyncio.gather(
        *(click(sandbox, doors, ts, "respond", option=option, user=user) for option, user in clicks)
    )
    assert all(report["deliveries"][0]["delivered"] for report in reports)
    events = await doors.store.audit.events(review.run_id)
    assert [event.kind for event in events].count("human.answered") == 1


@pytest.mark.parametrize("spoil", [*FORGED, "replayed"])
async def test_a_forged_click_answers_nothing(
    sandbox: Sandbox, doors: Served, asked: tuple[Review, str], spoil: str
) -> None:
    review, ts = asked
    report = await click(sandbox, doors, ts, "ignore", spoil=spoil)
    assert report["deliveries"][0]["attempts"][-1]["status"] == 401
    events = await doors.store.audit.events(review.run_id)
    answers = [event.kind for event in events].count("human.answered")
    assert answers == (1 if spoil == "replayed" else 0)  # the replayed one was good once


@pytest.mark.parametrize(
    "form",
    [{}, {"payload": ""}, {"payload": "{"}, {"payload": "[1]"}, {f"a{n}": "b" for n in range(20)}],
)
async def test_a_click_that_cannot_be_read_is_wrong_use(
    doors: Served, form: dict[str, str]
) -> None:
    body = urlencode(form).encode()
    answer = await doors.http.post(
        "/slack/interactive", content=body, headers=signed_by_slack(body)
    )
    assert answer.status_code == 400


async def test_a_click_on_something_of_another_app_is_taken_and_does_nothing(
    doors: Served, asked: tuple[Review, str]
) -> None:
    review, _ = asked
    for payload in (
        {"type": "shortcut"},
        {"type": "block_actions", "actions": [{"action_id": "x"}]},
    ):
        body = urlencode({"payload": json.dumps(payload)}).encode()
        headers = signed_by_slack(body)
        answer = await doors.http.post("/slack/interactive", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await doors.store.reviews.get(review.review_id)).state is ReviewState.OPEN
