"""One graph, one worker row, and the means to drive a run step by step."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.runs import Claim, RunState
from failsoft.events import Event
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.graphs.runner import Rest
from failsoft.settings import Settings
from failsoft.workers.assembly import Parts, assemble

LEASE = 30.0


@dataclass
class Bench:
    """One graph, one worker row, and the means to drive a run step by step."""

    parts: Parts
    worker_id: UUID
    graph: ResilientGraph

    async def admit(
        self, text: str = "the checkout page crashes with an error", **options: Any
    ) -> UUID:
        event = Event(key=f"test:{text[:40]}", source="test", text=text)
        runs = self.parts.store.runs
        return (await runs.admit(self.graph.agent, self.graph.lane, event, **options)).run_id

    async def claim(self, run_id: UUID) -> Claim:
        claim = await self.parts.store.runs.claim_one(self.worker_id, run_id)
        assert claim is not None
        return claim

    async def drive(self, run_id: UUID) -> Rest:
        return await self.parts.runner.drive(await self.claim(run_id))

    async def drive_on(self, run_id: UUID) -> Rest:
        """Drive through every timer, waiting for it, until the run rests otherwise."""
        while True:
            row = await self.parts.store.runs.get(run_id)
            wait = row["due_at"].timestamp() - self.parts.services.clock.now()
            await self.parts.services.clock.sleep(max(wait, 0) + 0.01)
            rest = await self.drive(run_id)
            row = await self.parts.store.runs.get(run_id)
            if rest.state is not RunState.PARKED or row["due_at"] is None:
                return rest

    async def effects(self, run_id: UUID) -> list[Any]:
        row = await self.parts.store.runs.get(run_id)
        return list(await self.parts.store.effects.of_run(row["run_no"]))

    async def review(self, run_id: UUID) -> Any:
        row = await self.parts.store.runs.get(run_id)
        return (await self.parts.store.reviews.of_run(row["run_no"]))[-1]

    async def answer(self, run_id: UUID, choice: str, value: Any = None) -> Rest:
        review = await self.review(run_id)
        answer = self.parts.store.reviews.answer
        await answer(review.review_id, choice=choice, value=value, by="ann")
        return await self.drive_on(run_id)


BenchOf = Callable[[ResilientGraph], AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def bench_for(
    graph: ResilientGraph, database: Database, settings: Settings
) -> AsyncIterator[Bench]:
    """Put a graph on the bench; at the end every chain must verify."""
    async with assemble([graph], database, settings) as parts:
        worker_id = await parts.store.workers.register("test", LEASE)
        yield Bench(parts=parts, worker_id=worker_id, graph=graph)
        for row in await parts.store.runs.list():
            assert await parts.store.audit.verify(row["run_id"])
