"""E-mail → Salesforce: sort the mail, open one case, thank the sender; a reply joins its case."""

from pathlib import Path

from failsoft.agents.email_salesforce.requests import (
    ROUTES,
    acknowledgement_for,
    case_for,
    email_for,
    has_case,
    route_for,
)
from failsoft.connectors.mail import Mail
from failsoft.connectors.salesforce import Salesforce
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.nodes.classify import Classify
from failsoft.nodes.keywords import Keywords
from failsoft.nodes.policy import Budget, Replies, Retry, hours

HERE = Path(__file__).parent
BUDGET = Budget(llm_calls=6, tokens=20_000, usd=0.02, steps=60)


def build_graph() -> ResilientGraph:
    """For organisations whose cases failsoft opens. Pure: no I/O, no clients, no settings."""
    graph = _sorting(ResilientGraph(
        "email-salesforce", retry=Retry(attempts=5), budget=BUDGET, replies=Replies.RUN,
        checks=ROUTES.checks,
    ))  # fmt: skip
    graph.add_thread("find_case", of="create_case")
    graph.add_write("create_case", Salesforce.create_case, request=case_for)
    graph.add_write("add_email", Salesforce.add_email, request=email_for)
    graph.add_write("acknowledge", Mail.send, request=acknowledgement_for, required=False)
    graph.add_node("join", lambda _: {})
    graph.add_conditional_edges("join", has_case, {True: "add_email", False: "classify"})
    graph.add_path(START, "find_case", "join")
    graph.add_path("classify", "create_case", "add_email", "acknowledge", END)
    return graph


def build_routing_graph() -> ResilientGraph:
    """For organisations that run Email-to-Case: the case is there, it only has to be routed."""
    graph = _sorting(ResilientGraph(
        "email-to-case", retry=Retry(attempts=5), budget=BUDGET, checks=ROUTES.checks,
    ))  # fmt: skip
    graph.add_write("route_case", Salesforce.route_case, request=route_for)
    return graph.add_path(START, "classify", "route_case", END)


def _sorting(graph: ResilientGraph) -> ResilientGraph:
    classify = Classify.load(HERE, min_confidence=0.7, reprompts=2)
    graph.add_classifier(
        "classify", classify, fallback=Keywords.load(HERE), otherwise="unclassified"
    )
    desk = {"via": ["slack:#support-review"], "escalate": ["log:support-lead"]}
    return graph.add_human("support", deadline=hours(4), **desk)


graph, routing_graph = build_graph().compile(), build_routing_graph().compile()
