"""A question in Slack: within Slack's limits, never forged, changed when it is answered."""

import asyncio
import json
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.checkpoints.run_desk import RunDesk
from failsoft.connectors.slack import Slack
from failsoft.settings import Settings
from failsoft.workers.outbox import OutboxWorker
from failsoft.workers.slack_notice import notice
from tests.conftest import Sandbox
from tests.integration.bench import Bench, BenchOf
from tests.integration.desk import CHAT, ask, asking, deliver_all, messages
from tests.unit.test_notice import FORGED, ID, review

UPDATE = "POST /slack/api/chat.update"
NASTY = [
    pytest.param(FORGED, id="lines that look like ours"),
    pytest.param("<!channel> <@U1> <https://evil.example|ok> & *evil* `x` ```", id="mentions"),
    pytest.param("<&>" * 17_000, id="50 kB that all are escaped"),
    pytest.param("\n" * 50_000, id="50 kB of empty lines"),
    pytest.param("\U0001f600" * 20_000, id="50 kB of signs that count twice"),
    pytest.param("a\N{REPLACEMENT CHARACTER}b\x1b[2J\u202ekcab", id="control characters"),
    pytest.param("", id="nothing"),
]


def texts(blocks: list[Any]) -> list[str]:
    """Return all text of the blocks that Slack reads as its markup."""
    found = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    return found + [one["text"] for block in blocks if block["type"] == "context"
                    for one in block["elements"]]  # fmt: skip


def actions(blocks: list[Any]) -> list[Any]:
    return [one for block in blocks if block["type"] == "actions" for one in block["elements"]]


def size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("state", [ReviewState.OPEN, ReviewState.EXPIRED])
def test_a_notice_keeps_slacks_limits_and_quotes_what_comes_from_outside(
    text: str, state: ReviewState
) -> None:
    question = {"kind": "refused", "reason": text, "text": text, "request": {"x": text},
                "classification": {"summary": text}, "value": [text],
                "labels": ["bug", text or "x", "l" * 80]}  # fmt: skip
    asked = review(question=question, state=state, allowed=["respond", "edit", "ignore"])
    blocks: Any = notice(asked, None)["blocks"]

    for block in Block.parse_all(blocks):
        block.to_dict()  # slack_sdk checks it
    assert len(blocks) <= 50
    assert all(0 < size(one) <= 3_000 for one in texts(blocks))
    assert sum(map(size, texts(blocks))) < 13_000
    own = [one for one in texts(blocks) if not one.startswith(("> ", "```\n"))]
    assert not [one for one in own if "evil" in one or "<" in one]
    for quoted in (one for one in texts(blocks) if one.startswith("> ")):
        assert all(line.startswith("> ") for line in quoted.split("\n"))
        assert "<" not in quoted
    for code in (one for one in texts(blocks) if one.startswith("```\n")):
        assert code.count("`") == 6


def test_a_text_that_fits_is_quoted_verbatim_and_so_is_the_request() -> None:
    text = "first line, long: " + "word " * 900 + "\n\nlast <line> & more"
    request = {"description": "x\ny", "code": "`a`", "n": 1.5}
    blocks: Any = notice(review(question={"text": text, "request": request}), None)["blocks"]
    quoted = [one for one in texts(blocks) if one.startswith("> ")]
    shown = "".join(one.replace("\n> ", "\n").removeprefix("> ") for one in quoted)
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    (code,) = [one for one in texts(blocks) if one.startswith("```\n")]
    assert json.loads(code.strip("`\n")) == request
    assert not [one for one in texts(blocks) if "goes on" in one]


def test_what_is_cut_says_so() -> None:
    blocks: Any = notice(review(question={"text": "x" * 50_000}), None)["blocks"]
    assert f"It goes on: `failsoft reviews show {ID}`" in texts(blocks)


