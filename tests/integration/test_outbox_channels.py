"""Every channel arrives, whatever answer is lost on the way, and as what it can be known again."""

import json
import time
from email import message_from_string
from typing import Any

import pytest
from pydantic import SecretStr

from failsoft.connectors.signature import HEADER, verify
from failsoft.errors import UsageError
from failsoft.settings import Settings
from failsoft.workers.outbox import OutboxWorker
from tests.conftest import Sandbox
from tests.integration.bench import Bench, BenchOf
from tests.integration.desk import (
    EVERYWHERE,
    ODD_IMPORT,
    ask,
    asking,
    deliver_all,
    messages,
    reachable,
    rows,
)

FORGED = "hello\nHow to answer, the first answer counts:\n  failsoft reviews decide evil"
LOST = {"kind": "drop_after", "times": 1}
ALERT = "POST /hooks/v2/enqueue"
CHAT = "POST /hooks/webhook/chat"


async def told(bench: Bench, sandbox: Sandbox, text: str = "the checkout is down") -> OutboxWorker:
    outbox = await ask(bench, sandbox, text)
    await deliver_all(outbox)
    return outbox


def hooks(sandbox: Sandbox, name: str) -> list[dict[str, Any]]:
    return [post for post in sandbox.state()["hooks"]["posts"] if post["name"] == name]


async def review_id(bench: Bench) -> str:
    (review,) = await bench.parts.store.reviews.list()
    return str(review.review_id)


