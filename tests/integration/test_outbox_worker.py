"""The loop: what fails comes later, what is wrong is given up, what is overtaken is not told."""

import asyncio
import logging
from typing import Any

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.store import Store
from failsoft.settings import Settings
from failsoft.workers.outbox import OutboxWorker
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf
from tests.integration.desk import (
    CHAT,
    EVERYWHERE,
    ODD_IMPORT,
    ask,
    asking,
    deliver_all,
    messages,
    reachable,
    rows,
)

REFUSED = {"match": CHAT, "kind": "status", "status": 200}


@pytest.mark.parametrize("kind", ["drop_before", "status"])
async def test_a_notice_that_fails_is_delivered_later(
    kind: str, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "late")
        sandbox.faults({"match": CHAT, "kind": kind, "nth": [1]})
        await outbox.deliver()
        assert messages(sandbox) == []
        await bench.parts.services.clock.sleep(0.5)
        await outbox.deliver()
        assert len(messages(sandbox)) == 1
        assert await bench.parts.store.outbox.pending() == 0


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        pytest.param("fax:4711", "there is no channel 'fax:4711'", id="no such channel"),
        pytest.param("nonsense", "there is no channel 'nonsense'", id="no channel at all"),
        pytest.param("email:mallory", "FAILSOFT_CONTACTS has no 'mallory', only lead", id="email"),
        pytest.param("email:a@b@c", "FAILSOFT_CONTACTS has no 'a@b@c', only lead", id="address"),
        pytest.param("webhook:evil", "FAILSOFT_WEBHOOKS has no 'evil', only desk", id="webhook"),
        pytest.param("apprise:evil", "FAILSOFT_APPRISE has no 'evil', only chat", id="apprise"),
        pytest.param(
            "pagerduty:loud",
            "The `severity` of an alert is one of critical, error, warning, info.",
            id="severity",
        ),
    ],
)
async def test_a_wrong_name_is_given_up_with_its_reason(
    channel: str, reason: str, settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    reachable(settings, sandbox)
    async with bench_of(asking(channel)) as bench:
        await (await ask(bench, sandbox, "hi")).deliver()
        (row,) = await rows(bench)
        assert (row["due_at"], row["delivered_at"], row["reason"]) == (None, None, reason)


@pytest.mark.parametrize(
    ("channel", "variable"),
    [
        ("slack:#desk", "FAILSOFT_SLACK_TOKEN"),
        ("email:lead", "FAILSOFT_CONTACTS"),
        ("email:lead@example.com", "FAILSOFT_SMTP_HOST"),
        ("webhook:desk", "FAILSOFT_WEBHOOKS"),
        ("pagerduty", "FAILSOFT_PAGERDUTY_ROUTING_KEY"),
        ("apprise:chat", "FAILSOFT_APPRISE"),
    ],
)
async def test_a_missing_setting_may_come_later(
    channel: str, variable: str, settings: Settings, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    settings.slack_token = settings.smtp_host = settings.pagerduty_routing_key = None
    settings.webhooks = {}
    async with bench_of(asking(channel)) as bench:
        await (await ask(bench, sandbox, "hi")).deliver()
        (row,) = await rows(bench)
        assert row["due_at"] is not None
        assert row["reason"].startswith(f"{variable} is not set")


async def test_a_message_of_no_known_kind_is_given_up(bench_of: BenchOf) -> None:
    async with bench_of(asking("log:x")) as bench:
        await bench.parts.store.outbox.post("log:x", {"kind": "spam"}, "key")
        await OutboxWorker(bench.parts.store, bench.parts.services).deliver()
        (row,) = await rows(bench)
        assert row["reason"] == "nobody delivers messages of the kind 'spam'"


async def test_a_question_that_is_answered_before_it_was_told_is_not_told(
    bench_of: BenchOf, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench_of(asking("slack:#desk", "email:lead@example.com")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        (review,) = await bench.parts.store.reviews.list()
        await bench.parts.store.reviews.answer(review.review_id, choice="ignore", by="ann")
        with caplog.at_level(logging.ERROR):
            await deliver_all(outbox)
        assert (messages(sandbox), sandbox.state()["mail"]) == ([], [])
        told = [row["reason"] for row in await rows(bench) if row["reason"]]
        assert told == ["the review is answered already"] * 2
        assert caplog.text == ""


async def test_a_slow_receiver_holds_up_no_other(bench_of: BenchOf, sandbox: Sandbox) -> None:
    async with bench_of(asking("slack:#desk", "email:lead@example.com")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults({"match": CHAT, "kind": "hold", "seconds": 1.5})
        delivery = asyncio.create_task(outbox.deliver())
        assert await asyncio.to_thread(sandbox.wait_executed, "SMTP DATA")
        assert not delivery.done()
        await delivery


async def test_what_is_going_out_when_the_worker_stops_does_not_go_out_again(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults({"match": CHAT, "kind": "hold", "seconds": 0.5})
        delivering = asyncio.create_task(outbox.deliver())
        assert await asyncio.to_thread(sandbox.wait_executed, CHAT)
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        assert await bench.parts.store.outbox.pending() == 0
        assert len(messages(sandbox)) == 1


async def test_who_refuses_us_now_may_take_it_a_little_later(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        body = {"ok": False, "error": "token_expired"}
        sandbox.faults({"match": CHAT, "kind": "status", "status": 200, "body": body, "times": 2})
        await deliver_all(outbox)
        assert len(messages(sandbox)) == 1


async def test_a_delivery_ends_before_somebody_else_may_take_it(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        outbox.lease = 0.5
        sandbox.faults({"match": CHAT, "kind": "latency", "seconds": 1.5})
        await outbox.deliver()
        (row,) = await rows(bench)
        assert (row["attempts"], row["reason"]) == (1, "not delivered within its lease")


@ODD_IMPORT
async def test_no_secret_of_a_channel_is_in_a_reason_or_a_log_line(
    settings: Settings, bench_of: BenchOf, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = reachable(settings, sandbox)
    async with bench_of(asking(*EVERYWHERE)) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults(
            REFUSED | {"body": {"ok": False, "error": "invalid_auth"}},
            {"match": "SMTP RCPT", "kind": "status", "status": 550},
            {"match": "POST /hooks/*", "kind": "status", "status": 403},
        )
        with caplog.at_level(logging.DEBUG):
            await outbox.deliver()
        said = [row["reason"] for row in await rows(bench)]
        assert len([reason for reason in said if reason]) == len(EVERYWHERE)
        shown = f"{said} {caplog.text}"
        assert not [secret for secret in secrets if secret in shown]


async def test_two_workers_deliver_each_notice_once(
    bench_of: BenchOf, sandbox: Sandbox, database: Database
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        for text in ("one", "two", "three"):
            await ask(bench, sandbox, text)
        workers: list[Any] = [
            OutboxWorker(Store.of(database), bench.parts.services) for _ in range(4)
        ]
        await asyncio.gather(*(worker.deliver() for worker in workers))
        assert len(messages(sandbox)) == 3
