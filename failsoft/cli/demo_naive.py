"""The demo's control: the same faults and kills against a plain graph, to show that they bite."""

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from failsoft.cli.demo_faults import ISSUE
from failsoft.cli.demo_kills import hold_one
from failsoft.cli.demo_play import LIMIT
from failsoft.cli.demo_progress import Progress
from failsoft.cli.demo_scenario import Fate
from failsoft.cli.demo_script import Script
from failsoft.cli.demo_stage import Stage
from failsoft.cli.demo_summary import line
from failsoft.cli.demo_tally import tally
from failsoft.cli.demo_workers import Crew
from failsoft.cli.demo_world import World

EVENT_ID = re.compile(r"Ev\d{5}[BM]?")
LOOK = 0.3  # seconds between two looks at the progress


@dataclass(frozen=True, kw_only=True)
class Control:
    """The figures of the control."""

    messages: int
    events: int
    deliveries: int
    tickets: int
    duplicates: int
    duplicates_of_thread: int  # the others: one message under two event ids
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
        came = f"{self.messages} Slack messages in {self.deliveries} deliveries, {self.events}"
        return [
            "\nA plain LangGraph graph (RetryPolicy, Postgres checkpointer, recovery by thread):",
            f"{came} events, {self.tickets} tickets in Jira.\n",
            line("duplicates", self.duplicates, "tickets beyond one for each message"),
            line("", self.duplicates_of_thread, "of them by one thread: sent again after a fault"),
            line("lost", self.lost, "messages to handle that have no ticket"),
            line("kill -9", self.kills, "after Jira's commit, before the checkpoint"),
            line("faults", sum(self.faults.values()), faults),
            f"\n{self.seconds:.0f} s, seed {self.seed}. Without --naive failsoft does the same.",
        ]


async def perform_naive(script: Script, stage: Stage, progress: Progress) -> Control:
    """Play Slack's script against one plain worker, killed and started again likewise."""
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
    expected = script.scenario.expected(script.deliveries)
    seen = tally(script.scenario, state, expected, script.faults)
    own = {one.nonce for one in expected.values() if one.fate is Fate.OWN}
    return Control(
        messages=script.messages,
        events=len(expected),
        deliveries=len(script.deliveries),
        tickets=sum(seen.made.values()),
        duplicates=seen.duplicates,
        duplicates_of_thread=_by_thread(state),
        lost=len(own - seen.made.keys()),
        kills=kills,
        faults=seen.faults,
        rested=rested,
        seconds=round(seconds, 1),
        seed=script.seed,
    )


def _by_thread(state: Mapping[str, Any]) -> int:
    """Count the tickets beyond one for each thread, whose id stands in their description."""
    threads: Counter[str] = Counter()
    for issue in state["jira"]["issues"]:
        threads.update(set(EVENT_ID.findall(json.dumps(issue["fields"]["description"]))))
    return sum(number - 1 for number in threads.values())


async def _play(script: Script, crew: Crew, world: World, progress: Progress) -> bool:
    """Kill and wait; say whether the worker got done."""
    killing = asyncio.create_task(_kill(script, crew, world))
    try:
        async with asyncio.timeout(LIMIT):
            while not crew.finished:
                faults = sum((await world.occurred()).values())
                progress.show("the plain graph works", runs={}, faults=faults, kills=crew.kills)
                await asyncio.sleep(LOOK)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killing


async def _kill(script: Script, crew: Crew, world: World) -> None:
    """Kill between Jira's commit and the checkpoint, spread over the tickets."""
    for number in range(script.kills):
        tickets = 1 + number * script.messages // (2 * script.kills)
        await world.executed(ISSUE, tickets, within=LIMIT)
        while await hold_one(script.scenario, world, script.faults) is None:
            pass
        for pid in crew.pids:
            crew.kill(pid)
