"""Drive one suspect in a process of its own: a run that kills its worker kills no neighbour.

The child has a worker row of its own: when it dies, the sweeper sees a crash of a run that was
alone, and two of those make the run dead.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine

from failsoft.checkpoints.database import connect
from failsoft.errors import FailsoftError, UnavailableError
from failsoft.settings import load_settings
from failsoft.workers.heart import Heart, worker_name

logger = logging.getLogger(__name__)


async def drive_alone(agents: list[str], limit: float) -> int:
    """Start the child, wait for it, and return its exit code (below 0: the signal that ended it).

    After `limit` seconds it is killed. Cancelled, it is asked to end, and gives its run back.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "failsoft.workers.alone", *agents,
        stdin=asyncio.subprocess.PIPE,  # its end tells the child that we are gone, kill -9 or not
    )  # fmt: skip
    try:
        return await asyncio.wait_for(process.wait(), limit)
    except TimeoutError:
        logger.error("a suspect was driven for %g s without coming to rest: killed", limit)  # noqa: TRY400
        process.kill()
        return await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise


async def drive_one(agents: list[str]) -> None:
    """Claim one suspect and drive it to its next rest."""
    from failsoft.agents.load import load_graph  # noqa: PLC0415  # the child's only heavy imports
    from failsoft.workers.assembly import assemble  # noqa: PLC0415

    settings = load_settings()
    graphs = [load_graph(name) for name in agents]
    async with connect(settings) as database, assemble(graphs, database, settings) as parts:
        heart = Heart(
            parts.store.workers, settings.timing, parts.services.clock, name=worker_name()
        )
        worker_id = await heart.start()
        heart.watch()
        try:
            for claim in await parts.store.runs.claim(
                worker_id, parts.runner.lanes, 1, suspects=True
            ):
                await beside(heart, parts.runner.drive(claim))
        finally:
            with contextlib.suppress(UnavailableError):  # a clean end is no crash of the run
                await parts.store.runs.give_back(worker_id, [])
            await heart.stop()


async def beside(heart: Heart, work: Coroutine[object, object, object]) -> None:
    """Run `work` under a beating heart; it is cancelled when the lease is lost."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=heart.timing.heartbeat)
            if not task.done() and not await heart.beat():
                break
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def main() -> None:
    """Run the child; SIGTERM, or the end of its worker, cancels it: it gives its run back."""

    async def child() -> None:
        driving, loop = asyncio.ensure_future(drive_one(sys.argv[1:])), asyncio.get_running_loop()

        def at_end_of_input() -> None:
            if not os.read(sys.stdin.fileno(), 4096):
                loop.remove_reader(sys.stdin.fileno())
                driving.cancel()

        loop.add_signal_handler(signal.SIGTERM, driving.cancel)
        loop.add_reader(sys.stdin.fileno(), at_end_of_input)  # else nobody would end it in time
        with contextlib.suppress(asyncio.CancelledError):
            await driving

    try:
        asyncio.run(child())
    except FailsoftError as error:
        sys.stderr.write(f"failsoft: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
