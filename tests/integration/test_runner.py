"""One run through a real graph, a real Postgres and a sandbox that misbehaves on demand."""

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import interrupt
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.runs import RunState
from failsoft.connectors.jira import Jira
from failsoft.connectors.slack import Slack
from failsoft.errors import RefusedError, TransientError
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.classify import Classify
from failsoft.nodes.keywords import Keywords
from failsoft.nodes.policy import Budget, Retry
from failsoft.nodes.state import Json
from failsoft.nodes.state import RunState as State
from failsoft.settings import Settings
from tests.conftest import Sandbox
from tests.integration.bench import LEASE, BenchOf, bench_for

POST = "POST /jira/rest/api/3/issue"
MODEL = "POST /v1/chat/completions"
AGENT = Path(__file__).parents[2] / "agents" / "slack_jira"


def ticket(state: State) -> Json:
    label = state.get("classification", {}).get("label", "none")
    return {
        "project": "OPS",
        "issue_type": "Bug",
        "summary": "It broke",
        "description": f"{label}: {state['event']['text']}",
        "labels": [],
        "components": [],
        "assignee": None,
        "priority": None,
    }


def small_graph(**options: Any) -> ResilientGraph:
    graph = ResilientGraph("small", retry=options.pop("retry", Retry(attempts=3)), **options)
    return graph.add_write("create", Jira.create_issue, request=ticket).add_path(
        START, "create", END
    )


def classifying_graph(**options: Any) -> ResilientGraph:
    graph = ResilientGraph("sorting", **options)
    classify = Classify.load(AGENT, min_confidence=0.3)
    graph.add_classifier("classify", classify, fallback=Keywords.load(AGENT))
    graph.add_write("create", Jira.create_issue, request=ticket)
    return graph.add_path(START, "classify", "create", END)


