"""A sandbox of one's own for one command, when nothing real is configured."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failsoft.errors import ConfigurationError, MissingExtraError
from failsoft.settings import Settings, load_settings

if TYPE_CHECKING:
    from failsoft.checkpoints.runs import Runs

MARK = "sandbox-only"  # a file in a home whose runs only ever knew a sandbox
SUPPORT = "support@sandbox.example"
REAL = (
    "FAILSOFT_MODEL",
    "FAILSOFT_JIRA_BASE_URL",
    "FAILSOFT_SALESFORCE_INSTANCE_URL",
    "FAILSOFT_SLACK_TOKEN",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a sandbox is: its URL, and the port on which it takes mail."""

    url: str
    smtp: int


def variables(url: str, smtp: int | None = None) -> dict[str, str]:
    """Return the environment that points every connector at the sandbox at `url`.

    `smtp` is the port on which it takes mail; without it none is sent.
    """
    mail = {
        "FAILSOFT_SMTP_HOST": "127.0.0.1",
        "FAILSOFT_SMTP_PORT": str(smtp),
        "FAILSOFT_SMTP_SECURITY": "none",
    }
    return {
        "FAILSOFT_PROFILE": "sandbox",
        "FAILSOFT_SLACK_BASE_URL": f"{url}/slack/api/",
        "FAILSOFT_SLACK_TOKEN": "xoxb-sandbox",
        "FAILSOFT_SLACK_APP_TOKEN": "xapp-sandbox",
        "FAILSOFT_SLACK_SIGNING_SECRET": "sandbox-signing-secret",
        "FAILSOFT_JIRA_BASE_URL": f"{url}/jira",
        "FAILSOFT_JIRA_EMAIL": "bot@example.com",
        "FAILSOFT_JIRA_TOKEN": "sandbox-jira-token",
        "FAILSOFT_SALESFORCE_INSTANCE_URL": f"{url}/salesforce",
        "FAILSOFT_SALESFORCE_CLIENT_ID": "sandbox-app",
        "FAILSOFT_SALESFORCE_CLIENT_SECRET": "sandbox-salesforce-secret",
        "FAILSOFT_MODEL": "openai:sandbox-keywords",
        "FAILSOFT_MODEL_BASE_URL": f"{url}/v1",
        "FAILSOFT_MODEL_API_KEY": "sandbox-model-key",
        "FAILSOFT_MODEL_PRICE": "0.25/2.00",
        "FAILSOFT_MAIL_FROM": SUPPORT,
        "FAILSOFT_MAIL_OWN_ADDRESSES": SUPPORT,
        "FAILSOFT_PAGERDUTY_URL": f"{url}/hooks",
        "FAILSOFT_PAGERDUTY_ROUTING_KEY": "sandboxsandboxsandboxsandboxsand",
        "FAILSOFT_WEBHOOKS__DESK__URL": f"{url}/hooks/webhook/desk",
        "FAILSOFT_WEBHOOKS__DESK__SECRET": "sandbox-webhook-secret",
        **(mail if smtp is not None else {}),
    }


def nothing_real() -> bool:
    """Tell whether no model, Jira, Salesforce or Slack is configured at all."""
    return not any(os.environ.get(name) for name in REAL)


@contextlib.contextmanager
def sandbox_process(*, seed: int = 0, lag: float = 0.0) -> Iterator[Place]:
    """Start the sandbox as a process of its own and say where; it ends with this block.

    Raises:
        MissingExtraError: its servers are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("aiohttp", "aiosmtpd")):
        raise MissingExtraError("sandbox", "The sandbox")
    command = [sys.executable, "-m", "failsoft.sandbox", "--port", "0", "--with-parent"]
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [*command, "--seed", str(seed), "--lag", str(lag)],
        stdin=subprocess.PIPE,  # its end is how the child learns that we are gone, kill -9 or not
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise ConfigurationError("The sandbox did not start; try `failsoft sandbox`.")
        yield place_of(line)
    finally:
        process.terminate()
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def place_of(line: str) -> Place:
    """Read the one line in which a sandbox says where it is."""
    said = json.loads(line)
    return Place(url=str(said["url"]), smtp=int(said["smtp"]))


@contextlib.contextmanager
def real_or_sandbox(say: Callable[[str], object]) -> Iterator[Settings]:
    """Give the settings of the environment; where nothing is configured, those of a sandbox.

    Raises:
        ConfigurationError: nothing is configured but a database, which must know no sandbox.
    """
    if not nothing_real():
        yield load_settings()
        return
    if os.environ.get("FAILSOFT_DSN"):
        raise ConfigurationError(
            "FAILSOFT_DSN is set, but no model, Jira, Salesforce or Slack: set them (failsoft "
            "doctor names them), or unset FAILSOFT_DSN to try the agent in a sandbox."
        )
    with sandbox_process() as place:
        before = dict(os.environ)
        os.environ.update(variables(place.url, place.smtp))
        say(
            "no model, Jira, Salesforce or Slack is configured: using a sandbox of this command at "
            f"{place.url}"
        )
        try:
            yield load_settings()
        finally:
            os.environ.clear()
            os.environ.update(before)


def in_sandbox() -> bool:
    """Tell whether the home's runs know only a sandbox, one that lives as long as a command."""
    return nothing_real() and (load_settings().home / MARK).exists()


async def keep_apart(settings: Settings, runs: "Runs") -> None:
    """Refuse to drive runs of a sandbox in the real world, or the other way round.

    A home of the embedded database knows one of the two; with FAILSOFT_DSN its owner decides.

    Raises:
        ConfigurationError: they would meet.
    """
    note = settings.home / MARK
    if settings.dsn is not None or (settings.profile == "sandbox" and note.exists()):
        return
    if settings.profile == "sandbox":
        if any((await runs.counts()).values()):
            raise ConfigurationError(
                f"{settings.home} holds runs of the real world, and nothing real is configured "
                "now: set a model, Jira and Slack, or FAILSOFT_HOME to another folder."
            )
        note.touch()
    elif note.exists():
        raise ConfigurationError(
            f"The runs in {settings.home} were begun in a sandbox and would go on in the real "
            "world: set FAILSOFT_HOME to another folder. To go on in a sandbox repeat `failsoft "
            "run`, or start `failsoft sandbox` and set what it prints."
        )
