"""failsoft demo: sixty messages become tickets, or mails cases, while everything breaks."""

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from failsoft.cli.demo_progress import Progress
from failsoft.cli.demo_samples import FEWEST
from failsoft.cli.demo_scenario import AGENTS, scenario_of
from failsoft.errors import UsageError

if TYPE_CHECKING:
    from failsoft.cli.demo_summary import Summary

SLACK = "slack-jira"

Played = TypeVar("Played")


@click.command("demo")
@click.argument("agent", type=click.Choice(list(AGENTS)), default=SLACK, metavar="[AGENT]")
@click.option(
    "--messages", type=click.IntRange(FEWEST), default=60, show_default=True, help="How many."
)
@click.option("--seed", default=1, show_default=True, help="What happens follows from it.")
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Worker processes."
)
@click.option("--naive", is_flag=True, help="Slack's through a plain LangGraph graph instead.")
@click.option("--keep", is_flag=True, help="Keep the database, to look at runs and reviews.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def command(
    agent: str, messages: int, seed: int, workers: int, *, naive: bool, keep: bool, as_json: bool
) -> None:
    """Sixty messages become tickets or cases while everything breaks.

    AGENT is slack-jira, the default, or email-salesforce: Slack messages become Jira tickets, or
    mails become Salesforce cases. The model answers broken JSON; Jira, Salesforce and SMTP answer
    errors and drop connections after they have done what they were asked for; workers are
    killed -9. The tickets and cases are counted in the simulated Jira and Salesforce.
    Exit code 0: no duplicate, nothing lost, nothing dead, and every audit chain verifies.

    The database is a private one; with FAILSOFT_DSN set it is that one, which must hold no runs of
    the agent yet.
    """
    from failsoft.cli.demo_play import perform  # noqa: PLC0415  # heavy: not for --help
    from failsoft.cli.demo_script import Script  # noqa: PLC0415  # likewise
    from failsoft.cli.demo_stage import build_stage  # noqa: PLC0415  # likewise

    if naive and agent != SLACK:
        raise UsageError(f"--naive plays {SLACK} only: there is no plain graph of {agent}.")
    # As Ctrl-C: a demo that just ended would leave its workers behind.
    signal.signal(signal.SIGTERM, _stop)
    progress = Progress()
    progress.say("setting up Postgres, the outside world and a model")
    with build_stage(seed=seed, keep=keep, own_database=naive) as stage:
        script = Script.write(scenario_of(agent), messages, seed)
        if naive:
            from failsoft.cli.demo_naive import perform_naive  # noqa: PLC0415  # likewise

            control = asyncio.run(_stoppable(perform_naive(script, stage, progress)))
            _tell(control.to_json() if as_json else control.lines(), progress)
            return
        summary = asyncio.run(_stoppable(perform(script, workers, stage, progress)))
    lines = [*summary.lines(), *_how_to_look(summary, keep=keep)]
    _tell(summary.to_json() if as_json else lines, progress)
    sys.exit(0 if summary.well else 1)


def _tell(said: Mapping[str, object] | Sequence[str], progress: Progress) -> None:
    progress.end()
    as_json = isinstance(said, Mapping)
    click.echo(json.dumps(said, sort_keys=True) if as_json else "\n".join(said))


async def _stoppable(playing: Coroutine[Any, Any, Played]) -> Played:
    """Play; SIGTERM cancels it, so that the workers' processes are awaited before the loop closes.

    Raises:
        KeyboardInterrupt: it was stopped so.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(playing)
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, _stop)


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _how_to_look(summary: "Summary", *, keep: bool) -> list[str]:
    home = f"failsoft --home {summary.home}"
    if not keep:
        return [f"A trace: {home} trace show ID. The database is gone; --keep keeps it."]
    return [f"Look: {home} runs list, {home} reviews list, {home} trace show ID."]
