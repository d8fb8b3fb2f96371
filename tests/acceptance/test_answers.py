"""A review is answered from Slack, by command and by HTTP: once, and the run goes on once."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from failsoft.agents.load import load_graph
from failsoft.connectors.signature import HEADER, sign

if TYPE_CHECKING:
    from failsoft.checkpoints.reviews import Review
    from tests.acceptance.conftest import Station

SIGNING, ANSWERS = "slack-signing-secret", "answer-secret"
CHAT = "POST /slack/api/chat.postMessage"
AGENT = '''
"""An agent that asks before it opens a ticket."""

from failsoft.connectors.jira import Jira
from failsoft.graphs.resilient_graph import END, START, ResilientGraph


def ticket_for(state):
    text = state["event"]["text"]
    return {"project": "OPS", "issue_type": "Task", "summary": text[:80], "description": text}


graph = ResilientGraph("asking")
graph.add_human("desk", via=["slack:CDESK"], deadline=3600.0, escalate=["pagerduty:critical"])
graph.add_write("create_ticket", Jira.create_issue, request=ticket_for)
graph.add_path(START, "desk", "create_ticket", END)
'''


def hurried(station: "Station", *, deadline: float, escalate: list[str]) -> str:
    """Write the same agent with a deadline in seconds, and return its name."""
    text = AGENT.replace('"asking"', '"hurried"').replace("3600.0", str(deadline))
    text = text.replace('["pagerduty:critical"]', repr(escalate))
    (station.folder / "hurried.py").write_text(text)
    station.agents = ["hurried:graph"]
    return station.agents[0]


@pytest.fixture
async def asking(station: "Station", monkeypatch: pytest.MonkeyPatch) -> "Station":
    (station.folder / "asking.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(station.folder))
    station.agents = ["asking:graph"]
    station.options |= {
        "FAILSOFT_SLACK_SIGNING_SECRET": SIGNING,
        "FAILSOFT_ANSWER_SECRET": ANSWERS,
    }
    return station


async def asked(station: "Station", agent: str = "asking:graph") -> tuple[UUID, str, "Review"]:
    """Have a run ask; return it at rest, its nonce and its review, of which Slack was told."""
    station.fork_worker()
    run_id, nonce = await station.admit(lane=load_graph(agent).lane)
    assert await station.executed(CHAT, 1)

    async def rests() -> bool:
        return bool((await station.row(run_id))["state"] == "parked")

    await station.until(rests, "the run waits for a person")
    (review,) = await station.store.reviews.list()
    return run_id, nonce, review


@asynccontextmanager
async def serving(station: "Station") -> AsyncIterator[str]:
    """Run `failsoft serve`, and give its address."""
    command = [sys.executable, "-m", "failsoft.cli.main", "serve", "asking:graph", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=station.folder, env=os.environ | station.environment,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    assert "http://" in line, line
    try:
        yield line.partition(" at ")[2].partition(": ")[0]
    finally:
        process.terminate()
        _, said = await process.communicate()
    assert (process.returncode, b"Traceback" in said) == (0, False), said


async def click(station: "Station", url: str, choice: str, user: str = "U0ANN") -> Any:
    """Let a person click a button of the notice; return what Slack was answered."""
    (notice,) = (await station.world())["slack"]["messages"]
    asked = {
        "url": f"{url}/slack/interactive", "secret": SIGNING, "user": user, "channel": "CDESK",
        "ts": notice["ts"], "action_id": f"failsoft_review:{choice}",
    }  # fmt: skip
    answer = await station.http.post("/_sim/slack/click", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["deliveries"][0]["attempts"][-1]["status"]


async def post(station: "Station", url: str, review_id: str, choice: str, by: str) -> int:
    """Answer by signed HTTP; return the status."""
    body = json.dumps({"review_id": review_id, "choice": choice, "by": by}).encode()
    headers = {HEADER: sign(SecretStr(ANSWERS), body, now=time.time())}
    answer = await station.http.post(f"{url}/reviews/{review_id}", content=body, headers=headers)
    return answer.status_code


async def decide(station: "Station", review_id: str, choice: str, by: str) -> int | None:
    """Answer by the command line; return its exit code."""
    command = [sys.executable, "-m", "failsoft.cli.main", "reviews", "decide", review_id]
    process = await asyncio.create_subprocess_exec(
        *command, "--choice", choice, "--by", by, cwd=station.folder,
        env=os.environ | station.environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait()


async def resumed_once(station: "Station", run_id: UUID, nonce: str, by: str) -> None:
    """One answer in the audit, one attempt after the one that asked, one ticket."""
    await station.all_rest()
    run = await station.row(run_id)
    assert run["state"] == "done"
    assert len(await station.tickets(nonce)) == 1
    attempts = "SELECT trace_id FROM attempts WHERE run_no = %s"
    assert len(await station.query(attempts, run["run_no"])) == 2
    answers = [
        event.facts["actor"]
        for event in await station.store.audit.events(run_id)
        if event.kind == "human.answered"
    ]
    assert answers == [by]
    await station.chains_verify()


async def test_a_button_in_slack_resumes_the_run_once(asking: "Station") -> None:
    run_id, nonce, _ = await asked(asking)
    async with serving(asking) as url:
        assert await click(asking, url, "accept") == 200
        await resumed_once(asking, run_id, nonce, "slack:T0SANDBOX:U0ANN")


async def test_the_command_line_resumes_the_run_once(asking: "Station") -> None:
    run_id, nonce, review = await asked(asking)
    assert await decide(asking, review.review_id, "accept", "ann") == 0
    await resumed_once(asking, run_id, nonce, "ann")


async def test_a_signed_request_resumes_the_run_once(asking: "Station") -> None:
    run_id, nonce, review = await asked(asking)
    async with serving(asking) as url:
        assert await post(asking, url, review.review_id, "accept", "ann") == 200
        await resumed_once(asking, run_id, nonce, "http:ann")


async def test_double_clicks_are_one_answer(asking: "Station") -> None:
    run_id, nonce, _ = await asked(asking)
    async with serving(asking) as url:
        clicks = [click(asking, url, "accept") for _ in range(3)]
        await asyncio.gather(*clicks)
        await resumed_once(asking, run_id, nonce, "slack:T0SANDBOX:U0ANN")


async def test_of_several_people_who_answer_at_once_one_counts_and_the_others_are_told(
    asking: "Station",
) -> None:
    run_id, nonce, review = await asked(asking)
    async with serving(asking) as url:
        answers = await asyncio.gather(
            post(asking, url, review.review_id, "accept", "ann"),
            post(asking, url, review.review_id, "accept", "bob"),
            click(asking, url, "accept", "U0CLEO"),
            decide(asking, review.review_id, "accept", "dan"),
        )
        won = (await asking.store.reviews.get(review.review_id)).answered_by
        assert won is not None
        await resumed_once(asking, run_id, nonce, won)
        told = await asking.world()
    *posted, clicked, decided = answers
    assert posted.count(200) + (decided == 0) + (won.startswith("slack:")) == 1
    assert posted.count(409) == 2 - posted.count(200)
    assert clicked == 200
    (said,) = told["slack"]["ephemerals"]
    assert ("counts" in said["text"]) is won.startswith("slack:")


async def test_left_alone_a_review_escalates_after_a_restart_and_can_still_be_answered(
    asking: "Station",
) -> None:
    # The deadline passes by itself while no worker is there; those after it leave time to answer.
    desks = ["pagerduty:critical", *["log:lead"] * 20]
    agent = hurried(asking, deadline=5.0, escalate=desks)
    run_id, nonce, review = await asked(asking, agent)
    for worker in list(asking.workers):
        await asking.kill(worker)
    passed = "SELECT 1 FROM reviews WHERE escalate_at <= now()"

    async def is_late() -> bool:
        return bool(await asking.query(passed))

    await asking.until(is_late, "the deadline passes")
    assert (await asking.store.reviews.get(review.review_id)).level == 0
    asking.fork_worker()

    async def alerted() -> bool:
        return bool((await asking.world())["hooks"]["alerts"])

    await asking.until(alerted, "the next desk is told")
    assert (await asking.store.reviews.get(review.review_id)).state == "open"
    assert await asking.tickets(nonce) == []
    assert await decide(asking, review.review_id, "accept", "ann") == 0
    await resumed_once(asking, run_id, nonce, "ann")
    assert len((await asking.world())["hooks"]["alerts"]) == 1


async def test_a_review_that_nobody_ever_answers_ends_with_a_dead_run_and_no_ticket(
    asking: "Station",
) -> None:
    agent = hurried(asking, deadline=1.5, escalate=["pagerduty:critical"])
    run_id, nonce, review = await asked(asking, agent)
    for worker in list(asking.workers):
        await asking.kill(worker)
    asking.fork_worker()

    async def is_dead() -> bool:
        return bool((await asking.row(run_id))["state"] == "dead")

    await asking.until(is_dead, "the last deadline passes")
    assert (await asking.store.reviews.get(review.review_id)).state == "expired"
    assert await decide(asking, review.review_id, "accept", "ann") == 2
    assert await asking.tickets(nonce) == []
