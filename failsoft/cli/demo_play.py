"""The minute itself: deliveries come in waves, and in the middle of each a worker is killed."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from failsoft.checkpoints.model_calls import MICROS
from failsoft.checkpoints.store import Store
from failsoft.cli.demo_account import keys_of, read_ledger
from failsoft.cli.demo_deliveries import Delivery, Message, deliveries_of, write_messages
from failsoft.cli.demo_faults import plan_faults
from failsoft.cli.demo_kills import Killer
from failsoft.cli.demo_progress import Progress
from failsoft.cli.demo_stage import Stage
from failsoft.cli.demo_summary import Summary, tally
from failsoft.cli.demo_workers import Crew
from failsoft.cli.demo_world import World
from failsoft.errors import ConfigurationError
from failsoft.intake.admission import Reception
from failsoft.intake.slack import normalise
from failsoft.parsing import JSONObject
from failsoft.sandbox.messages import BOT
from failsoft.workers.assembly import Parts

AGENT = "slack-jira"
GAP = 0.03  # seconds between two deliveries
POLL = 0.3  # seconds between two looks at whether everything rests
LIMIT = 300.0  # seconds that a demo may take; more for more than 300 messages
MESSAGES_A_KILL = 20
MOST_KILLS = 10
FAILED_STARTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What is going to happen; everything in it follows from the seed."""

    messages: Sequence[Message]
    deliveries: Sequence[Delivery]
    faults: Sequence[JSONObject]
    kills: int
    seed: int

    @classmethod
    def write(cls, messages: int, seed: int) -> "Script":
        rng = random.Random(seed)
        written = write_messages(messages, rng)
        return cls(
            messages=written,
            deliveries=deliveries_of(written, rng),
            faults=plan_faults(messages, rng),
            kills=min(max(3, messages // MESSAGES_A_KILL), MOST_KILLS),
            seed=seed,
        )

    def waves(self) -> list[Sequence[Delivery]]:
        """Cut the deliveries: a wave for each kill, and one for a kill that found no moment."""
        size = -(-len(self.deliveries) // (self.kills + 1))
        return [
            self.deliveries[start : start + size] for start in range(0, len(self.deliveries), size)
        ]


@dataclass(kw_only=True)
class Play:
    """One performance of a script."""

    script: Script
    stage: Stage
    parts: Parts
    world: World
    crew: Crew
    progress: Progress
    killer: Killer = field(init=False)
    delivered: int = 0

    def __post_init__(self) -> None:
        self.killer = Killer(
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
        rested = await self._before(max(LIMIT, len(self.script.messages)))
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
        for wave in self.script.waves():
            await self._wave(wave)
        await self._rest()

    async def _wave(self, wave: Sequence[Delivery]) -> None:
        """Kill in the middle of the wave, when the worker of the last kill has been replaced."""
        striking: list[asyncio.Task[bool]] = []
        for place, delivery in enumerate(wave):
            if self.crew.kills < self.script.kills and place == len(wave) // 3:
                await self.killer.wait_for_all()
                striking.append(asyncio.create_task(self.killer.strike()))
            await self._deliver(delivery)
            await asyncio.sleep(GAP)
        await asyncio.gather(*striking)

    async def _deliver(self, delivery: Delivery) -> None:
        (graph,) = self.parts.graphs
        event = normalise(delivery.payload, own_bot_id=BOT)
        await Reception.of(graph, self.store.runs).admit(event)
        self.delivered += 1

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
                f"{self.delivered}/{len(self.script.deliveries)} deliveries",
                runs=await self.store.runs.counts(),
                faults=sum((await self.world.occurred()).values()),
                kills=self.crew.kills,
            )
            if self.crew.starts - self.crew.size - self.crew.kills > FAILED_STARTS:
                raise ConfigurationError(f"The workers do not stay up; see {self.crew.log}.")
            await asyncio.sleep(POLL)

    async def _count(self, seconds: float, *, rested: bool) -> Summary:
        keys = keys_of(self.script.deliveries)
        seen = tally(await self.world.state(), set(keys.values()), self.script.faults)
        ledger = await read_ledger(AGENT, self.store, self.parts.runner)
        spend = await self.store.model_calls.totals()
        return Summary(
            **seen.figures(),
            **ledger.figures(),
            messages=len(self.script.messages),
            events=len(keys),
            deliveries=self.delivered,
            ignored=len(ledger.unseen & keys.keys()),
            lost=len(ledger.lost(keys, seen.tickets)),
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
