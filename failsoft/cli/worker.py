"""failsoft worker: drive the due runs of agents until stopped."""

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from failsoft.checkpoints.database import connect
from failsoft.cli.private_sandbox import keep_apart
from failsoft.settings import Settings, load_settings

if TYPE_CHECKING:
    from failsoft.workers.worker import Worker


@click.command("worker")
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...")
@click.option("--concurrency", type=click.IntRange(1), help="Runs driven at once.")
@click.option("--with-parent", is_flag=True, help="Stop too when standard input ends.")
def command(agents: tuple[str, ...], concurrency: int | None, *, with_parent: bool) -> None:
    """Drive the due runs of AGENT... until stopped.

    AGENT is a shipped name (slack-jira) or package.module:attribute. SIGTERM and Ctrl-C drain: each
    run in flight comes to the end of its step and is given back; nothing is lost by kill -9 either.
    """
    settings = load_settings()
    if concurrency is not None:
        settings = settings.model_copy(update={"concurrency": concurrency})
    asyncio.run(work(list(agents), settings, with_parent=with_parent))


async def work(agents: list[str], settings: Settings, *, with_parent: bool = False) -> None:
    """Run one worker until a signal says stop."""
    # heavy imports: not for --help
    from failsoft.agents.load import load_graph  # noqa: PLC0415
    from failsoft.workers.assembly import assemble, check_agents  # noqa: PLC0415
    from failsoft.workers.worker import Worker  # noqa: PLC0415

    graphs = [load_graph(name) for name in agents]
    async with connect(settings) as database, assemble(graphs, database, settings) as parts:
        await keep_apart(settings, parts.store.runs)
        await check_agents(graphs, parts.services.clients)
        worker = Worker(parts.runner, store=parts.store, services=parts.services, agents=agents)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        if with_parent:  # a parent that is killed can say nothing, but its end of the pipe closes
            loop.add_reader(sys.stdin.fileno(), _at_end_of_input, worker)
        click.echo(f"working on {', '.join(parts.runner.lanes)}; stop with Ctrl-C", err=True)
        await worker.run()


def _at_end_of_input(worker: "Worker") -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        worker.stop()
