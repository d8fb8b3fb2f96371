"""Doors side by side: one that is in trouble waits and is tried again, the others go on."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from failsoft.clock import Clock
from failsoft.errors import ConfigurationError, TransientError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.nodes.failures import describe

logger = logging.getLogger(__name__)


class DoorState(StrEnum):
    """How a door stands."""

    OPEN = "open"
    WAITING = "waiting"  # its source or our database is away; it is tried again by itself
    FAILED = "failed"  # it cannot go on, and so ends the process
    CLOSED = "closed"  # told to stop, or at the end of what it reads


@dataclass
class Watched:
    """A door and how it stands; `since` is in seconds since 1970."""

    door: Door
    state: DoorState
    since: float
    trouble: str | None = None  # the last one, over or not
    failures: int = 0  # in a row
    worked: bool = False  # it has run well since we began


@dataclass(kw_only=True)
class Listening:
    """The doors of one agent, until `stop()`. All times are in seconds.

    A door in trouble is run again after `first`, then twice as long each time up to `longest`, with
    jitter; its trouble is over when it has run for `well`. A stop waits `patience` for what is in
    hand.
    """

    reception: Reception
    doors: Sequence[Door]
    patience: float = 35.0
    first: float = 1.0
    longest: float = 60.0
    well: float = 60.0
    clock: Clock = field(default_factory=Clock)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    health: list[Watched] = field(init=False)

    def __post_init__(self) -> None:
        now = self.clock.now()
        self.health = [Watched(door, DoorState.OPEN, now) for door in self.doors]

    def stop(self) -> None:
        """Drain: every door ends what it has in hand, and takes nothing more."""
        self.stopping.set()

    async def run(self) -> None:
        """Keep the doors open until `stop()`, or until each has come to its end.

        Raises:
            ConfigurationError: a door could never work as it is set up; the others were drained.
            Exception: a bug in a door; the others were drained.
        """
        tasks = [asyncio.create_task(self._keep(watched)) for watched in self.health]
        told = asyncio.create_task(self.stopping.wait())
        ended = asyncio.gather(*tasks, return_exceptions=True)
        either: list[asyncio.Future[Any]] = [told, ended]  # Any: of two kinds
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([ended], timeout=self.patience)
        finally:
            told.cancel()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        self._name_late(results)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _keep(self, watched: Watched) -> None:
        """Run a door, again after each trouble."""
        while not self.stopping.is_set():
            try:
                with self._recovering(watched):
                    await watched.door.run(self.reception, self.stopping)
            except (UnavailableError, TransientError, OSError) as error:
                await self._wait(watched, error)
            except ConfigurationError as error:
                if not watched.worked:
                    self._fail(watched, error)
                    raise
                await self._wait(watched, error)  # it was well: somebody changed something outside
            except Exception as error:
                self._fail(watched, error)
                raise
            else:
                break
        self._set(watched, DoorState.CLOSED)

    @contextlib.contextmanager
    def _recovering(self, watched: Watched) -> Iterator[None]:
        """Count a door as open again once it has run well for long enough."""
        timer = asyncio.get_running_loop().call_later(self.well, self._recovered, watched)
        try:
            yield
        finally:
            timer.cancel()

    def _recovered(self, watched: Watched) -> None:
        watched.failures, watched.worked = 0, True
        if watched.state is DoorState.WAITING:
            self._set(watched, DoorState.OPEN)
            logger.warning("the door %s is open again", watched.door.name)

    async def _wait(self, watched: Watched, error: Exception) -> None:
        """Pause for longer each time; say why once, not at each try."""
        trouble = describe(error)
        news = watched.state is not DoorState.WAITING or watched.trouble != trouble
        logger.log(
            logging.WARNING if news else logging.DEBUG,
            "the door %s waits: %s", watched.door.name, trouble,
        )  # fmt: skip
        self._set(watched, DoorState.WAITING, trouble)
        pause = min(self.first * 2 ** min(watched.failures, 16), self.longest)
        watched.failures += 1
        asked = error.retry_after if isinstance(error, TransientError) else 0.0
        with contextlib.suppress(TimeoutError):
            pause = max(pause * random.uniform(0.5, 1.0), asked)
            await asyncio.wait_for(self.stopping.wait(), pause)

    def _fail(self, watched: Watched, error: Exception) -> None:
        """End all doors for the sake of one that can never work."""
        self._set(watched, DoorState.FAILED, describe(error))
        logger.error("the door %s ends: %s", watched.door.name, describe(error))
        self.stop()

    def _set(self, watched: Watched, state: DoorState, trouble: str | None = None) -> None:
        if watched.state is not state:
            watched.since = self.clock.now()
        watched.state = state
        watched.trouble = trouble or watched.trouble

    def _name_late(self, results: Sequence[object]) -> None:
        for watched, result in zip(self.health, results, strict=True):
            if isinstance(result, asyncio.CancelledError):
                logger.warning(
                    "the door %s did not end within %g s: what it had in hand comes again",
                    watched.door.name, self.patience,
                )  # fmt: skip
