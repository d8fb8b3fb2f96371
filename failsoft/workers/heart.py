"""One heartbeat row for each worker: it says that its runs are driven."""

import asyncio
import logging
import os
import socket
import threading
from uuid import UUID

from failsoft.checkpoints.workers import Workers
from failsoft.clock import Clock
from failsoft.errors import DatabaseUnavailableError, UnavailableError
from failsoft.settings import Timing

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
BLOCKED = 70  # exit code of a process whose event loop stood still


class Heart:
    """The worker's lease on everything that it drives; times in seconds of the own clock."""

    def __init__(self, workers: Workers, timing: Timing, clock: Clock, *, name: str) -> None:
        self.workers = workers
        self.timing = timing
        self.clock = clock
        self.name = name
        self.worker_id: UUID | None = None
        self.last_beat = 0.0
        self.turns = 0
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
        self.turns += 1
        try:
            alive = await self._beat(self.worker_id)
        except UnavailableError as error:
            logger.warning("no heartbeat: %s", error)
            self.unbroken_since = self.clock.monotonic()
            return self.unbroken_since - self.last_beat < self.timing.lease
        if alive:
            if before - self.last_beat > self.timing.lease:
                self.unbroken_since = before
            self.last_beat = before
        return alive

    async def _beat(self, worker_id: UUID) -> bool:
        """Renew the lease, waiting no longer than a heartbeat: a frozen line is no answer."""
        beating = asyncio.ensure_future(self.workers.heartbeat(worker_id, self.timing.lease))
        done, _ = await asyncio.wait([beating], timeout=self.timing.heartbeat)
        if not done:
            beating.cancel()  # not awaited: it may take as long as the line is frozen
            beating.add_done_callback(_forget)
            raise DatabaseUnavailableError("no answer within a heartbeat")
        return beating.result()

    def watch(self) -> None:
        """End the process when the event loop stands still for a lease: its runs are lost anyway.

        Without this a run that blocks its worker would hold up all others, and never be a suspect.
        The thread counts its own seconds, so that a process that was frozen whole is not meant.
        """
        threading.Thread(target=self._watch, name="failsoft-watch", daemon=True).start()

    def _watch(self) -> None:
        seen, still, pause = -1, 0.0, threading.Event()
        while still < self.timing.lease:
            pause.wait(WATCH_SECONDS)
            still = still + WATCH_SECONDS if self.turns == seen else 0.0
            seen = self.turns
        logger.critical("the event loop stood still for %g s: this process ends", still)
        os._exit(BLOCKED)

    @property
    def may_sweep(self) -> bool:
        """Tell whether this worker may declare others gone: an outage is no mass crash."""
        return self.clock.monotonic() - self.unbroken_since >= self.timing.lease

    async def stop(self) -> None:
        """Leave cleanly, so that nobody has to wait for the lease to run out."""
        if self.worker_id is not None:
            await self.workers.leave(self.worker_id)


def _forget(task: asyncio.Future[bool]) -> None:
    """Take note of how a heartbeat ended that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def worker_name() -> str:
    """Return what people find this process by: host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"
