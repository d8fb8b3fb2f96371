"""A user interface for LangChain's Agent Inbox can show our questions and answer them.

The shapes are those of `langgraph.prebuilt.interrupt`; the checks are those of the Agent Inbox
itself (langchain-ai/agent-inbox, `utils/schema-validation.ts`). Everything goes through LangGraph's
own API: no lease, no review row, no failsoft worker.
"""

from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt.interrupt import HumanInterrupt, HumanResponse
from langgraph.types import Command
from pydantic import TypeAdapter

from failsoft.errors import RefusedError
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.inbox import answer_of, human_interrupt
from failsoft.nodes.state import Json, RunState

TEXT = "Please  close my account.\n-- \nAnn"
INTERRUPTS = TypeAdapter(list[HumanInterrupt])
RESPONSES = TypeAdapter(list[HumanResponse])
REQUEST: Json = {"project": "SUP", "summary": "x"}

App = CompiledStateGraph[Any, Any, Any, Any]


class Inbox:
    """What the Agent Inbox does with a thread."""

    def __init__(self, graph: ResilientGraph) -> None:
        self.app: App = graph.compile(checkpointer=InMemorySaver())
        self.config: Any = {"configurable": {"thread_id": str(uuid4())}}

    async def begin(self) -> HumanInterrupt:
        event = {"key": "k", "source": "test", "text": TEXT}
        await self.app.ainvoke({"event": event}, self.config)
        return await self.question()

    async def question(self) -> HumanInterrupt:
        (interrupt,) = (await self.app.aget_state(self.config)).interrupts
        (question,) = INTERRUPTS.validate_python(interrupt.value)
        return question

    async def answer(self, response: Any) -> Any:
        given = RESPONSES.validate_python([response])
        return await self.app.ainvoke(Command(resume=given), self.config)


async def broken(_: RunState) -> str:
    raise RefusedError("no such customer")


def approval() -> ResilientGraph:
    graph = ResilientGraph("approval")
    graph.add_human("boss")
    graph.add_tool("after", lambda _: "went on")
    return graph.add_path(START, "boss", "after", END)


def lookup() -> ResilientGraph:
    graph = ResilientGraph("lookup").add_tool("find", broken)
    return graph.add_path(START, "find", END)


async def test_a_question_has_the_shape_that_the_agent_inbox_reads() -> None:
    question = await Inbox(approval()).begin()
    assert question["action_request"] == {"action": "boss", "args": {}}
    assert question["config"] == {
        "allow_accept": True, "allow_edit": False, "allow_respond": False, "allow_ignore": True,
    }  # fmt: skip
    assert TEXT in str(question["description"])


async def test_the_reason_and_the_text_stand_in_the_description_verbatim() -> None:
    question = await Inbox(lookup()).begin()
    assert question["description"] == f"no such customer\n\n{TEXT}"


def test_what_would_be_written_stands_in_the_arguments() -> None:
    question = {"request": REQUEST, "text": TEXT, "reason": "refused"}
    shown = human_interrupt(question, ["edit", "ignore"], node="open", review_id="r")
    assert shown["action_request"] == {"action": "open", "args": {"request": REQUEST}}
    assert shown["config"]["allow_edit"]


async def test_accept_goes_on() -> None:
    inbox = Inbox(approval())
    await inbox.begin()
    state = await inbox.answer({"type": "accept", "args": None})
    assert state["tool"]["after"]["result"] == "went on"
    assert state["review"]["boss"]["choice"] == "accept"


async def test_ignore_ends_the_run() -> None:
    inbox = Inbox(approval())
    await inbox.begin()
    state = await inbox.answer({"type": "ignore", "args": None})
    assert state["status"] == "ignored"
    assert "after" not in state["tool"]


async def test_a_response_is_taken_for_the_result() -> None:
    inbox = Inbox(lookup())
    await inbox.begin()
    state = await inbox.answer({"type": "response", "args": "customer 12"})
    assert state["tool"]["find"]["result"] == "customer 12"


@pytest.mark.parametrize("kind", ["accept", "edit"])
async def test_an_answer_that_the_question_does_not_allow_is_asked_again(kind: str) -> None:
    inbox = Inbox(lookup())
    first = await inbox.begin()
    given = {"action": "find", "args": {}} if kind == "edit" else None
    state = await inbox.answer({"type": kind, "args": given})
    assert "result" not in state["tool"]["find"]
    assert await inbox.question() == first


@pytest.mark.parametrize("given", [None, {}, "", [], 7, [{}, {}], {"type": "delete"}])
async def test_an_answer_that_is_none_is_asked_again(given: object) -> None:
    inbox = Inbox(approval())
    first = await inbox.begin()
    pending = (await inbox.app.aget_state(inbox.config)).interrupts[0].id
    await inbox.app.ainvoke(Command(resume={pending: given}), inbox.config)
    assert await inbox.question() == first


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ({"type": "accept", "args": None}, {"choice": "accept", "value": None}),
        ({"type": "response", "args": "bug"}, {"choice": "respond", "value": "bug"}),
        ({"type": "retry", "args": None}, {"choice": "retry", "value": None}),
        (
            {"type": "edit", "args": {"action": "open", "args": {"request": REQUEST}}},
            {"choice": "edit", "value": REQUEST},
        ),
    ],
)
def test_a_response_means_what_our_own_answers_mean(response: Json, answer: Json) -> None:
    assert answer_of([response]) == answer
    assert answer_of(response) == answer
    assert answer_of(answer) == answer
