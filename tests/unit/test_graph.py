"""The graph as a picture and as a set of rules: nothing is driven here."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from langgraph.graph import END, START

from failsoft.agents.load import load_graph
from failsoft.connectors.jira import Jira
from failsoft.errors import InvalidGraphError, UnknownAgentError, UsageError
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.nodes.classify import Classify
from failsoft.nodes.keywords import Keywords, Rule
from failsoft.nodes.state import Json, RunState
from failsoft.nodes.write import Write

AGENT = Path(__file__).parents[2] / "agents" / "slack_jira"


def ticket(_: RunState) -> Json:
    return {"project": "OPS"}


async def look(_: RunState) -> str:
    return "found"


def writing() -> ResilientGraph:
    graph = ResilientGraph("writing")
    graph.add_write("create", Jira.create_issue, request=ticket)
    graph.add_node("plain", lambda _: {})
    return graph


def drawn(graph: ResilientGraph) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in graph.compile().get_graph().edges}


def test_the_shipped_agent_shows_its_failure_nodes_and_their_edges() -> None:
    edges = drawn(load_graph("slack-jira"))
    assert {
        ("classify", "retry_tool"),
        ("classify", "fallback_classifier"),
        ("fallback_classifier", "notify_human"),
        ("create_ticket", "retry_tool"),
        ("create_ticket", "notify_human"),
        ("retry_tool", "wait"),
        ("retry_tool", "notify_human"),
        ("wait", "create_ticket"),
        ("notify_human", "create_ticket"),
    } <= edges


def test_the_picture_holds_exactly_what_the_verbs_may_do() -> None:
    graph = load_graph("slack-jira")
    graph.compile()
    allowed = {(name, end) for name, node in graph.nodes.items() for end in node.ends or ()}
    allowed |= graph.edges
    assert {(s, t) for s, t in drawn(graph)} == allowed


def test_a_second_tool_is_a_node_of_its_own() -> None:
    graph = ResilientGraph("tools").add_tool("find", look, fallback=look)
    graph.add_path(START, "find", END)
    edges = drawn(graph)
    assert {("find", "find_fallback"), ("retry_tool", "find_fallback")} <= edges
    assert ("find_fallback", END) in edges


@pytest.mark.parametrize(
    "join",
    [
        pytest.param(lambda g: g.add_edge("create", "plain"), id="edge"),
        pytest.param(lambda g: g.add_edge(["create"], "plain"), id="join"),
        pytest.param(
            lambda g: g.add_conditional_edges("create", lambda _: "plain", ["plain"]), id="branch"
        ),
    ],
)
def test_an_edge_out_of_a_verb_is_refused(join: Callable[[ResilientGraph], object]) -> None:
    graph = writing().add_path(START, "create", END)
    join(graph)
    with pytest.raises(InvalidGraphError, match="`create` is a verb"):
        graph.compile()


def test_a_verb_has_one_next() -> None:
    graph = writing().add_path(START, "create", "plain")
    graph.add_node("other", lambda _: {})
    with pytest.raises(InvalidGraphError, match="one next"):
        graph.add_path("create", "other")


@pytest.mark.parametrize("name", ["retry_tool", "wait", "notify_human", "fallback_classifier"])
def test_the_name_of_a_failure_node_is_taken(name: str) -> None:
    with pytest.raises(InvalidGraphError, match=name):
        ResilientGraph("own").add_tool(name, look)


def test_the_version_follows_the_topology_and_not_the_policy() -> None:
    one, two = writing(), writing()
    two.budget = type(two.budget)(steps=7)
    longer = writing().add_path(START, "create", "plain", END)
    assert one.add_path(START, "create", END).version == two.add_path(START, "create", END).version
    assert one.version != longer.version


def test_a_plain_graph_knows_none_of_the_failure_nodes() -> None:
    graph = ResilientGraph("plain")
    graph.add_node("plain", lambda _: {})
    assert set(graph.add_path(START, "plain", END).compile().get_graph().nodes) == {
        START, "plain", END,
    }  # fmt: skip


def test_the_shipped_agent_is_short() -> None:
    graph = (AGENT / "graph.py").read_text().splitlines()
    assert len([line for line in graph if line.strip()]) <= 48
    lines = sum(len(path.read_text().splitlines()) for path in AGENT.glob("*.py"))
    assert lines <= 120


def test_building_the_shipped_graph_needs_no_client_and_no_setting() -> None:
    tree = ast.parse((AGENT / "graph.py").read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"Settings", "load_settings", "Clients", "environ"}
    verbs = load_graph("slack-jira").verbs.values()
    assert [verb.name for verb in verbs if isinstance(verb, Write)] == [
        "create_ticket", "reply", "mark",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-agent", "Shipped: slack-jira"),
        ("no.such.module:graph", "no module"),
        ("failsoft.agents.slack_jira.graph:nothing", "no attribute"),
        ("failsoft.agents.slack_jira.graph:HERE", "not a ResilientGraph"),
    ],
)
def test_an_agent_that_cannot_be_found_is_named(name: str, said: str) -> None:
    with pytest.raises(UnknownAgentError, match=re.escape(said)):
        load_graph(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("import no_such_package_x\n", "no_such_package_x", id="missing package"),
        pytest.param("def graph():\n    raise ValueError('bad')\n", "bad", id="builder"),
        pytest.param(
            "from failsoft import START, END, ResilientGraph\n"
            "graph = ResilientGraph('x').add_path(START, 'nope', END).compile()\n",
            "nope",
            id="unknown node",
        ),
    ],
)
def test_an_agent_that_cannot_be_built_says_why(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"agent_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=said):
        load_graph(f"{name}:graph")


def test_a_keyword_rule_for_a_label_that_the_schema_lacks_is_refused() -> None:
    rules = Keywords([Rule(label="nonsense", words=("down",), in_order=True)])
    with pytest.raises(InvalidGraphError, match="nonsense"):
        ResilientGraph("a").add_classifier("classify", Classify.load(AGENT), fallback=rules)
