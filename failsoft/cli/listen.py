"""failsoft listen: keep an agent's doors open."""

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from failsoft.checkpoints.database import connect
from failsoft.cli.private_sandbox import keep_apart
from failsoft.errors import ConfigurationError
from failsoft.settings import Settings, load_settings

if TYPE_CHECKING:
    from failsoft.intake.listening import Listening


@click.command("listen")
@click.argument("agent")
@click.option("--door", "specs", multiple=True, help="A door; default: those of FAILSOFT_DOORS.")
@click.option("--with-parent", is_flag=True, help="Stop too when standard input ends.")
def command(agent: str, specs: tuple[str, ...], *, with_parent: bool) -> None:
    """Bring what comes through doors to AGENT, until stopped; a worker drives the runs.

    \b
    slack-socket, slack-history      Slack, by a socket and from the history
    maildir:/path                    a Maildir, or a folder of .eml
    smtp:HOST:PORT                   mail that a server sends us
    imaps://USER@HOST/FOLDER         a mailbox
    amqps://…, rediss://…, sqs:URL   RabbitMQ, Redis streams, SQS
    salesforce-cases:QUEUE           cases that Email-to-Case opened

    What came is acknowledged once it is on disk. A door in trouble waits and is tried again while
    the others go on. SIGTERM and Ctrl-C drain.
    """  # noqa: D301  # \b keeps the list as it is
    settings = load_settings()
    asyncio.run(listen(agent, list(specs) or settings.doors, settings, with_parent=with_parent))


async def listen(
    agent: str, specs: list[str], settings: Settings, *, with_parent: bool = False
) -> None:
    """Keep the doors open until a signal says stop.

    Raises:
        ConfigurationError: there is no door, or one that can never work.
    """
    # heavy imports: not for --help
    from failsoft.agents.load import load_graph  # noqa: PLC0415
    from failsoft.checkpoints.store import Store  # noqa: PLC0415
    from failsoft.intake.admission import Reception  # noqa: PLC0415
    from failsoft.intake.doors import DOORS, open_doors  # noqa: PLC0415
    from failsoft.intake.listening import Listening  # noqa: PLC0415

    if not specs:
        known = ", ".join(DOORS)
        raise ConfigurationError(f"No door is named: give --door or set FAILSOFT_DOORS ({known}).")
    graph, doors = load_graph(agent), open_doors(specs, settings)
    async with connect(settings) as database:
        runs = Store.of(database).runs
        await keep_apart(settings, runs)
        listening = Listening(reception=Reception.of(graph, runs), doors=doors)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, listening.stop)
        if with_parent:
            loop.add_reader(sys.stdin.fileno(), _at_end_of_input, listening)
        names = ", ".join(door.name for door in doors)
        click.echo(f"listening for {graph.agent} at {names}; stop with Ctrl-C", err=True)
        await listening.run()


def _at_end_of_input(listening: "Listening") -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        listening.stop()
