"""The control of the demo: a plain LangGraph graph, written as its documentation suggests.

Retries are RetryPolicy's, recovery is the checkpointer's: a thread that was interrupted is invoked
again and goes on at the node that had not finished. Nothing asks whether that node's call had
been executed. Run as a module it is the worker: it handles a file of deliveries, eight at once,
and ends with 0 when all of them are handled.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict

import failsoft.agents.slack_jira
from failsoft.agents.slack_jira.requests import ROUTES
from failsoft.connectors import adf
from failsoft.connectors.contract import Done, Failed
from failsoft.connectors.jira import Jira
from failsoft.connectors.models import ChatModel
from failsoft.errors import FailsoftError, InvalidOutputError, RefusedError, TransientError
from failsoft.events import Event
from failsoft.intake.slack import normalise
from failsoft.nodes.prompt import Prompt
from failsoft.parsing import JSONObject
from failsoft.sandbox.messages import BOT
from failsoft.settings import Settings, load_settings

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

RETRY = RetryPolicy(
    initial_interval=0.2, max_interval=2.0, max_attempts=5,
    retry_on=(TransientError, InvalidOutputError),
)  # fmt: skip
AT_ONCE = 8
SUMMARY = 200  # characters

App = CompiledStateGraph[Any, Any, Any, Any]


class Naive(TypedDict, total=False):
    """The state of a thread."""

    text: str
    origin: str
    label: str
    ticket: str


def build(
    settings: Settings, jira: Jira, model: ChatModel
) -> StateGraph[Naive, None, Naive, Naive]:
    """Classify, then create a ticket."""
    prompt = Prompt.load(Path(failsoft.agents.slack_jira.__path__[0]))

    async def classify(state: Naive) -> Naive:
        messages = prompt.messages(state["text"], reprompts=0, complaint="")
        answer = await model.ask(messages, within=settings.timing.model)
        return {"label": str(prompt.read(answer.text)["label"])}

    async def create_ticket(state: Naive) -> Naive:
        route = ROUTES[state["label"]]
        fields: JSONObject = {
            "project": {"key": route.project},
            "issuetype": {"name": route.issue_type},
            "summary": adf.one_line(state["text"], SUMMARY),
            "description": adf.document(f"{state['text'][:SUMMARY]}\n\n{state['origin']}"),
        }
        outcome = await jira.create({"fields": fields}, within=settings.timing.send)
        match outcome:
            case Done(external_id=key):
                return {"ticket": key}
            case Failed(reason=reason):
                raise RefusedError(reason)
            case _:
                raise TransientError(outcome.reason)

    graph = StateGraph(Naive)
    graph.add_node("classify", classify, retry_policy=RETRY)
    graph.add_node("create_ticket", create_ticket, retry_policy=RETRY)
    graph.add_edge(START, "classify")
    graph.add_edge("classify", "create_ticket")
    graph.add_edge("create_ticket", END)
    return graph


async def handle(app: App, event_id: str, event: Event) -> None:
    """Start the thread of an event, or go on with it; a finished one is left alone."""
    config: RunnableConfig = {"configurable": {"thread_id": event_id}}
    state = await app.aget_state(config)
    if state.created_at is None:
        await app.ainvoke({"text": event.text, "origin": event_id}, config, durability="sync")
    elif state.next:
        await app.ainvoke(None, config, durability="sync")


async def work(payloads: dict[str, JSONObject]) -> None:
    """Handle every delivery once by its event id, as most receivers of Slack do."""
    settings = load_settings()
    if settings.dsn is None:
        raise RefusedError("The control needs FAILSOFT_DSN.")
    jira, model = Jira.from_settings(settings), ChatModel(str(settings.model), settings)
    places = asyncio.Semaphore(AT_ONCE)
    async with AsyncPostgresSaver.from_conn_string(settings.dsn.get_secret_value()) as saver:
        await saver.setup()
        app: App = build(settings, jira, model).compile(checkpointer=saver)

        async def one(event_id: str) -> None:
            event = normalise(payloads[event_id], own_bot_id=BOT)
            if isinstance(event, Event) and event.thread is None:
                async with places:
                    with contextlib.suppress(FailsoftError):  # given up after its retries
                        await handle(app, event_id, event)

        await asyncio.gather(*map(one, payloads))


if __name__ == "__main__":
    deliveries = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    asyncio.run(work({one["event_id"]: one for one in deliveries}))
