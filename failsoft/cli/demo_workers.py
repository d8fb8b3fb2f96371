"""The demo's workers: processes that are killed -9, and started again as an operator would."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 10.0  # seconds that a worker may take to drain


@dataclass(kw_only=True)
class Crew:
    """`size` processes of one command; whichever ends before the crew does is started again."""

    command: Sequence[str]
    size: int
    log: Path
    kills: int = 0
    starts: int = 0
    finished: int = 0  # places whose process has ended with 0: its work is done
    _living: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    _places: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._places = [asyncio.create_task(self._keep()) for _ in range(self.size)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for place in self._places:
            place.cancel()
        await asyncio.gather(*self._places, return_exceptions=True)

    @property
    def pids(self) -> set[int]:
        return set(self._living)

    def kill(self, pid: int) -> None:
        """Kill -9 one of our own; the kernel gives it no chance to say goodbye."""
        self._living[pid].send_signal(signal.SIGKILL)
        self.kills += 1

    async def _keep(self) -> None:
        """Fill one place until the crew ends; a worker that ends with 0 has nothing left to do."""
        while await self._work() != 0:
            pass
        self.finished += 1

    async def _work(self) -> int:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *self.command, stdin=asyncio.subprocess.PIPE,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.starts += 1
        self._living[process.pid] = process
        try:
            return await process.wait()
        finally:
            await _end(process)
            del self._living[process.pid]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let a process drain, and kill it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
