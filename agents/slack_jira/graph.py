"""Slack → Jira: classify the message, open one ticket, answer in the thread."""

from pathlib import Path

from failsoft.agents.slack_jira.requests import ROUTES, reaction_for, reply_for, ticket_for
from failsoft.connectors.jira import Jira
from failsoft.connectors.slack import Slack
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.classify import Classify
from failsoft.nodes.keywords import Keywords
from failsoft.nodes.policy import Budget, Retry, hours

HERE = Path(__file__).parent


def build_graph() -> ResilientGraph:
    """Pure: no I/O but its own data files, no clients, no settings."""
    graph = ResilientGraph(
        "slack-jira",
        retry=Retry(attempts=5),
        budget=Budget(llm_calls=6, tokens=20_000, usd=0.02, steps=60),
        checks=ROUTES.checks,
    )
    classify = Classify.load(HERE, min_confidence=0.7, reprompts=2)
    graph.add_classifier("classify", classify, fallback=Keywords.load(HERE))
    graph.add_write("create_ticket", Jira.create_issue, request=ticket_for)
    graph.add_write("reply", Slack.reply, request=reply_for, required=False)
    graph.add_write("mark", Slack.react, request=reaction_for, required=False)
    graph.add_human(
        "triage", via=["slack:#triage-review"], deadline=hours(4), escalate=["log:support-lead"]
    )
    graph.add_path(START, "classify", "create_ticket", "reply", "mark", END)
    return graph


graph = build_graph().compile()  # no checkpointer: `langgraph dev` and Studio load this object
