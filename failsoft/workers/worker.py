"""Claim what is due, drive it, and keep the lease: the dispatcher of one process."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from langgraph.runtime import RunControl
from psycopg import AsyncConnection, OperationalError

from failsoft.checkpoints.runs import Claim, RunState
from failsoft.checkpoints.store import Store
from failsoft.errors import FailsoftError, UnavailableError
from failsoft.graphs.runner import Rest, Runner
from failsoft.nodes.context import Services
from failsoft.workers.alone import drive_alone
from failsoft.workers.heart import Heart, worker_name
from failsoft.workers.outbox import OutboxWorker
from failsoft.workers.sweeper import Sweeper

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)


class Worker:
    """Drives up to `concurrency` runs at once, until it is told to stop.

    `agents` are the names that a child process needs to load the same graphs.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        store: Store,
        services: Services,
        agents: list[str],
        on_rest: Callable[[Rest], None] = lambda _: None,
    ) -> None:
        self.runner = runner
        self.store = store
        self.services = services
        self.agents = agents
        self.on_rest = on_rest
        self.settings = services.settings
        self.heart = Heart(store.workers, self.settings.timing, services.clock, name=worker_name())
        self.control = RunControl()
        self.active: dict[asyncio.Task[None], UUID] = {}
        self.looked_at = services.clock.monotonic()
        self.bell = asyncio.Event()
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """Drain: claim nothing more, let each run come to the end of its step."""
        self.stopping.set()
        self.control.request_drain("the worker stops")
        self.bell.set()

    async def run(self) -> None:
        """Work until `stop()`; what is in flight then comes to a durable step and is given back."""
        await self.heart.start()
        self.heart.watch()
        await self._warn_of_stranded()
        timing = self.settings.timing
        sweeper = Sweeper(self.store, self.heart, timing)
        outbox = OutboxWorker(self.store, self.services)
        async with self._background(
            self._every(timing.heartbeat, self._beat),
            self._every(timing.sweep, sweeper.sweep),
            self._every(timing.sweep, outbox.deliver),
            self._every(timing.sweep, self._suspects),
            self._listen(),
        ):
            while not self.stopping.is_set():
                await self._dispatch()
            await self._drain()
        with contextlib.suppress(UnavailableError):
            await self.heart.stop()

    async def _warn_of_stranded(self) -> None:
        """Name the runs that wait for a version of our graphs which nobody may have any more."""
        lanes = self.runner.lanes
        agents = [lane.partition("@")[0] for lane in lanes]
        for row in await self.store.runs.stranded(lanes, agents):
            logger.warning(
                "%d runs wait for %s, which this worker has not: keep a worker of that version, "
                "or `failsoft runs move AGENT`", row["runs"], row["lane"],
            )  # fmt: skip

    async def _dispatch(self) -> None:
        """Claim as much as there is room for, or wait for the bell, a time, or a free place."""
        claims: list[Claim] = []
        self.bell.clear()
        await self._forgotten()
        if (free := self.settings.concurrency - len(self.active)) > 0 and self.heart.worker_id:
            lanes = self.runner.lanes
            random.shuffle(lanes)
            try:
                claims = await self.store.runs.claim(self.heart.worker_id, lanes, free)
            except UnavailableError as error:
                logger.warning("nothing claimed: %s", error)
        for claim in claims:
            task = asyncio.create_task(self._drive(claim))
            self.active[task] = claim.lease.run_id
            task.add_done_callback(self._left)
        if not claims:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.bell.wait(), self.settings.timing.poll)

    async def _forgotten(self) -> None:
        """Give back what the table says is ours and nobody here drives.

        The answer to a claim or a settlement was lost on its way. Called between claims, never
        beside one, and once a lease.
        """
        now = self.services.clock.monotonic()
        if self.heart.worker_id is None or now - self.looked_at < self.settings.timing.lease:
            return
        self.looked_at = now
        with contextlib.suppress(UnavailableError):
            driven = list(self.active.values())
            for run_id in await self.store.runs.give_back(self.heart.worker_id, driven):
                logger.warning("run %s was ours and forgotten: given back", run_id)

    def _left(self, task: asyncio.Task[None]) -> None:
        self.active.pop(task, None)
        self.bell.set()

    async def _drive(self, claim: Claim) -> None:
        try:
            self.on_rest(await self.runner.drive(claim, self.control))
        except UnavailableError as error:
            # nothing can be written now, so nothing is: the lease ends and the run is taken back
            logger.warning("run %s left: %s", claim.lease.run_id, error)
        except FailsoftError as error:
            logger.error("run %s waits: %s", claim.lease.run_id, error)  # noqa: TRY400
            await self._release(claim, error)

    async def _release(self, claim: Claim, error: FailsoftError) -> None:
        with contextlib.suppress(FailsoftError):
            await self.store.runs.settle(
                claim.lease, RunState.QUEUED, reason=str(error), after=self.settings.timing.lease
            )

    async def _beat(self) -> None:
        if await self.heart.beat():
            return
        logger.error("the lease is lost: everything is cancelled")
        for task in list(self.active):
            task.cancel()
        await asyncio.gather(*self.active, return_exceptions=True)
        with contextlib.suppress(UnavailableError):
            await self.heart.start()

    async def _suspects(self) -> None:
        """Drive what was there at two crashes alone, in a process of its own."""
        try:
            if not await self.store.runs.suspects(self.runner.lanes):
                return
            limit = self.settings.timing.alone
            if (code := await drive_alone(self.agents, limit)) > 0:
                logger.error("driving a suspect alone ended with exit code %d", code)
                await asyncio.sleep(self.settings.timing.lease)
        except UnavailableError as error:
            logger.warning("no look for suspects: %s", error)

    async def _drain(self) -> None:
        """Wait for the steps in flight; what takes longer than a send is given back as it is."""
        if self.active:
            await asyncio.wait(self.active, timeout=self.settings.timing.send)
        for task in list(self.active):
            task.cancel()
        await asyncio.gather(*self.active, return_exceptions=True)
        if self.heart.worker_id is not None:
            with contextlib.suppress(UnavailableError):  # left to its lease, it would be a crash
                await self.store.runs.give_back(self.heart.worker_id, [])

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await work()

    async def _listen(self) -> None:
        """Hear the bell of new runs; without it they are found by polling."""
        while True:
            with contextlib.suppress(OperationalError, UnavailableError):
                await self._hear()
            await asyncio.sleep(self.settings.timing.poll)

    async def _hear(self) -> None:
        conninfo = self.store.runs.database.address.conninfo
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            await connection.execute("LISTEN failsoft_runs")
            async for _ in connection.notifies():
                self.bell.set()

    @contextlib.asynccontextmanager
    async def _background(self, *loops: Awaitable[None]) -> AsyncIterator[None]:
        """Run the loops beside the dispatcher; a bug in one of them ends the worker loudly."""
        tasks = [asyncio.ensure_future(loop) for loop in loops]
        for task in tasks:
            task.add_done_callback(self._broken)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _broken(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.stop()
