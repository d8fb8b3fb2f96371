"""A run that blocks the event loop ends its worker, so that it can be told from a busy one."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from failsoft.agents.load import load_graph
from failsoft.workers.heart import BLOCKED

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

AGENT = '''
"""An agent whose tool holds the whole process up."""

import time

from failsoft.graphs.resilient_graph import END, START, ResilientGraph


async def look(state):
    time.sleep(60)


graph = ResilientGraph("blocking").add_tool("look", look).add_path(START, "look", END)
'''


async def test_a_worker_whose_event_loop_stands_still_ends_and_its_run_is_taken_back(
    station: "Station", monkeypatch: pytest.MonkeyPatch
) -> None:
    (station.folder / "blocking.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(station.folder))
    admitted, _ = await station.admit("stand still", lane=load_graph("blocking:graph").lane)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "failsoft.cli.main", "worker", "blocking:graph"),
        env=os.environ | station.environment,
        cwd=station.folder,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(worker.wait(), 40) == BLOCKED
    row = await station.store.runs.get(admitted)
    assert row["state"] == "running"
    await station.store.workers.sweep()
    while not await station.store.runs.expire(backoff=0.0):
        await asyncio.sleep(0.2)
        await station.store.workers.sweep()
    assert (await station.store.runs.get(admitted))["crash_count"] == 1
