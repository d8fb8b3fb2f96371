"""A write that is refused after others were done: they are taken back, or a person is asked."""

from typing import Any

import pytest
from langgraph.types import Command, Send

from failsoft.checkpoints.runs import RunState
from failsoft.connectors.jira import Jira
from failsoft.connectors.slack import Slack
from failsoft.errors import InvalidGraphError
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.policy import Refusal, Retry
from failsoft.nodes.state import BranchOutput, Json
from failsoft.nodes.state import RunState as State
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf

POST = "POST /jira/rest/api/3/issue"
REFUSED = {"match": POST, "kind": "status", "status": 400}


def ticket(state: State) -> Json:
    return {
        "project": "OPS", "issue_type": "Bug", "summary": state.get("item", "x"),
        "description": "x", "labels": [], "components": [], "assignee": None, "priority": None,
    }  # fmt: skip


def say(words: str) -> Any:
    """Make a request that says so in the channel, and for which item."""

    def request(state: State) -> Json:
        return {"channel": "C0TRIAGE", "text": f"{words} {state.get('item', '')}".strip()}

    return request


def take_back(name: str) -> Any:
    """Make a request that needs what the first write gave."""

    def request(state: State) -> Json:
        key = f"{name}/{state['item']}" if "item" in state else name
        done = state["tool"][key]["result"]
        return {**say(f"no {name}")(state), "text": f"no {key} at {bool(done['ts'])}"}

    return request


def fill(graph: ResilientGraph) -> ResilientGraph:
    graph.add_write("first", Slack.post, request=say("first"), compensate="no_first")
    graph.add_write("second", Slack.post, request=say("second"), compensate="no_second")
    graph.add_write("third", Jira.create_issue, request=ticket)
    graph.add_write("no_first", Slack.post, request=take_back("first"))
    graph.add_write("no_second", Slack.post, request=take_back("second"))
    return graph.add_path(START, "first", "second", "third", END)


def saga(refusal: Refusal = Refusal.ASK, **options: Any) -> ResilientGraph:
    return fill(ResilientGraph("saga", refusal=refusal, **options))


def said(sandbox: Sandbox) -> list[str]:
    return [message["text"] for message in sandbox.state()["slack"]["messages"]]


DONE = ["first", "second"]
UNDONE = [*DONE, "no second at True", "no first at True"]