async def test_a_run_classifies_writes_once_and_is_done(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(classifying_graph()) as bench:
        rest = await bench.drive(await bench.admit())
        assert rest.state is RunState.DONE
        assert rest.value["classification"]["source"] == "model"
        assert len(sandbox.issues()) == 1


async def test_a_malformed_answer_is_asked_again_with_what_was_wrong(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(
        {"match": MODEL, "kind": "content", "content": "prose", "nth": [1]},
        {"match": MODEL, "kind": "content", "content": "outside_enum", "nth": [2]},
    )
    async with bench_of(classifying_graph()) as bench:
        rest = await bench.drive(await bench.admit())
        assert rest.value["classification"]["source"] == "model"
        assert rest.value["tool"]["classify"]["reprompts"] == 2
        assert sandbox.state()["model"]["calls"] == 3


async def test_answers_that_stay_malformed_fall_to_the_keyword_rules(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": MODEL, "kind": "content", "content": "prose"})
    async with bench_of(classifying_graph()) as bench:
        rest = await bench.drive(await bench.admit("the whole site is down for everyone"))
        assert rest.value["classification"]["source"] == "keywords"
        assert rest.value["classification"]["label"] == "outage"
        assert len(sandbox.issues()) == 1


async def test_when_nobody_can_classify_a_person_does(bench_of: BenchOf, sandbox: Sandbox) -> None:
    sandbox.faults({"match": MODEL, "kind": "status", "status": 500})
    async with bench_of(classifying_graph(retry=Retry(attempts=2))) as bench:
        run_id = await bench.admit("qwertz")
        rest = await bench.drive_on(run_id)
        assert rest.state is RunState.PARKED
        review = await bench.review(run_id)
        assert review.question["text"] == "qwertz"
        assert "bug" in review.question["labels"]
        rest = await bench.answer(run_id, "respond", "bug")
        assert rest.state is RunState.DONE
        assert rest.value["classification"]["source"] == "person"
        assert len(sandbox.issues()) == 1


async def test_a_long_retry_after_parks_the_run_and_one_ticket_results(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(
        {"match": POST, "kind": "status", "status": 429, "headers": {"Retry-After": "3"},
         "nth": [1]}
    )  # fmt: skip
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit()
        rest = await bench.drive(run_id)
        assert (rest.state, rest.reason) == (RunState.PARKED, "timer")
        rest = await bench.drive_on(run_id)
        assert rest.state is RunState.DONE
        assert len(sandbox.issues()) == 1
        assert len(await bench.effects(run_id)) == 1


@pytest.mark.parametrize("kind", ["drop_after", "malformed", "truncate", "status_after"])
async def test_a_lost_answer_is_looked_for_and_not_sent_again(
    kind: str, bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": POST, "kind": kind, "nth": [1]})
    async with bench_of(small_graph()) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert rest.state is RunState.DONE
        assert rest.value["tool"]["create"]["result"]["key"] == "OPS-1"
        assert len(sandbox.issues()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "drop_before"}, id="never executed"),
        pytest.param({"kind": "late_commit", "seconds": 0.4}, id="executed later"),
        pytest.param({"kind": "status", "status": 503}, id="503"),
    ],
)
async def test_an_unknown_outcome_ends_as_one_ticket(
    fault: dict[str, Any], bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": POST, "nth": [1], **fault})
    async with bench_of(small_graph()) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert rest.state is RunState.DONE
        assert len(sandbox.issues()) == 1


async def test_a_refused_write_is_edited_by_a_person_and_sent_as_a_new_generation(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": POST, "kind": "status", "status": 400, "nth": [1]})
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).state is RunState.PARKED
        review = await bench.review(run_id)
        assert review.allowed == ["edit", "retry", "ignore"]
        edited = {**review.question["request"], "summary": "As the person says"}
        rest = await bench.answer(run_id, "edit", edited)
        assert rest.state is RunState.DONE
        assert [issue["fields"]["summary"] for issue in sandbox.issues()] == ["As the person says"]
        generations = [effect.generation for effect in await bench.effects(run_id)]
        assert generations == [1, 2]


async def test_spent_attempts_ask_a_person_whose_retry_starts_afresh(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    limited = {"status": 429, "headers": {"Retry-After": "0"}}
    sandbox.faults({"match": POST, "kind": "status", "nth": [1, 2], **limited})
    async with bench_of(small_graph(retry=Retry(attempts=2))) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        assert (await bench.review(run_id)).question["kind"] == "spent"
        rest = await bench.answer(run_id, "retry")
        assert rest.state is RunState.DONE
        assert len(sandbox.issues()) == 1


async def test_a_write_that_is_not_required_lets_the_run_go_on(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    request = {"channel": "XNOWHERE", "thread_ts": "1.0", "text": "hello"}
    other = ResilientGraph("replying")
    other.add_write("reply", Slack.reply, request=lambda _: request, required=False)
    other.add_write("create", Jira.create_issue, request=ticket)
    other.add_path(START, "reply", "create", END)
    async with bench_of(other) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert rest.state is RunState.DONE
        assert rest.value["tool"]["reply"]["skipped"] == "refused"
        assert len(sandbox.issues()) == 1


async def test_ignore_ends_the_run_and_says_so(bench_of: BenchOf, sandbox: Sandbox) -> None:
    sandbox.faults({"match": POST, "kind": "status", "status": 403})
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit()
        await bench.drive_on(run_id)
        rest = await bench.answer(run_id, "ignore")
        assert (rest.state, rest.outcome) == (RunState.DONE, "ignored")
        assert sandbox.issues() == []


async def test_a_tool_that_fails_falls_to_its_second_tool_then_to_a_person(
    bench_of: BenchOf,
) -> None:
    asked: list[str] = []

    async def first(_: State) -> str:
        asked.append("first")
        raise TransientError("away")

    async def second(_: State) -> str:
        asked.append("second")
        raise RefusedError("no such customer")

    graph = ResilientGraph("tools", retry=Retry(attempts=2))
    graph.add_tool("find", first, fallback=second).add_path(START, "find", END)
    async with bench_of(graph) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        assert asked == ["first", "first", "second"]
        rest = await bench.answer(run_id, "respond", {"customer": "c1"})
        assert rest.value["tool"]["find"]["result"] == {"customer": "c1"}


async def test_a_second_tool_leaves_its_result_where_the_first_would(bench_of: BenchOf) -> None:
    async def broken(_: State) -> str:
        raise ValueError("a bug is not mended by trying again")

    async def cached(_: State) -> Json:
        return {"customer": "from cache"}

    graph = ResilientGraph("tools")
    graph.add_tool("find", broken, fallback=cached).add_path(START, "find", END)
    async with bench_of(graph) as bench:
        rest = await bench.drive(await bench.admit())
        assert rest.state is RunState.DONE
        assert rest.value["tool"]["find"]["result"] == {"customer": "from cache"}


async def test_a_run_over_its_calls_degrades_to_the_rules(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": MODEL, "kind": "content", "content": "prose"})
    async with bench_of(classifying_graph(budget=Budget(llm_calls=1))) as bench:
        rest = await bench.drive_on(await bench.admit("the whole site is down for everyone"))
        assert rest.value["classification"]["source"] == "keywords"
        assert sandbox.state()["model"]["calls"] == 1


async def test_a_run_over_its_steps_asks_a_person(bench_of: BenchOf, sandbox: Sandbox) -> None:
    sandbox.faults({"match": MODEL, "kind": "content", "content": "prose"})
    async with bench_of(classifying_graph(budget=Budget(steps=2))) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        assert "2 steps" in (await bench.review(run_id)).question["reason"]


async def test_a_dry_run_writes_nothing(bench_of: BenchOf, sandbox: Sandbox) -> None:
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit(dry_run=True)
        rest = await bench.drive(run_id)
        assert rest.value["tool"]["create"]["result"]["dry_run"]["project"] == "OPS"
        assert sandbox.issues() == []
        assert await bench.effects(run_id) == []


async def test_a_users_own_interrupt_is_a_question_and_gets_the_value(bench_of: BenchOf) -> None:
    def plain(state: State) -> dict[str, Any]:
        return {"status": f"told {interrupt(state['event']['key'])}"}

    graph = ResilientGraph("asking")
    graph.add_node("plain", plain)
    graph.add_path(START, "plain", END)
    async with bench_of(graph) as bench:
        run_id = await bench.admit()
        assert (await bench.drive(run_id)).reason == "person"
        rest = await bench.answer(run_id, "respond", 7)
        assert rest.outcome == "told 7"


async def test_an_approval_step_waits_for_accept(bench_of: BenchOf, sandbox: Sandbox) -> None:
    graph = ResilientGraph("approving")
    graph.add_human("approve", via=["log:desk"])
    graph.add_write("create", Jira.create_issue, request=ticket)
    graph.add_path(START, "approve", "create", END)
    async with bench_of(graph) as bench:
        run_id = await bench.admit()
        assert (await bench.drive(run_id)).reason == "person"
        assert sandbox.issues() == []
        assert (await bench.answer(run_id, "accept")).state is RunState.DONE
        assert len(sandbox.issues()) == 1


async def test_a_cancelled_run_writes_nothing_more(bench_of: BenchOf, sandbox: Sandbox) -> None:
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit()
        claim = await bench.claim(run_id)
        assert await bench.parts.store.runs.cancel(run_id) is RunState.RUNNING
        assert (await bench.parts.runner.drive(claim)).state is RunState.CANCELLED
        assert sandbox.issues() == []


async def test_a_cancelled_run_first_decides_the_write_in_the_air(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": POST, "kind": "late_commit", "seconds": 0.4, "nth": [1]})
    async with bench_of(small_graph(retry=Retry(attempts=3, first=5.0))) as bench:
        run_id = await bench.admit()
        await bench.drive(run_id)
        assert await bench.parts.store.runs.cancel(run_id) is RunState.PARKED
        assert (await bench.drive_on(run_id)).state is RunState.CANCELLED
        (effect,) = await bench.effects(run_id)
        assert effect.state is EffectState.DONE
        assert len(sandbox.issues()) == 1


async def test_a_driver_whose_lease_was_taken_writes_nothing(
    bench_of: BenchOf, sandbox: Sandbox, database: Database
) -> None:
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit()
        old = await bench.claim(run_id)
        gone = await bench.parts.store.workers.register("successor", LEASE)
        async with database.transaction() as connection:
            await connection.execute(
                "UPDATE workers SET gone_at = now() WHERE worker_id <> %s", [gone]
            )
        await bench.parts.store.runs.expire(backoff=0)
        rest = await bench.parts.runner.drive(old)
        assert rest.state is None
        assert sandbox.issues() == []
        bench.worker_id = gone
        assert (await bench.drive(run_id)).state is RunState.DONE
        assert len(sandbox.issues()) == 1


async def test_a_durable_answer_of_the_model_is_not_asked_for_again(
    bench_of: BenchOf, sandbox: Sandbox, database: Database
) -> None:
    """Killed after the answer was settled and before the step was: the same question is known."""
    async with bench_of(classifying_graph()) as bench:
        run_id = await bench.admit()
        await bench.drive(run_id)
        async with database.transaction() as connection:
            for table in ("checkpoints", "checkpoint_writes", "checkpoint_blobs"):
                await connection.execute(SQL("DELETE FROM {}").format(Identifier(table)))
            await connection.execute("UPDATE runs SET state = 'queued', due_at = now()")
        rest = await bench.drive(run_id)
        assert rest.state is RunState.DONE
        assert sandbox.state()["model"]["calls"] == 1
        assert len(sandbox.issues()) == 1


async def test_an_undecidable_write_is_named_by_a_person(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    """Every look for it is refused, so nobody can prove anything: it is not sent again."""
    sandbox.faults(
        {"match": POST, "kind": "drop_after", "nth": [1]},
        {"match": "POST /jira/rest/api/3/issue/bulkfetch", "kind": "status", "status": 403},
    )
    async with bench_of(small_graph()) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        review = await bench.review(run_id)
        assert review.allowed == ["respond", "retry", "ignore"]
        rest = await bench.answer(run_id, "respond", "OPS-1")
        assert rest.state is RunState.DONE
        (effect,) = await bench.effects(run_id)
        assert (effect.state, effect.external_id) == (EffectState.DONE, "OPS-1")
        assert len(sandbox.issues()) == 1


async def test_secrets_are_in_no_checkpoint_trace_or_table(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    canary = "canary-7f3a91"
    secret = settings.model_copy(update={"jira_token": SecretStr(canary)})
    sandbox.faults({"match": POST, "kind": "status", "status": 401})
    async with bench_for(small_graph(), database, secret) as bench:
        await bench.drive_on(await bench.admit())
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        for table in [row["tablename"] for row in await cursor.fetchall()]:
            query = SQL("SELECT count(*) AS hits FROM {} t WHERE t::text LIKE %s")
            found = await connection.execute(query.format(Identifier(table)), [f"%{canary}%"])
            row = await found.fetchone()
            assert row == {"hits": 0}, table
    traces = "".join(path.read_text() for path in settings.home.rglob("*.jsonl"))
    assert traces
    assert canary not in traces
    assert json.dumps(canary) not in traces


async def test_a_plain_function_is_a_tool_too(bench_of: BenchOf) -> None:
    graph = ResilientGraph("tools")
    graph.add_tool("find", lambda state: {"length": len(state["event"]["text"])})
    graph.add_path(START, "find", END)
    async with bench_of(graph) as bench:
        rest = await bench.drive(await bench.admit("12345"))
        assert rest.value["tool"]["find"]["result"] == {"length": 5}


async def test_looking_for_a_write_is_no_attempt_to_write(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(
        {"match": POST, "kind": "drop_after", "nth": [1]},
        {
            "match": "POST /jira/rest/api/3/issue/bulkfetch",
            "kind": "status",
            "status": 503,
            "nth": [1, 2, 3],
        },
    )
    async with bench_of(small_graph(retry=Retry(attempts=1))) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert rest.state is RunState.DONE
        assert len(sandbox.issues()) == 1


async def test_a_retry_after_the_steps_are_spent_grants_them_anew(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": MODEL, "kind": "content", "content": "prose", "nth": [1]})
    async with bench_of(classifying_graph(budget=Budget(steps=1))) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        rest = await bench.answer(run_id, "retry")
        assert rest.value["classification"]["source"] == "model"


async def test_a_dry_run_asks_but_rings_at_nobodys_desk(bench_of: BenchOf) -> None:
    graph = ResilientGraph("approving").add_human("approve", via=["slack:#desk"])
    graph.add_write("create", Jira.create_issue, request=ticket)
    async with bench_of(graph.add_path(START, "approve", "create", END)) as bench:
        assert (await bench.drive(await bench.admit(dry_run=True))).reason == "person"
        assert await bench.parts.store.outbox.pending() == 0


async def test_a_write_that_was_never_claimed_shows_its_request_to_the_person(
    bench_of: BenchOf,
) -> None:
    graph = ResilientGraph("lost")
    graph.add_write(
        "create", Jira.create_issue, request=lambda state: {**ticket(state), "project": ""}
    )
    async with bench_of(graph.add_path(START, "create", END)) as bench:
        run_id = await bench.admit()
        await bench.drive_on(run_id)
        assert (await bench.review(run_id)).question["request"]["issue_type"] == "Bug"


async def test_no_attempt_begins_after_the_deadline_of_a_retry(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    limited = {"status": 429, "headers": {"Retry-After": "5"}}
    sandbox.faults({"match": POST, "kind": "status", **limited})
    async with bench_of(small_graph(retry=Retry(attempts=9, deadline=1.0))) as bench:
        assert (await bench.drive(await bench.admit())).reason == "person"


async def test_a_value_that_postgres_refuses_makes_the_run_dead_and_not_the_database_away(
    bench_of: BenchOf,
) -> None:
    graph = ResilientGraph("nul")
    graph.add_node("plain", lambda state: {"status": f"{state['event']['key']}\x00"})
    async with bench_of(graph.add_path(START, "plain", END)) as bench:
        assert (await bench.drive(await bench.admit())).state is RunState.DEAD


async def test_two_questions_of_one_node_are_two_reviews(bench_of: BenchOf) -> None:
    def plain(state: State) -> dict[str, Any]:
        assert state["event"]
        return {"status": f"{interrupt('first?')} and {interrupt('second?')}"}

    graph = ResilientGraph("asking")
    graph.add_node("plain", plain)
    async with bench_of(graph.add_path(START, "plain", END)) as bench:
        run_id = await bench.admit()
        await bench.drive(run_id)
        assert (await bench.answer(run_id, "respond", "one")).reason == "person"
        assert (await bench.review(run_id)).question["value"] == "second?"
        assert (await bench.answer(run_id, "respond", "two")).outcome == "one and two"


async def test_a_second_model_is_asked_before_the_rules(
    bench_of: BenchOf, sandbox: Sandbox, settings: Settings
) -> None:
    sandbox.faults({"match": MODEL, "kind": "content", "content": "prose", "nth": [1, 2, 3]})
    settings.second_model = "openai:sandbox-keywords-b"
    async with bench_of(classifying_graph()) as bench:
        rest = await bench.drive(await bench.admit("bug: the app crashes with an error"))
        assert rest.value["classification"]["source"] == "model"
        assert rest.value["tool"]["classify"]["model"] == 1
        assert sandbox.state()["model"]["calls"] == 4


async def test_a_secret_that_a_tool_quotes_reaches_no_review_and_no_reason(
    database: Database, settings: Settings
) -> None:
    token = settings.jira_token
    assert token is not None

    def leaking(_: State) -> str:
        raise ValueError(f"GET https://crm.example/?key={token.get_secret_value()} failed")

    graph = ResilientGraph("leaking").add_tool("look", leaking).add_path(START, "look", END)
    async with bench_for(graph, database, settings) as bench:
        run_id = await bench.admit()
        assert (await bench.drive(run_id)).reason == "person"
        reason = str((await bench.review(run_id)).question["reason"])
        assert "crm.example" in reason
        assert token.get_secret_value() not in reason


async def test_a_request_that_cannot_be_made_asks_a_person(bench_of: BenchOf) -> None:
    def broken(state: State) -> Json:
        return {"ts": state["event"]["facts"]["ts"]}

    graph = ResilientGraph("broken").add_write("reply", Slack.reply, request=broken)
    async with bench_of(graph.add_path(START, "reply", END)) as bench:
        run_id = await bench.admit()
        assert (await bench.drive(run_id)).reason == "person"
        assert "KeyError" in (await bench.review(run_id)).question["reason"]
