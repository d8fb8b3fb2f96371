"""failsoft graph: the picture of an agent, drawn here, without a network."""

from typing import TYPE_CHECKING, Any

import click

from failsoft.cli.table import show_json
from failsoft.errors import UsageError

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph

NAMES = {"__start__": "START", "__end__": "END"}


@click.command("graph")
@click.argument("agent")
@click.option("--mermaid", is_flag=True, help="Mermaid text, for README files and pull requests.")
@click.option("--ascii", "plain", is_flag=True, help="Each node and where it may go (the default).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(agent: str, *, mermaid: bool, plain: bool, as_json: bool) -> None:
    """Draw AGENT's graph with all its failure nodes.

    AGENT is a shipped name (slack-jira) or package.module:attribute.
    """
    if mermaid + plain + as_json > 1:
        raise UsageError("Choose one of --mermaid, --ascii and --json.")
    from failsoft.agents.load import load_graph  # noqa: PLC0415  # heavy: LangGraph

    resilient = load_graph(agent)
    drawn = resilient.compile().get_graph()
    if as_json:
        show_json({"agent": resilient.agent, "lane": resilient.lane, **as_data(drawn)})
    elif mermaid:
        click.echo(drawn.draw_mermaid(), nl=False)
    else:
        click.echo(f"{resilient.lane}\n{as_text(drawn)}")


def as_text(graph: "Graph") -> str:
    """Return each node with the nodes where it may go."""
    width = max(len(_name(node)) for node in graph.nodes)
    lines = []
    for node in graph.nodes:
        ends = [_name(edge.target) for edge in graph.edges if edge.source == node]
        if ends:
            lines.append(f"  {_name(node):<{width}} -> {', '.join(ends)}")
    return "\n".join(lines)


def as_data(graph: "Graph") -> dict[str, Any]:
    """Return nodes, edges and the Mermaid text."""
    return {
        "nodes": list(graph.nodes),
        "edges": [
            {"from": edge.source, "to": edge.target, "chosen": edge.conditional}
            for edge in graph.edges
        ],
        "mermaid": graph.draw_mermaid(),
    }


def _name(node: str) -> str:
    return NAMES.get(node, node)
