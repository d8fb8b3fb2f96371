"""Time as a value that can be passed in, so that tests can move it."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """The machine's clock. `now` is in seconds since 1970, `monotonic` only ever grows."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class StoppedClock(Clock):
    """A clock that stands still until it is told to move; sleeping moves it at once."""

    time: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += max(0.0, seconds)
