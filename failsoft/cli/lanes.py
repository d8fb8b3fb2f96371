"""Which version of an agent's graph drives its runs, and `failsoft runs move`."""

import asyncio
from typing import Any

import click

from failsoft.checkpoints.database import connect
from failsoft.checkpoints.store import Store
from failsoft.cli.table import confirm, show_facts, show_json
from failsoft.settings import load_settings


def present_lane(agent: str) -> str | None:
    """Return the lane of a shipped agent as it is now; None for one whose module is not known."""
    from failsoft.agents.load import SHIPPED, load_graph  # noqa: PLC0415  # heavy: LangGraph

    return load_graph(agent).lane if agent in SHIPPED else None


@click.command()
@click.argument("agent")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def move(agent: str, *, yes: bool, as_json: bool) -> None:
    """Let waiting and dead runs of older versions of AGENT go on by its present graph.

    AGENT is a shipped name (slack-jira) or package.module:attribute. A run goes on at the node that
    it stands at, by name: move runs only if the new graph still has it. The workers of the old
    version should be stopped first.
    """
    facts = asyncio.run(_move(agent, yes=yes))
    if as_json:
        show_json(facts)
    else:
        show_facts(facts)


async def _move(name: str, *, yes: bool) -> dict[str, Any]:
    from failsoft.agents.load import load_graph  # noqa: PLC0415

    graph = load_graph(name)
    async with connect(load_settings()) as database:
        runs = Store.of(database).runs
        confirm(f"Move all waiting and dead runs of {graph.agent} to {graph.lane}?", yes=yes)
        moved = await runs.move(graph.agent, graph.lane)
        await runs.ring()
        return {"agent": graph.agent, "lane": graph.lane, "moved": moved}
