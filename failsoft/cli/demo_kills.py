"""When the demo kills a worker: with runs in flight, two times of three at the worst moment."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.cli.demo_faults import hold
from failsoft.cli.demo_scenario import Scenario, Seen
from failsoft.cli.demo_workers import Crew
from failsoft.cli.demo_world import World
from failsoft.parsing import JSONObject

POLL = 0.03  # seconds between two looks
HELD = 1.5  # seconds that an answer is kept back: the caller would wait for 2 s
PATIENCE = 6.0  # seconds that a kill waits for its moment
DRIVEN = 100  # runs at once, more than all workers drive


@dataclass(kw_only=True)
class Killer:
    """Kills one worker at a time, when another one lives that will take its runs over."""

    scenario: Scenario[Any]  # Any: it delivers nothing here
    crew: Crew
    store: Store
    world: World
    faults: Sequence[JSONObject]  # those in force besides
    rng: random.Random
    at_worst: int = 0  # kills after a ticket or case was there, before anybody had recorded that

    async def strike(self) -> bool:
        """Kill one worker that drives runs; False when there was no moment for it in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                if self.crew.kills % 3 == 2:
                    await asyncio.sleep(self.rng.uniform(0.0, 0.5))
                    await self._anywhere()
                else:
                    await self._at_worst()
        except TimeoutError:
            return False
        return True

    async def wait_for_all(self) -> None:
        """Wait until all places are filled by workers that have registered."""
        while len(await self._workers()) < self.crew.size:  # noqa: ASYNC110  # in Postgres
            await asyncio.sleep(POLL)

    async def _anywhere(self) -> None:
        while True:
            driven = await self._driven()
            if driven:
                self.crew.kill(max(sorted(driven), key=lambda pid: len(driven[pid])))
                return
            await asyncio.sleep(POLL)

    async def _at_worst(self) -> None:
        """Kill the worker that waits for an answer about what is there already."""
        while True:
            seen = await hold_one(self.scenario, self.world, self.faults)
            there = {one.transaction_id for one in seen.made} if seen else set[str]()
            if (pid := await self._driver_of(there)) is not None:
                self.crew.kill(pid)
                self.at_worst += 1
                return

    async def _driver_of(self, there: set[str]) -> int | None:
        """Return the process that waits for an answer about one of the writes that are there."""
        for pid, runs in (await self._driven()).items():
            for run_no in runs:
                effects = await self.store.effects.of_run(run_no)
                waited = {
                    one.transaction_id for one in effects if one.state is EffectState.IN_FLIGHT
                }
                if waited & there:
                    return pid
        return None

    async def _driven(self) -> dict[int, list[int]]:
        """Return the numbers of the runs in flight, by process of ours."""
        workers = await self._workers()
        driven: dict[int, list[int]] = {}
        for run in await self.store.runs.list(state=RunState.RUNNING, limit=DRIVEN):
            if (pid := workers.get(run["worker_id"])) is not None:
                driven.setdefault(pid, []).append(run["run_no"])
        return driven

    async def _workers(self) -> dict[Any, int]:
        """Return our living processes by the worker that each registered last."""
        rows = await self.store.workers.live()
        pids = {row["worker_id"]: int(row["name"].rpartition(":")[2]) for row in rows}
        return {worker: pid for worker, pid in pids.items() if pid in self.crew.pids}


async def hold_one(
    scenario: Scenario[Any],  # Any: it delivers nothing here
    world: World,
    faults: Sequence[JSONObject],
) -> Seen | None:
    """Return what is there while the answer to the next creation is kept back.

    None: that one created nothing, as other faults would have it.
    """
    before = (await world.occurred()).get("hold", 0)
    await world.set_faults([*faults, hold(scenario.creation, HELD)])
    while (await world.occurred()).get("hold", 0) == before:  # noqa: ASYNC110  # in the sandbox
        await asyncio.sleep(POLL)
    state = await world.state()
    held = [one for one in state["requests"] if "hold" in one["faults"]][-1]
    return scenario.seen(state) if held["executed"] else None
