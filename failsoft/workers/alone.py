"""Drive one suspect in a process of its own: a run that kills its worker kills no neighbour.

The child has a worker row of its own: when it dies, the sweeper sees a crash of a run that was
alone, and two of those make the run dead.
"""

import asyncio
import contextlib
import logging
import sys

from failsoft.checkpoints.database import connect
from failsoft.errors import FailsoftError
from failsoft.settings import load_settings

logger = logging.getLogger(__name__)


async def drive_alone(agents: list[str]) -> int:
    """Start the child, wait for it, and return its exit code; cancelled: the child is ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "failsoft.workers.alone", *agents
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise


async def drive_one(agents: list[str]) -> int:
    """Claim one suspect, drive it to its next rest; return how many were driven."""
    from failsoft.agents.load import load_graph  # noqa: PLC0415
    from failsoft.workers.assembly import assemble  # noqa: PLC0415  # the child's only heavy import
    from failsoft.workers.heart import Heart  # noqa: PLC0415
    from failsoft.workers.worker import worker_name  # noqa: PLC0415

    settings = load_settings()
    graphs = [load_graph(name) for name in agents]
    async with connect(settings) as database, assemble(graphs, database, settings) as parts:
        timing = settings.timing
        heart = Heart(parts.store.workers, timing, parts.services.clock, name=worker_name())
        worker_id = await heart.start()
        claims = await parts.store.runs.claim(worker_id, parts.runner.lanes, 1, suspects=True)
        for claim in claims:
            driving = asyncio.ensure_future(parts.runner.drive(claim))
            while not driving.done():
                await asyncio.wait([driving], timeout=timing.heartbeat)
                if not driving.done() and not await heart.beat():
                    driving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await driving
        await heart.stop()
        return len(claims)


if __name__ == "__main__":
    try:
        asyncio.run(drive_one(sys.argv[1:]))
    except FailsoftError as error:
        sys.stderr.write(f"failsoft: {error}\n")
        sys.exit(error.exit_code)