def test_each_answer_has_a_button_and_the_labels_a_list() -> None:
    asked = review(
        question={"text": "hi", "labels": ["bug", "sale", "l" * 80]},
        allowed=["accept", "respond", "edit", "retry", "undo", "ignore"],
    )
    (choice, *buttons) = actions(notice(asked, None)["blocks"])  # type: ignore[arg-type]
    assert choice["action_id"] == "failsoft_review:respond"
    values = [option["value"] for option in choice["options"]]
    assert values == [f"{ID}:respond:bug", f"{ID}:respond:sale"]
    assert [(one["action_id"], one["value"]) for one in buttons] == [
        (f"failsoft_review:{name}", f"{ID}:{name}")
        for name in ("accept", "edit", "retry", "undo", "ignore")
    ]


def test_a_free_answer_is_given_by_command() -> None:
    assert actions(notice(review(allowed=["respond"]), None)["blocks"]) == []  # type: ignore[arg-type]


def test_a_link_to_answer_is_there_where_somebody_serves_it() -> None:
    blocks: Any = notice(review(), "https://fs.example")["blocks"]
    assert f"<https://fs.example/reviews/{ID}|answer by HTTP>" in texts(blocks)[-1]


@pytest.mark.parametrize(
    ("by", "shown"),
    [
        ("slack:T1:U1", "by <@U1>"),
        ("slack:T1:<!channel>", "by slack:T1:&lt;!channel&gt;"),
        ("<@U1>", "by &lt;@U1&gt;"),
    ],
)
def test_only_who_answered_in_slack_is_mentioned(by: str, shown: str) -> None:
    done = review(state=ReviewState.ANSWERED, answer={"choice": "retry"}, answered_by=by)
    assert texts(notice(done, None)["blocks"])[-1].endswith(f"{shown}*")  # type: ignore[arg-type]


async def open_review(bench: Bench) -> Review:
    (found,) = await bench.parts.store.reviews.list()
    return found


async def answer(bench: Bench, choice: str = "ignore", by: str = "slack:T1:U1") -> None:
    asked = await open_review(bench)
    await bench.parts.store.reviews.answer(asked.review_id, choice=choice, by=by)


async def test_a_posted_notice_asks_and_after_the_answer_says_who_gave_it(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "the <checkout> is down")
        await outbox.deliver()
        (posted,) = messages(sandbox)
        assert "> the &lt;checkout&gt; is down" in texts(posted["blocks"])
        assert len(actions(posted["blocks"])) == 3
        await answer(bench)
        await deliver_all(outbox)
        (changed,) = messages(sandbox)
        assert changed["ts"] == posted["ts"]
        assert changed["metadata"] == posted["metadata"]
        assert "> the &lt;checkout&gt; is down" in texts(changed["blocks"])
        assert "*ignored by <@U1>*" in texts(changed["blocks"])
        assert actions(changed["blocks"]) == []


