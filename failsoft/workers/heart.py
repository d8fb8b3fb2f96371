"""One heartbeat row for each worker: it says that its runs are driven."""

import logging
from uuid import UUID

from failsoft.checkpoints.workers import Workers
from failsoft.clock import Clock
from failsoft.errors import UnavailableError
from failsoft.settings import Timing

logger = logging.getLogger(__name__)


class Heart:
    """The worker's lease on everything that it drives; times in seconds of the own clock."""

    def __init__(self, workers: Workers, timing: Timing, clock: Clock, *, name: str) -> None:
        self.workers = workers
        self.timing = timing
        self.clock = clock
        self.name = name
        self.worker_id: UUID | None = None
        self.last_beat = 0.0
        self.unbroken_since = 0.0

    async def start(self) -> UUID:
        """Register under a new id: one that was declared gone never comes back."""
        before = self.clock.monotonic()
        self.worker_id = await self.workers.register(self.name, self.timing.lease)
        self.last_beat = self.unbroken_since = before
        return self.worker_id

    async def beat(self) -> bool:
        """Renew the lease; False when it is lost: cancel everything and start anew.

        While the database is away the lease is kept for as long as it lasts, counted from before
        the last heartbeat that was answered.
        """
        if self.worker_id is None:
            return False
        before = self.clock.monotonic()
        try:
            alive = await self.workers.heartbeat(self.worker_id, self.timing.lease)
        except UnavailableError as error:
            logger.warning("no heartbeat: %s", error)
            self.unbroken_since = self.clock.monotonic()
            return before - self.last_beat < self.timing.lease
        if alive:
            if before - self.last_beat > self.timing.lease:
                self.unbroken_since = before
            self.last_beat = before
        return alive

    @property
    def may_sweep(self) -> bool:
        """Tell whether this worker may declare others gone: an outage is no mass crash."""
        return self.clock.monotonic() - self.unbroken_since >= self.timing.lease

    async def stop(self) -> None:
        """Leave cleanly, so that nobody has to wait for the lease to run out."""
        if self.worker_id is not None:
            await self.workers.leave(self.worker_id)
