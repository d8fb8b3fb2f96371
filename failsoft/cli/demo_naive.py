"""The demo's control: the same faults and kills against a plain graph, to show that they bite."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from failsoft.cli.demo_account import keys_of
from failsoft.cli.demo_faults import ISSUE
from failsoft.cli.demo_kills import hold_one
from failsoft.cli.demo_play import LIMIT, Script
from failsoft.cli.demo_progress import Progress
from failsoft.cli.demo_stage import Stage
from failsoft.cli.demo_summary import tally
from failsoft.cli.demo_workers import Crew
from failsoft.cli.demo_world import World

LOOK = 0.3  # seconds between two looks at the progress


@dataclass(frozen=True, kw_only=True)
class Control:
    """The figures of the control."""

    messages: int
    events: int
    deliveries: int
    tickets: int
    duplicates: int
    lost: int
    kills: int
    faults: Mapping[str, int]
    rested: bool
    seconds: float
    seed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as a person reads it."""
        faults = ", ".join(f"{kind} {number}" for kind, number in sorted(self.faults.items()))
        return [
            "",
            "A plain LangGraph graph (RetryPolicy, Postgres checkpointer, recovery by thread):",
            f"{self.messages} Slack messages in {self.deliveries} deliveries, {self.events} events,"
            f" {self.tickets} tickets in Jira.",
            "",
            f"  duplicates     {self.duplicates:>6}   tickets beyond one for each message",
            f"  lost           {self.lost:>6}   messages to handle that have no ticket",
            f"  kill -9        {self.kills:>6}   between Jira's commit and the checkpoint",
            f"  faults         {sum(self.faults.values()):>6}   {faults}",
            f"\n{self.seconds:.0f} s, seed {self.seed}. Without --naive: the same through failsoft.",
        ]


async def perform_naive(messages: int, seed: int, stage: Stage, progress: Progress) -> Control:
    """Play the script against one plain worker, which is killed and started again likewise."""
    script = Script.write(messages, seed)
    file = stage.home / "deliveries.json"
    file.write_text(json.dumps([one.payload for one in script.deliveries]), encoding="utf-8")
    crew = Crew(
        command=["-m", "failsoft.cli.demo_naive_graph", str(file)],
        size=1,
        log=stage.home / "workers.log",
    )
    started = time.monotonic()
    async with World(stage.url) as world:
        await world.set_faults(script.faults)
        async with crew:
            rested = await _play(script, crew, world, progress)
        state = await world.state()
    return _count(script, state, crew.kills, time.monotonic() - started, rested=rested)


def _count(
    script: Script, state: Mapping[str, Any], kills: int, seconds: float, *, rested: bool
) -> Control:
    keys = keys_of(script.deliveries)
    nonces = {nonce for nonce in keys.values() if nonce}
    joins = {one.nonce for one in script.messages if one.sample.kind in {"reply", "thanks"}}
    seen = tally(state, nonces)
    return Control(
        messages=len(script.messages),
        events=len(keys),
        deliveries=len(script.deliveries),
        tickets=sum(seen.tickets.values()),
        duplicates=seen.duplicates,
        lost=len(nonces - joins - seen.tickets.keys()),
        kills=kills,
        faults=seen.faults,
        rested=rested,
        seconds=round(seconds, 1),
        seed=script.seed,
    )


async def _play(script: Script, crew: Crew, world: World, progress: Progress) -> bool:
    """Kill and wait; say whether the worker got done."""
    killing = asyncio.create_task(_kill(script, crew, world))
    try:
        async with asyncio.timeout(LIMIT):
            while not crew.finished:
                faults = sum((await world.occurred()).values())
                progress.show(deliveries="plain graph:", runs={}, faults=faults, kills=crew.kills)
                await asyncio.sleep(LOOK)
            return True
    except TimeoutError:
        return False
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)


async def _kill(script: Script, crew: Crew, world: World) -> None:
    """Kill between Jira's commit and the checkpoint, spread over the tickets."""
    for number in range(script.kills):
        tickets = 1 + number * len(script.messages) // (2 * script.kills)
        await world.executed(ISSUE, tickets, within=LIMIT)
        while await hold_one(world, script.faults) is None:
            pass
        for pid in crew.pids:
            crew.kill(pid)
