"""Reviews answered from Slack: by a button, a list, a form; the first answer counts."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.reviews import Review, ReviewState, review_id_of
from failsoft.checkpoints.store import Store
from failsoft.errors import UnavailableError
from failsoft.events import Event
from failsoft.intake.admission import Reception
from failsoft.intake.slack_answers import ACTION, SlackAnswers
from failsoft.intake.slack_socket import SocketDoor
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox
from tests.slack_side import tell

AGENT, LANE = "triage", "triage@1"
CHOICES = ("accept", "respond", "edit", "retry", "ignore")
ANN, BOB = "U0ANN", "U0BOB"


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    del settings  # it has set the environment
    monkeypatch.setenv("FAILSOFT_SLACK_APP_TOKEN", "xapp-sandbox")
    monkeypatch.setenv("FAILSOFT_SLACK_REVIEWERS", f"{ANN},{BOB}")
    return load_settings()


@pytest.fixture
async def door(own_settings: Settings, store: Store) -> AsyncIterator[None]:
    """A door that stands open while the test clicks."""
    reception = Reception(runs=store.runs, agent=AGENT, lane=LANE)
    stopping = asyncio.Event()
    task = asyncio.create_task(SocketDoor(own_settings).run(reception, stopping))
    yield
    stopping.set()
    await asyncio.wait_for(task, 10)


async def ask(store: Store, *, request: dict[str, Any] | None = None) -> str:
    """Open a review: about a refused write of that request, else about a label."""
    await store.runs.admit(AGENT, LANE, Event(key="e1", source="test", text="hi"))
    worker = await store.workers.register("test", 60)
    [claim] = await store.runs.claim(worker, [LANE], 1)
    review_id, question = review_id_of(claim.lease.run_id, "task-1"), {"text": "hi"}
    transaction_id = None
    if request is None:
        question |= {"labels": ["billing", "bugs"]}  # type: ignore[dict-item]
    else:
        transaction_id = await refused(store, claim.lease, request)
        question |= {"request": request}  # type: ignore[dict-item]
    await store.reviews.open(
        claim.lease, review_id=review_id, node="triage", question=question,  # type: ignore[arg-type]
        allowed=CHOICES, channels=(), step_seconds=3600, escalations=(),
        transaction_id=transaction_id,
    )  # fmt: skip
    return review_id


async def refused(store: Store, lease: Lease, request: dict[str, Any]) -> str:
    effect = await store.effects.claim(
        lease, node="write", operation="jira.create_issue", request=request, mark={},
        within=1, settle=1,
    )  # fmt: skip
    await store.effects.settle(lease, effect, EffectState.FAILED, reason="refused")
    return effect.transaction_id


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


async def show(sandbox: Sandbox, review_id: str, labels: Sequence[str] = ()) -> str:
    """Post a review as its notice stands in Slack, and return the ts."""
    elements: list[dict[str, Any]] = [
        {"type": "button", "action_id": f"{ACTION}:{choice}", "text": plain(choice),
         "value": f"{review_id}:{choice}"}
        for choice in CHOICES if choice != "respond"
    ]  # fmt: skip
    options = [{"text": plain(label), "value": f"{review_id}:respond:{label}"} for label in labels]
    if options:
        select = {"type": "static_select", "action_id": f"{ACTION}:respond", "options": options}
        elements.append(select)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "A question"}}
    blocks = [section, {"type": "actions", "block_id": "b1", "elements": elements}]
    answer = await asyncio.to_thread(
        sandbox.http.post, "/slack/api/chat.postMessage", headers={"Authorization": "Bearer t"},
        json={"channel": "C0DESK", "text": "A question", "blocks": blocks},
    )  # fmt: skip
    return str(answer.json()["ts"])


async def click(sandbox: Sandbox, ts: str, choice: str, **more: Any) -> dict[str, Any]:
    """Click as Ann, unless `user` says otherwise; wait for what is told in return."""
    before = await told(sandbox)
    asked = {"socket": True, "ts": ts, "action_id": f"{ACTION}:{choice}", "user": ANN} | more
    report = await tell(sandbox, "click", **asked)
    await until_told(sandbox, before + 1)
    return report


async def told(sandbox: Sandbox) -> int:
    """Return how often somebody was told something, or shown a form."""
    slack = (await asyncio.to_thread(sandbox.state))["slack"]
    return len(slack["ephemerals"]) + len(slack["views"])


async def until_told(sandbox: Sandbox, count: int) -> None:
    async with asyncio.timeout(10):
        while await told(sandbox) < count:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)


def whispers(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(one["user"], one["text"]) for one in sandbox.state()["slack"]["ephemerals"]]


async def answered(store: Store, review_id: str) -> Review:
    review = await store.reviews.get(review_id)
    assert review.state is ReviewState.ANSWERED
    return review


@pytest.mark.usefixtures("door")
async def test_a_button_answers_and_whoever_clicked_is_told(store: Store, sandbox: Sandbox) -> None:
    review_id = await ask(store)
    ts = await show(sandbox, review_id)

    report = await click(sandbox, ts, "accept")

    assert report["deliveries"][0]["delivered"]
    review = await answered(store, review_id)
    assert (review.answer, review.answered_by) == (
        {"choice": "accept", "value": None}, f"slack:T0SANDBOX:{ANN}",
    )  # fmt: skip
    assert whispers(sandbox) == [(ANN, "Your answer counts: accept.")]


@pytest.mark.usefixtures("door")
async def test_a_label_is_chosen_from_the_list(store: Store, sandbox: Sandbox) -> None:
    review_id = await ask(store)
    ts = await show(sandbox, review_id, ["billing", "bugs"])

    await click(sandbox, ts, "respond", option="bugs")

    review = await answered(store, review_id)
    assert review.answer == {"choice": "respond", "value": "bugs"}


@pytest.mark.usefixtures("door")
async def test_double_clicks_and_a_second_person_give_one_answer_and_are_told(
    store: Store, sandbox: Sandbox
) -> None:
    review_id = await ask(store)
    notices = [await show(sandbox, review_id) for _ in range(4)]  # told at several desks
    asked = {"socket": True, "action_id": f"{ACTION}:accept", "user": ANN}

    await asyncio.gather(*(tell(sandbox, "click", **asked, ts=ts) for ts in notices[:3]))
    await click(sandbox, notices[3], "ignore", user=BOB)
    await until_told(sandbox, 4)

    review = await answered(store, review_id)
    assert (review.answer, review.answered_by) == (
        {"choice": "accept", "value": None}, f"slack:T0SANDBOX:{ANN}",
    )  # fmt: skip
    said = whispers(sandbox)
    assert len([text for _, text in said if text.startswith("Your answer counts")]) == 1
    late = [(user, text) for user, text in said if "already answered by" in text]
    assert [user for user, _ in late].count(BOB) == 1
    assert all(f"slack:T0SANDBOX:{ANN}" in text for _, text in late)


@pytest.mark.usefixtures("door")
async def test_whoever_is_not_on_the_list_is_told_and_changes_nothing(
    store: Store, sandbox: Sandbox
) -> None:
    review_id = await ask(store, request={"summary": "a"})
    ts = await show(sandbox, review_id)

    await click(sandbox, ts, "accept", user="U0EVE")
    await click(sandbox, ts, "edit", user="U0EVE")

    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN
    assert whispers(sandbox) == [("U0EVE", "You are not among those who may answer.")] * 2
    assert sandbox.state()["slack"]["views"] == []


@pytest.mark.usefixtures("door")
async def test_the_edited_request_is_what_is_written_next(store: Store, sandbox: Sandbox) -> None:
    review_id = await ask(store, request={"summary": "bad", "labels": ["ä"]})
    ts = await show(sandbox, review_id)

    await click(sandbox, ts, "edit")
    (view,) = sandbox.state()["slack"]["views"]
    shown = view["view"]["blocks"][0]["element"]["initial_value"]
    assert json.loads(shown) == {"summary": "bad", "labels": ["ä"]}
    report = await tell(sandbox, "submit", socket=True, text='{"summary": "good"}', user=ANN)

    assert report["errors"] == {}
    review = await answered(store, review_id)
    assert review.answer == {"choice": "edit", "value": {"summary": "good"}}
    effects = await store.effects.of_run(review.run_no)
    assert [(each.generation, each.request) for each in effects] == [
        (1, {"summary": "bad", "labels": ["ä"]}), (2, {"summary": "good"}),
    ]  # fmt: skip


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("text", ["{", "[1]", "", '{"a": NaN}'])
async def test_a_form_that_cannot_be_read_stays_open_and_says_why(
    store: Store, sandbox: Sandbox, text: str
) -> None:
    review_id = await ask(store, request={"summary": "bad"})
    await click(sandbox, await show(sandbox, review_id), "edit")

    report = await tell(sandbox, "submit", socket=True, text=text, user=ANN)

    assert list(report["errors"]) == ["failsoft_request"]
    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN
    assert (await tell(sandbox, "submit", socket=True, text="{}", user=ANN))["errors"] == {}
    await answered(store, review_id)


@pytest.mark.usefixtures("door")
async def test_a_form_that_comes_late_says_who_answered(store: Store, sandbox: Sandbox) -> None:
    review_id = await ask(store, request={"summary": "bad"})
    ts = await show(sandbox, review_id)
    await click(sandbox, ts, "edit")
    await click(sandbox, await show(sandbox, review_id), "ignore", user=BOB)

    report = await tell(sandbox, "submit", socket=True, text='{"summary": "good"}', user=ANN)

    assert f"slack:T0SANDBOX:{BOB}" in report["errors"]["failsoft_request"]
    assert (await answered(store, review_id)).answer == {"choice": "ignore", "value": None}
    await click(sandbox, ts, "edit")
    assert whispers(sandbox)[-1] == (
        ANN, f"Review {review_id} was already answered by slack:T0SANDBOX:{BOB}.",
    )  # fmt: skip


@pytest.mark.usefixtures("door")
async def test_a_label_that_the_review_does_not_offer_changes_nothing(
    store: Store, sandbox: Sandbox
) -> None:
    review_id = await ask(store)
    ts = await show(sandbox, review_id, ["<!channel>"])

    await click(sandbox, ts, "respond", option="<!channel>")

    assert (await store.reviews.get(review_id)).state is ReviewState.OPEN
    assert "&lt;!channel&gt;" in whispers(sandbox)[0][1]


@pytest.mark.usefixtures("door")
async def test_an_answer_counts_though_slack_shows_it_to_nobody(
    store: Store, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    review_id = await ask(store)
    ts = await show(sandbox, review_id)
    sandbox.faults({"match": "POST /slack/api/chat.*", "kind": "status"})

    report = await tell(
        sandbox, "click", socket=True, ts=ts, action_id=f"{ACTION}:accept", user=ANN
    )

    assert report["deliveries"][0]["delivered"]
    await answered(store, review_id)
    async with asyncio.timeout(10):
        while not caplog.records:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert "counts" in caplog.records[0].message


async def test_without_the_database_an_answer_is_not_acknowledged(
    own_settings: Settings, store: Store
) -> None:
    review_id = await ask(store)
    answers = SlackAnswers.of(own_settings, store.runs.database)
    action = {"action_id": f"{ACTION}:accept", "value": f"{review_id}:accept"}
    payload: dict[str, Any] = {
        "type": "block_actions", "actions": [action], "user": {"id": ANN, "team_id": "T1"},
    }  # fmt: skip
    await store.runs.database.close()
    with pytest.raises(UnavailableError):
        await answers.handle(payload)
    await answers.close()