@ODD_IMPORT
async def test_a_desk_of_every_channel_is_told_once_on_each(
    settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    reachable(settings, sandbox)
    async with bench_of(asking(*EVERYWHERE, "log:x")) as bench:
        await told(bench, sandbox)
        state = sandbox.state()
        assert [len(found) for found in (
            messages(sandbox), state["mail"], hooks(sandbox, "desk"), state["hooks"]["alerts"],
            hooks(sandbox, "chat"),
        )] == [1] * 5  # fmt: skip
        assert all(row["delivered_at"] for row in await rows(bench))


@pytest.mark.parametrize("kind", ["drop_after", "malformed", "late_commit"])
async def test_what_knows_a_key_is_told_once_though_the_answer_is_lost(
    kind: str, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    fault = {"kind": kind, "times": 1, "seconds": 0.05}
    async with bench_of(asking("webhook:desk", "pagerduty", "slack:CDESK")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults(
            fault | {"match": "POST /hooks/webhook/desk"},
            fault | {"match": ALERT},
            fault | {"match": "POST /slack/api/chat.postMessage"},
        )
        await deliver_all(outbox)
        (post,), (alert,) = hooks(sandbox, "desk"), sandbox.state()["hooks"]["alerts"]
        assert len(messages(sandbox)) == 1
        # A webhook's answer is not read, so only its loss is one.
        assert (post["deliveries"], alert["events"]) == (1 if kind == "malformed" else 2, 2)


async def test_a_mail_whose_answer_is_lost_comes_again_under_its_own_id(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("email:lead@example.com")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults(LOST | {"match": "SMTP DATA"})
        await deliver_all(outbox)
        first, second = sandbox.state()["mail"]
        assert first["message_id"] == second["message_id"] != ""


async def test_a_mail_says_that_a_machine_wrote_it_and_quotes_what_it_was_told(
    settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    reachable(settings, sandbox)
    async with bench_of(asking("email:lead")) as bench:
        await told(bench, sandbox, FORGED)
        (mail,) = sandbox.state()["mail"]
        assert mail["to"] == ["lead@example.com"]
        assert mail["headers"]["auto-submitted"] == "auto-generated"
        body = message_from_string(mail["raw"]).get_payload(decode=True)
        assert isinstance(body, bytes)
        lines = body.decode().splitlines()
        assert [f"> {line}" in lines for line in FORGED.splitlines()] == [True] * 3
        assert not [one for one in lines if "evil" in one and not one.startswith("> ")]
        assert f"  failsoft reviews decide {await review_id(bench)} --choice ignore" in lines


async def test_no_line_of_a_mail_that_came_in_becomes_a_recipient(
    settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    reachable(settings, sandbox)
    async with bench_of(asking("email:lead")) as bench:
        await told(bench, sandbox, "hi\r\nTo: eve@evil.example\r\nBcc: eve@evil.example\r\n\r\n")
        (mail,) = sandbox.state()["mail"]
        assert mail["to"] == ["lead@example.com"]
        assert "evil" not in json.dumps(mail["headers"])


async def test_a_webhook_gets_the_whole_question_signed(
    settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    settings.public_url = "https://fs.example"
    async with bench_of(asking("webhook:desk")) as bench:
        await told(bench, sandbox, "é" * 50_000)
        (post,) = hooks(sandbox, "desk")
        body, asked = json.loads(post["body"]), await review_id(bench)
        assert (body["kind"], body["review_id"]) == ("review", asked)
        assert body["question"]["text"] == "é" * 50_000
        assert body["answer_url"] == f"https://fs.example/reviews/{asked}"
        secret = settings.webhooks["desk"].secret
        signature, raw = post["headers"][HEADER.lower()], post["body"].encode()
        assert verify(signature, raw, [secret], now=time.time())
        assert not verify(signature, raw, [SecretStr("other")], now=time.time())


async def test_all_notices_of_a_review_are_one_alert_which_the_answer_closes(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    graph = asking("pagerduty:warning", deadline=0.2, escalate=("pagerduty:critical",))
    async with bench_of(graph) as bench:
        outbox = await told(bench, sandbox)
        (alert,) = sandbox.state()["hooks"]["alerts"]
        assert (alert["status"], alert["payload"]["severity"]) == ("trigger", "warning")
        await bench.parts.services.clock.sleep(0.3)
        await bench.parts.store.reviews.escalate()
        await deliver_all(outbox)
        (alert,) = sandbox.state()["hooks"]["alerts"]
        assert (alert["status"], alert["payload"]["severity"]) == ("trigger", "critical")
        await bench.parts.store.reviews.answer(await review_id(bench), choice="ignore", by="ann")
        await deliver_all(outbox)
        (alert,) = sandbox.state()["hooks"]["alerts"]
        assert alert["status"] == "resolve"


async def test_an_alert_that_nobody_answers_stays_open(bench_of: BenchOf, sandbox: Sandbox) -> None:
    async with bench_of(asking("pagerduty", deadline=0.2)) as bench:
        outbox = await told(bench, sandbox)
        await bench.parts.services.clock.sleep(0.3)
        await bench.parts.store.reviews.escalate()
        await deliver_all(outbox)
        assert await bench.parts.store.reviews.list() == []
        (alert,) = sandbox.state()["hooks"]["alerts"]
        assert alert["status"] == "trigger"


@ODD_IMPORT
async def test_apprise_is_told_again_when_it_was_not_through(
    settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    reachable(settings, sandbox)
    async with bench_of(asking("apprise:chat")) as bench:
        outbox = await ask(bench, sandbox, FORGED)
        sandbox.faults({"match": CHAT, "kind": "status", "status": 500, "times": 1})
        await deliver_all(outbox)
        (post,) = hooks(sandbox, "chat")
        shown = json.loads(post["body"])["message"].splitlines()
        assert not [one for one in shown if "evil" in one and not one.startswith("> ")]


async def test_a_log_channel_writes_the_question_into_the_log(
    bench_of: BenchOf, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench_of(asking("log:lead")) as bench:
        await told(bench, sandbox)
        assert "lead: A question about run" in caplog.text


async def test_whoever_answers_later_is_told_who_said_what_and_when(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("log:x")) as bench:
        await ask(bench, sandbox, "hi")
        reviews, asked = bench.parts.store.reviews, await review_id(bench)
        await reviews.answer(asked, choice="ignore", by="slack:T1:U1")
        said = r"already answered by slack:T1:U1 at 20\d\d-\S+: ignore\.$"
        with pytest.raises(UsageError, match=said):
            await reviews.answer(asked, choice="retry", by="bob")
