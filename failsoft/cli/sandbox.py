"""failsoft sandbox: the simulated outside world in the foreground."""

import importlib.util
import json
import signal
import subprocess
import sys

import click

from failsoft.cli.private_sandbox import place_of, variables
from failsoft.cli.table import show_json
from failsoft.errors import MissingExtraError


@click.command("sandbox")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8377,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which calls faults hit.")
@click.option(
    "--lag",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Seconds by which Jira's search index is late.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(port: int, seed: int, lag: float, *, as_json: bool) -> None:
    """Run the simulated Slack, Jira, Salesforce, model, mail server and receivers until Ctrl-C.

    Everything is in memory, on this machine, and gone at the end. It takes faults at /_sim/faults
    and tells at /_sim/state what it really did.
    """
    if any(importlib.util.find_spec(name) is None for name in ("aiohttp", "aiosmtpd")):
        raise MissingExtraError("sandbox", "The sandbox")
    options = ["--port", str(port), "--seed", str(seed), "--lag", str(lag)]
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "failsoft.sandbox", "--with-parent", *options],
        stdin=subprocess.PIPE,  # its end is how the child learns that we are gone
        stdout=subprocess.PIPE,
        text=True,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    with process:
        line = process.stdout.readline() if process.stdout else ""
        if line:
            _announce(line, as_json=as_json)
        process.wait()
    sys.exit(0 if line else process.returncode)  # without a line it has said why on stderr


def _announce(line: str, *, as_json: bool) -> None:
    place = place_of(line)
    environment = variables(place.url, place.smtp)
    if as_json:
        show_json({**json.loads(line), "environment": environment})
    else:
        click.echo(f"# The sandbox is at {place.url}; it ends with Ctrl-C. In another shell:")
        for name, value in environment.items():
            click.echo(f"export {name}={value}")
        click.echo("# then: failsoft run slack-jira --text 'The checkout page is down'")
    sys.stdout.flush()