async def test_a_sign_that_no_database_takes_is_shown_as_another(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        await (await ask(bench, sandbox, "a\x00b")).deliver()
        assert "> a\N{REPLACEMENT CHARACTER}b" in texts(messages(sandbox)[0]["blocks"])


async def test_an_answer_while_the_notice_is_under_way_is_shown_all_the_same(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults({"match": CHAT, "kind": "hold", "seconds": 0.5})
        delivery = asyncio.create_task(outbox.deliver())
        assert await asyncio.to_thread(sandbox.wait_executed, CHAT)
        await answer(bench)
        await OutboxWorker(outbox.store, outbox.services).deliver()  # the change comes first
        await delivery
        await deliver_all(outbox)
        (shown,) = messages(sandbox)
        assert actions(shown["blocks"]) == []


async def test_a_notice_of_which_nobody_knows_is_found_by_the_channels_id(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:CDESK")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        sandbox.faults({"match": CHAT, "kind": "drop_after", "times": 1})
        await outbox.deliver()
        await answer(bench)
        await deliver_all(outbox)
        (shown,) = messages(sandbox)
        assert actions(shown["blocks"]) == []


async def test_the_id_of_a_named_channel_is_learnt_from_its_first_notice(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "one")
        await outbox.deliver()
        await ask(bench, sandbox, "two")
        sandbox.faults({"match": CHAT, "kind": "drop_after", "times": 1})
        await deliver_all(outbox)
        assert len(messages(sandbox)) == 2


async def test_a_channel_that_cannot_be_read_is_written_to_again(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:CDESK")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        refusal = {"ok": False, "error": "missing_scope"}
        sandbox.faults(
            {"match": CHAT, "kind": "drop_before", "nth": [1]},
            {"match": "GET /slack/*", "kind": "status", "status": 200, "body": refusal},
        )
        await deliver_all(outbox)
        assert len(messages(sandbox)) == 1


async def test_a_change_that_fails_is_made_later(bench_of: BenchOf, sandbox: Sandbox) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        await outbox.deliver()
        await answer(bench)
        sandbox.faults(
            {"match": UPDATE, "kind": "drop_before", "nth": [1]},
            {"match": UPDATE, "kind": "drop_after", "nth": [2]},
            {"match": UPDATE, "kind": "status", "status": 429, "nth": [3]},
        )
        await deliver_all(outbox)
        (shown,) = messages(sandbox)
        assert actions(shown["blocks"]) == []


async def test_a_deleted_message_ends_the_matter(
    bench_of: BenchOf, sandbox: Sandbox, database: Database
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        await outbox.deliver()
        await answer(bench)
        sandbox.reset()
        await deliver_all(outbox)
        [row] = await database.all("SELECT reason FROM outbox WHERE reason IS NOT NULL")
        assert row["reason"] == "Slack chat.update: message_not_found"


async def test_an_escalation_and_the_end_of_it_are_shown_where_the_question_stands(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    graph = asking("slack:#desk", deadline=0.3, escalate=("slack:#lead",))
    async with bench_of(graph) as bench:
        await (await ask(bench, sandbox, "hi")).deliver()
    async with bench_of(graph) as later:  # another process, which knows only the rows
        outbox = OutboxWorker(later.parts.store, later.parts.services)
        await asyncio.sleep(0.4)
        await later.parts.store.reviews.escalate()
        await deliver_all(outbox)
        desk, lead = messages(sandbox)
        assert any("the next desk was told too" in one for one in texts(desk["blocks"]))
        assert len(actions(desk["blocks"])) == len(actions(lead["blocks"])) == 3
        await asyncio.sleep(0.4)
        await later.parts.store.reviews.escalate()
        await deliver_all(outbox)
        for shown in messages(sandbox):
            assert "*closed without an answer*" in texts(shown["blocks"])
            assert actions(shown["blocks"]) == []


async def test_the_buttons_of_a_question_go_when_its_run_is_cancelled(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(asking("slack:#desk")) as bench:
        outbox = await ask(bench, sandbox, "hi")
        await deliver_all(outbox)
        (run,) = await bench.parts.store.runs.list()
        await RunDesk(bench.parts.store.runs.database).cancel(run["run_id"])
        await deliver_all(outbox)
        (shown,) = messages(sandbox)
        assert "*closed without an answer*" in texts(shown["blocks"])
        assert actions(shown["blocks"]) == []


async def test_of_two_changes_the_last_one_shows_the_last_state(
    bench_of: BenchOf, sandbox: Sandbox, database: Database
) -> None:
    async with bench_of(asking("slack:#desk", escalate=("log:x",))) as bench:
        outbox = await ask(bench, sandbox, "hi")
        await outbox.deliver()
        await database.all("UPDATE reviews SET escalate_at = now()")
        await bench.parts.store.reviews.escalate()
        sandbox.faults({"match": UPDATE, "kind": "latency", "seconds": 1, "nth": [1]})
        slow = asyncio.create_task(outbox.deliver())
        while not [one for one in sandbox.state()["requests"] if "update" in one["path"]]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await answer(bench)
        await deliver_all(OutboxWorker(outbox.store, outbox.services))
        await slow
        (shown,) = messages(sandbox)
        assert actions(shown["blocks"]) == []


async def test_an_update_changes_a_message_once_however_often_it_is_sent(
    settings: Settings, sandbox: Sandbox
) -> None:
    client = Slack.from_settings(settings)
    posted = await Slack.post.send(client, {"channel": "C1", "text": "a"}, "txn", within=2)
    request: Any = {**posted.response, "text": "b", "blocks": []}  # type: ignore[union-attr]
    for _ in range(2):
        assert (await Slack.update.send(client, request, "txn", within=2)) == posted
    await client.close()
    (message,) = messages(sandbox)
    assert message["text"] == "b"
