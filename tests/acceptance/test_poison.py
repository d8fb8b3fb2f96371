"""One run that kills whatever drives it is put aside, and its neighbours do not suffer."""

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from failsoft.agents.load import load_graph

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

NEIGHBOURS = 30
POISON = "poison"
AGENT = '''
"""An agent whose tool dies of one text."""

import os
import signal

from failsoft.connectors.jira import Jira
from failsoft.graphs.resilient_graph import END, START, ResilientGraph


async def look(state):
    if "poison" in state["event"]["text"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"seen": True}


def ticket_for(state):
    return {
        "project": "OPS", "issue_type": "Bug", "summary": "A message", "labels": [],
        "description": state["event"]["text"], "components": [], "assignee": None,
        "priority": None,
    }


graph = ResilientGraph("fragile")
graph.add_tool("look", look)
graph.add_write("create_ticket", Jira.create_issue, request=ticket_for)
graph.add_path(START, "look", "create_ticket", END)
'''


@pytest.mark.timeout(150)
async def test_one_poison_run_is_dead_and_listed_and_thirty_neighbours_are_done(
    station: "Station", monkeypatch: pytest.MonkeyPatch
) -> None:
    (station.folder / "fragile.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(station.folder))
    lane = load_graph("fragile:graph").lane
    station.agents = ["fragile:graph"]
    station.options["FAILSOFT_CONCURRENCY"] = "2"
    texts = ["all is well"] * NEIGHBOURS
    texts.insert(NEIGHBOURS // 2, POISON)
    admitted = {text: await station.admit(text, lane=lane) for text in texts}
    kills = 0

    async def ended() -> bool:
        nonlocal kills
        kills += station.forget_dead_workers()
        if not station.workers:
            station.fork_worker()
        states = await station.states()
        return states["dead"] + states["done"] == NEIGHBOURS + 1

    await station.until(ended, "every run is done or dead", seconds=100)
    states = await station.states()
    assert (states["dead"], states["done"]) == (1, NEIGHBOURS)
    assert kills >= 2
    assert len(await station.tickets()) == NEIGHBOURS
    listed = subprocess.run(  # noqa: ASYNC221 - nothing else happens meanwhile
        [sys.executable, "-m", "failsoft.cli.main", "dead", "list", "--json"],
        env=os.environ | station.environment, capture_output=True, check=True,
    )  # fmt: skip
    (dead,) = json.loads(listed.stdout)
    assert dead["run_id"] == str(admitted[POISON][0])
    assert dead["reason"]
    await station.chains_verify()