async def test_by_policy_what_was_done_is_taken_back_the_latest_first(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(REFUSED)
    async with bench_of(saga(Refusal.UNDO)) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert (rest.state, rest.outcome) == (RunState.DONE, "undone")
        assert said(sandbox) == UNDONE
        assert sandbox.issues() == []


async def test_nothing_is_taken_back_when_nothing_is_refused(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    async with bench_of(saga(Refusal.UNDO)) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert (rest.state, rest.outcome) == (RunState.DONE, "done")
        assert said(sandbox) == DONE


async def test_a_person_says_undo(bench_of: BenchOf, sandbox: Sandbox) -> None:
    sandbox.faults(REFUSED)
    async with bench_of(saga()) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        review = await bench.review(run_id)
        assert review.allowed == ["undo", "edit", "retry", "accept"]
        assert review.question["request"]["project"] == "OPS"
        rest = await bench.answer(run_id, "undo")
        assert (rest.state, rest.outcome) == (RunState.DONE, "undone")
        assert said(sandbox) == UNDONE


async def test_a_person_mends_the_refused_write(bench_of: BenchOf, sandbox: Sandbox) -> None:
    sandbox.faults({**REFUSED, "nth": [1]})
    async with bench_of(saga()) as bench:
        run_id = await bench.admit()
        await bench.drive_on(run_id)
        edited = {**(await bench.review(run_id)).question["request"], "summary": "mended"}
        assert (await bench.answer(run_id, "edit", edited)).outcome == "done"
        assert [issue["fields"]["summary"] for issue in sandbox.issues()] == ["mended"]
        assert said(sandbox) == DONE


async def test_a_person_leaves_it_as_it_is(bench_of: BenchOf, sandbox: Sandbox) -> None:
    sandbox.faults(REFUSED)
    async with bench_of(saga()) as bench:
        run_id = await bench.admit()
        await bench.drive_on(run_id)
        rest = await bench.answer(run_id, "accept")
        assert (rest.state, rest.outcome) == (RunState.DONE, "done")
        assert rest.value["tool"]["third"]["skipped"] == "left as it is, as a person said"
        assert said(sandbox) == DONE


async def test_a_mended_write_that_is_refused_again_can_still_be_undone(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(REFUSED)
    async with bench_of(saga()) as bench:
        run_id = await bench.admit()
        await bench.drive_on(run_id)
        edited = {**(await bench.review(run_id)).question["request"], "summary": "mended"}
        assert (await bench.answer(run_id, "edit", edited)).reason == "person"
        assert (await bench.answer(run_id, "undo")).outcome == "undone"
        assert said(sandbox) == UNDONE


async def test_the_first_write_has_nothing_before_it_to_undo(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    graph = ResilientGraph("saga", refusal=Refusal.UNDO)
    graph.add_write("open", Jira.create_issue, request=ticket, compensate="close")
    graph.add_write("close", Slack.post, request=say("closed"))
    graph.add_path(START, "open", END)
    sandbox.faults(REFUSED)
    async with bench_of(graph) as bench:
        run_id = await bench.admit()
        await bench.drive_on(run_id)
        assert (await bench.review(run_id)).allowed == ["edit", "retry", "ignore"]


async def test_nothing_is_undone_beside_a_write_that_nobody_can_prove(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(
        {"match": POST, "kind": "drop_before"},
        {"match": "POST /jira/rest/api/3/issue/bulkfetch", "kind": "status", "status": 403},
    )
    async with bench_of(saga(Refusal.UNDO)) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        assert (await bench.review(run_id)).allowed == ["respond", "retry", "ignore"]
        assert said(sandbox) == DONE


async def test_spent_attempts_are_asked_about_and_can_be_undone(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    sandbox.faults(
        {"match": POST, "kind": "status", "status": 429, "headers": {"Retry-After": "0"}}
    )
    async with bench_of(saga(retry=Retry(attempts=2))) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        assert (await bench.review(run_id)).allowed == ["undo", "retry", "accept"]
        assert (await bench.answer(run_id, "undo")).outcome == "undone"
        assert said(sandbox) == UNDONE


async def test_an_undo_that_is_refused_is_asked_about_and_the_others_follow(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    missing = {"match": "POST /slack/api/chat.postMessage", "kind": "status", "status": 200,
               "body": {"ok": False, "error": "restricted_action"}, "nth": [3]}  # fmt: skip
    sandbox.faults(REFUSED, missing)
    async with bench_of(saga(Refusal.UNDO)) as bench:
        run_id = await bench.admit()
        assert (await bench.drive_on(run_id)).reason == "person"
        assert (await bench.review(run_id)).allowed == ["edit", "retry", "accept"]
        assert (await bench.answer(run_id, "accept")).outcome == "undone"
        assert said(sandbox) == [*DONE, "no first at True"]


async def test_each_branch_takes_back_its_own(bench_of: BenchOf, sandbox: Sandbox) -> None:
    """The refused write of a branch was held and tried again first: it still knows the others."""
    branch = ResilientGraph(
        "branch", refusal=Refusal.UNDO, input_schema=State, output_schema=BranchOutput
    )
    graph = nested(fill(branch).compile())
    limited = {"match": POST, "kind": "status", "status": 429, "headers": {"Retry-After": "0"}}
    sandbox.faults({**limited, "nth": [1, 2]}, {**REFUSED, "nth": [3]})
    async with bench_of(graph) as bench:
        rest = await bench.drive_on(await bench.admit())
        assert rest.state is RunState.DONE
        (kept,) = [issue["fields"]["summary"] for issue in sandbox.issues()]
        other = "b" if kept == "a" else "a"
        undone = [words for words in said(sandbox) if words.startswith("no")]
        assert undone == [f"no second/{other} at True", f"no first/{other} at True"]


def nested(branch: Any) -> ResilientGraph:
    async def split(state: State) -> Command[Any]:
        sent = [Send("branch", {"event": state["event"], "item": item}) for item in ("a", "b")]
        return Command(goto=sent)

    graph = ResilientGraph("nested")
    graph.add_node("split", split, destinations=("branch",))
    graph.add_node("branch", branch)
    return graph.add_path(START, "split").add_path("branch", END)


async def test_items_of_one_node_are_taken_back_one_by_one(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    def each(node: str) -> Any:
        async def split(state: State) -> Command[Any]:
            return Command(goto=[Send(node, {**state, "item": item}) for item in ("a", "b")])

        return split

    graph = ResilientGraph("items", refusal=Refusal.UNDO, retry=Retry(attempts=5))
    graph.add_node("each", each("first"), destinations=("first",))
    graph.add_node("again", each("second"), destinations=("second",))
    graph.add_write("first", Slack.post, request=say("first"), compensate="no_first")
    graph.add_write("second", Jira.create_issue, request=ticket)
    graph.add_write("no_first", Slack.post, request=take_back("first"))
    graph.add_path(START, "each").add_path("first", "again").add_path("second", END)
    sandbox.faults({**REFUSED, "nth": [1]})
    async with bench_of(graph) as bench:
        assert (await bench.drive_on(await bench.admit())).state is RunState.DONE
        (kept,) = [issue["fields"]["summary"] for issue in sandbox.issues()]
        other = "b" if kept == "a" else "a"
        assert sorted(said(sandbox)) == ["first a", "first b", f"no first/{other} at True"]


def test_a_write_with_a_key_cannot_be_undone() -> None:
    with pytest.raises(InvalidGraphError, match="cannot be undone by `back`"):
        ResilientGraph("a").add_write(
            "pay", Slack.post, request=say("x"), key=lambda _: "1", compensate="back"
        )


def test_a_compensation_stands_in_no_path() -> None:
    graph = ResilientGraph("a")
    graph.add_write("pay", Slack.post, request=say("x"), compensate="back")
    graph.add_write("back", Slack.post, request=say("y"))
    graph.add_path(START, "pay", "back", "pay")
    with pytest.raises(InvalidGraphError, match="undone by `back`"):
        graph.compile()
