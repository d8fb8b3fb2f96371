"""The minute itself: deliveries come in waves, and in the middle of each a worker is killed."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import connect
from failsoft.checkpoints.migrate import migrate
from failsoft.checkpoints.model_calls import MICROS
from failsoft.checkpoints.store import Store
from failsoft.cli.demo_account import read_ledger
from failsoft.cli.demo_kills import Killer
from failsoft.cli.demo_progress import Progress
from failsoft.cli.demo_scenario import Entrance
from failsoft.cli.demo_script import Script
from failsoft.cli.demo_stage import Stage, Whose
from failsoft.cli.demo_summary import Summary
from failsoft.cli.demo_tally import tally
from failsoft.cli.demo_workers import Crew
from failsoft.cli.demo_world import World
from failsoft.errors import ConfigurationError, UsageError
from failsoft.workers.assembly import Parts, assemble

GAP = 0.03  # seconds between two deliveries
POLL = 0.3  # seconds between two looks at whether everything rests
LIMIT = 300.0  # seconds that a demo may take; more for more than 300 messages
FAILED_STARTS = 5


async def perform(script: Script, workers: int, stage: Stage, progress: Progress) -> Summary:
    """Play a script on its stage.

    Raises:
        UsageError: the database at FAILSOFT_DSN holds runs of the agent.
    """
    agent = script.scenario.agent
    if stage.database is Whose.OURS:
        await migrate(stage.dsn)
    else:
        progress.say("using the database at FAILSOFT_DSN")
    crew = Crew(
        command=["-m", "failsoft.cli.main", "worker", agent, "--with-parent"],
        size=workers,
        log=stage.home / "workers.log",
    )
    async with (
        connect(stage.settings) as database,
        assemble([load_graph(agent)], database, stage.settings) as parts,
        World(stage.url) as world,
    ):
        await _refuse_runs(agent, parts.store)
        await world.set_faults(script.faults)
        async with crew, script.scenario.entrance(stage, parts, world) as entrance:
            play = Play(
                script=script, stage=stage, parts=parts, world=world, crew=crew,
                progress=progress, entrance=entrance,
            )  # fmt: skip
            return await play.perform()


async def _refuse_runs(agent: str, store: Store) -> None:
    if await store.runs.list(agent=agent, limit=1):
        raise UsageError(
            f"The database at FAILSOFT_DSN holds runs of {agent}: unset FAILSOFT_DSN for a"
            " private database, or name an empty one."
        )


@dataclass(kw_only=True)
class Play:
    """One performance of a script."""

    script: Script
    stage: Stage
    parts: Parts
    world: World
    crew: Crew
    progress: Progress
    entrance: Entrance[Any]  # Any: of the script's scenario
    killer: Killer = field(init=False)

    def __post_init__(self) -> None:
        self.killer = Killer(
            scenario=self.script.scenario,
            crew=self.crew,
            store=self.store,
            world=self.world,
            faults=self.script.faults,
            rng=random.Random(self.script.seed),
        )

    @property
    def store(self) -> Store:
        return self.parts.store

    async def perform(self) -> Summary:
        """Deliver, kill, wait until every run rests, and count."""
        started = time.monotonic()
        rested = await self._before(max(LIMIT, self.script.messages))
        return await self._count(time.monotonic() - started, rested=rested)

    async def _before(self, limit: float) -> bool:
        """Say whether everything rests in time; meanwhile the progress is shown.

        Raises:
            ConfigurationError: the workers do not stay up.
        """
        both = [asyncio.create_task(self._waves()), asyncio.create_task(self._watch())]
        first, _ = await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        for task in first:
            task.result()
        return bool(first)

    async def _waves(self) -> None:
        for act in self.script.acts:
            for wave in self.script.waves(act):
                await self._wave(wave)
            await self._rest()

    async def _wave(self, wave: Sequence[Any]) -> None:
        """Kill in the middle of the wave, when the worker of the last kill has been replaced."""
        striking: list[asyncio.Task[bool]] = []
        for place, delivery in enumerate(wave):
            if self.crew.kills < self.script.kills and place == len(wave) // 3:
                await self.killer.wait_for_all()
                striking.append(asyncio.create_task(self.killer.strike()))
            await self.entrance.deliver(delivery)
            await asyncio.sleep(GAP)
        await asyncio.gather(*striking)

    async def _rest(self) -> None:
        """Wait until nothing is due, driven, or waiting for a time; twice seen is believed."""
        quiet = 0
        while quiet < 2:
            await asyncio.sleep(POLL)
            lanes = self.parts.runner.lanes
            due, counts = await self.store.runs.next_due(lanes), await self.store.runs.counts()
            still = due is None and not counts["queued"] and not counts["running"]
            quiet = quiet + 1 if still else 0

    async def _watch(self) -> None:
        while True:
            self.progress.show(
                f"{len(self.entrance.delivered)}/{len(self.script.deliveries)} deliveries",
                runs=await self.store.runs.counts(),
                faults=sum((await self.world.occurred()).values()),
                kills=self.crew.kills,
            )
            if self.crew.starts - self.crew.size - self.crew.kills > FAILED_STARTS:
                raise ConfigurationError(f"The workers do not stay up; see {self.crew.log}.")
            await asyncio.sleep(POLL)

    async def _count(self, seconds: float, *, rested: bool) -> Summary:
        scenario, delivered = self.script.scenario, self.entrance.delivered
        expected = scenario.expected(delivered)
        seen = tally(scenario, await self.world.state(), expected, self.script.faults)
        ledger = await read_ledger(scenario.agent, self.store, self.parts.runner)
        spend = await self.store.model_calls.totals()
        return Summary(
            **seen.figures(),
            **ledger.figures(),
            words=scenario.words,
            messages=self.script.messages,
            events=len(expected),
            deliveries=len(delivered),
            ignored=len(ledger.unseen & expected.keys()),
            joined=len(ledger.joined_of(expected, seen)),
            misrouted=ledger.misrouted(expected, seen, scenario.route),
            lost=len(ledger.lost(expected, seen)),
            llm_calls=spend.answered + spend.unanswered,
            tokens=spend.tokens,
            usd=spend.micros / MICROS,
            kills=self.crew.kills,
            kills_at_worst=self.killer.at_worst,
            rested=rested,
            seconds=round(seconds, 1),
            seed=self.script.seed,
            home=str(self.stage.home),
        )
