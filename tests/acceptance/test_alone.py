"""What drives a suspect alone ends with the worker that started it."""

from typing import TYPE_CHECKING

import pytest

from failsoft.agents.load import load_graph
from tests.acceptance.conftest import alive

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

AGENT = '''
"""An agent whose tool takes for ever."""

import asyncio

from failsoft.graphs.resilient_graph import END, START, ResilientGraph


async def look(state):
    await asyncio.sleep(3600)


graph = ResilientGraph("slow")
graph.add_tool("look", look, timeout=3600)
graph.add_path(START, "look", END)
'''


async def test_a_suspects_process_ends_when_its_worker_is_killed(
    station: "Station", monkeypatch: pytest.MonkeyPatch
) -> None:
    (station.folder / "slow.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(station.folder))
    station.agents = ["slow:graph"]
    run_id, _ = await station.admit("a suspect", lane=load_graph("slow:graph").lane)
    await station.database.all("UPDATE runs SET crash_count = 2")
    worker = station.fork_worker()
    pids: list[int] = []

    async def driven() -> bool:
        run = await station.store.runs.get(run_id)
        live = {row["worker_id"]: row["name"] for row in await station.store.workers.live()}
        pids[:] = (
            [int(live[run["worker_id"]].rpartition(":")[2])] if run["worker_id"] in live else []
        )
        return bool(pids)

    await station.until(driven, "the suspect is driven")
    assert pids != [worker]
    await station.kill(worker)

    async def ended() -> bool:
        return not alive(pids[0])

    await station.until(ended, "its process ends", seconds=15)
    run = await station.store.runs.get(run_id)
    assert (run["state"], run["alone_crashes"]) == ("queued", 0)  # given back: it was no crash
