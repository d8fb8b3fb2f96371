"""Drive one given run in this process until it rests: what `failsoft run` does."""

import asyncio
import contextlib
from uuid import UUID

from failsoft.checkpoints.runs import RunState
from failsoft.errors import UnavailableError
from failsoft.graphs.runner import Rest
from failsoft.workers.assembly import Parts
from failsoft.workers.heart import Heart, worker_name

PATIENCE = 60.0  # seconds that a run's short waits may take in all
POLL = 0.05  # seconds


async def drive_here(parts: Parts, run_id: UUID) -> Rest | None:
    """Claim the run and drive it through its short waits; None: somebody else drives it.

    A wait that is longer than a minute, or for a person, ends this; any worker goes on later.
    """
    timing = parts.services.settings.timing
    heart = Heart(parts.store.workers, timing, parts.services.clock, name=worker_name())
    worker_id = await heart.start()
    beating = asyncio.create_task(_beat(heart, timing.heartbeat))
    rest: Rest | None = None
    try:
        deadline = parts.services.clock.monotonic() + PATIENCE
        while parts.services.clock.monotonic() < deadline:
            claim = await parts.store.runs.claim_one(worker_id, run_id)
            if claim is not None:
                rest = await parts.runner.drive(claim)
                if rest.state is not RunState.PARKED:
                    break
            due_at = (await parts.store.runs.get(run_id))["due_at"]
            if due_at is None:
                break
            wait = max(due_at.timestamp() - parts.services.clock.now(), POLL)
            if parts.services.clock.monotonic() + wait > deadline:
                break
            await asyncio.sleep(wait)
    finally:
        with contextlib.suppress(UnavailableError):  # what failed here is no crash of the run
            await parts.store.runs.give_back(worker_id, [])
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
        await heart.stop()
    return rest


async def _beat(heart: Heart, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await heart.beat()
