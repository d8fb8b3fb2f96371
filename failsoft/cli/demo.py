"""failsoft demo: sixty Slack messages become Jira tickets while everything breaks."""

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import click

from failsoft.cli.demo_deliveries import FEWEST
from failsoft.cli.demo_progress import Progress
from failsoft.errors import UsageError

if TYPE_CHECKING:
    from failsoft.cli.demo_stage import Stage
    from failsoft.cli.demo_summary import Summary


@click.command("demo")
@click.option(
    "--messages", type=click.IntRange(FEWEST), default=60, show_default=True, help="How many."
)
@click.option("--seed", default=1, show_default=True, help="What happens follows from it.")
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Worker processes."
)
@click.option("--naive", is_flag=True, help="The same through a plain LangGraph graph instead.")
@click.option("--keep", is_flag=True, help="Keep the database, to look at runs and reviews.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def command(
    messages: int, seed: int, workers: int, *, naive: bool, keep: bool, as_json: bool
) -> None:
    """Sixty Slack messages become Jira tickets while everything breaks.

    The model answers broken JSON, Jira answers 500 and 429 and drops connections after it has
    created the ticket, and workers are killed -9. The tickets are counted in the simulated Jira.
    Exit code 0: no duplicate, nothing lost, nothing dead, and every audit chain verifies.

    The database is a private one; with FAILSOFT_DSN set it is that one, which must hold no runs of
    slack-jira yet.
    """
    from failsoft.cli.demo_stage import build_stage  # noqa: PLC0415  # heavy: not for --help

    # As Ctrl-C: a demo that just ended would leave its workers behind.
    signal.signal(signal.SIGTERM, _stop)
    progress = Progress()
    progress.say("setting up Postgres, Slack, Jira and a model")
    with build_stage(seed=seed, keep=keep, own_database=naive) as stage:
        if naive:
            from failsoft.cli.demo_naive import perform_naive  # noqa: PLC0415

            control = asyncio.run(perform_naive(messages, seed, stage, progress))
            progress.end()
            click.echo(json.dumps(control.to_json()) if as_json else "\n".join(control.lines()))
            return
        summary = asyncio.run(perform(messages, seed, workers, stage, progress))
    progress.end()
    if as_json:
        click.echo(json.dumps(summary.to_json(), sort_keys=True))
    else:
        click.echo("\n".join([*summary.lines(), *_how_to_look(summary, keep=keep)]))
    sys.exit(0 if summary.well else 1)


async def perform(
    messages: int, seed: int, workers: int, stage: "Stage", progress: Progress
) -> "Summary":
    """Play the whole demo on its stage.

    Raises:
        UsageError: the database at FAILSOFT_DSN holds runs of the agent.
    """
    from failsoft.agents.load import load_graph  # noqa: PLC0415
    from failsoft.checkpoints.database import connect  # noqa: PLC0415
    from failsoft.checkpoints.migrate import migrate  # noqa: PLC0415
    from failsoft.cli.demo_play import AGENT, Play, Script  # noqa: PLC0415
    from failsoft.cli.demo_stage import Whose  # noqa: PLC0415
    from failsoft.cli.demo_workers import Crew  # noqa: PLC0415
    from failsoft.cli.demo_world import World  # noqa: PLC0415
    from failsoft.workers.assembly import assemble  # noqa: PLC0415

    script = Script.write(messages, seed)
    if stage.database is Whose.OURS:
        await migrate(stage.dsn)
    else:
        progress.say("using the database at FAILSOFT_DSN")
    crew = Crew(
        command=["-m", "failsoft.cli.main", "worker", AGENT, "--with-parent"],
        size=workers,
        log=stage.home / "workers.log",
    )
    async with (
        connect(stage.settings) as database,
        assemble([load_graph(AGENT)], database, stage.settings) as parts,
        World(stage.url) as world,
    ):
        if await parts.store.runs.list(agent=AGENT, limit=1):
            raise UsageError(
                f"The database at FAILSOFT_DSN holds runs of {AGENT}: unset FAILSOFT_DSN for a"
                " private database, or name an empty one."
            )
        await world.set_faults(script.faults)
        async with crew:
            play = Play(
                script=script,
                stage=stage,
                parts=parts,
                world=world,
                crew=crew,
                progress=progress,
            )
            return await play.perform()


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _how_to_look(summary: "Summary", *, keep: bool) -> list[str]:
    home = f"failsoft --home {summary.home}"
    if not keep:
        return [f"A trace: {home} trace show ID. The database is gone; --keep keeps it."]
    return [f"Look: {home} runs list, {home} reviews list, {home} trace show ID."]
