"""The command `failsoft`: sub-commands load when they are called, so that help is quick."""

import importlib
import logging
import sys

import click

import failsoft
from failsoft.errors import FailsoftError

COMMANDS = {
    "demo": "Sixty messages become tickets or cases while everything breaks.",
    "run": "Handle one event with an agent, here and now.",
    "worker": "Drive the due runs of agents until stopped.",
    "listen": "Open the doors of an agent: Slack, mail, queues.",
    "serve": "Offer the HTTP doors: Slack, mail, answers of people.",
    "runs": "List, show, resume, cancel and replay runs.",
    "reviews": "List, show and answer the questions that wait for a person.",
    "dead": "List, retry and discard runs that cannot go on.",
    "ignored": "List what came in and started nothing, with its reason.",
    "rules": "Propose, measure and change the keyword rules of an agent.",
    "graph": "Draw an agent's graph.",
    "new": "Make a package of your own agent that runs in the sandbox at once.",
    "sandbox": "Run the simulated outside world on this machine.",
    "db": "Look after the database: status, migrate, stop, url.",
    "doctor": "Check settings, database, connectors and routes.",
    "trace": "List and show the local traces of attempts.",
}


class LazyGroup(click.Group):
    """Import `failsoft.cli.<name>` only when that command is called; help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"failsoft.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(failsoft.__version__, prog_name="failsoft")
@click.option("--dsn", metavar="DSN", help="The database; default: FAILSOFT_DSN, else embedded.")
@click.option("--home", metavar="FOLDER", help="Where failsoft keeps its files; default: .failsoft")
@click.option("-v", "--verbose", is_flag=True, help="Log what is going on to stderr.")
def command(dsn: str | None, home: str | None, *, verbose: bool) -> None:
    """Agents that fail soft: no event lost, no write twice, a person asked when nobody can know.

    Exit codes: 0 done, 1 it failed, 2 wrong use, 3 wrong configuration, 4 something is away.
    """
    from failsoft.cli.environment import prepare  # noqa: PLC0415  # not for --help

    prepare(dsn=dsn, home=home, verbose=verbose)


def main() -> None:
    """Run the command; what failsoft raises on purpose becomes one sentence and an exit code."""
    try:
        command(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FailsoftError as error:
        logging.getLogger(__name__).debug("the reason:", exc_info=True)
        click.echo(f"failsoft: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


if __name__ == "__main__":
    main()
