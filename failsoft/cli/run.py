"""failsoft run: handle one event with an agent, here and now."""

import asyncio
import hashlib
import json
import secrets
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from failsoft.checkpoints.database import connect
from failsoft.cli.private_sandbox import keep_apart, real_or_sandbox
from failsoft.errors import InvalidEventError, UsageError
from failsoft.events import MAX_TEXT, Event, Ignored
from failsoft.parsing import JSONObject, clean_text, parse_object
from failsoft.settings import Settings

if TYPE_CHECKING:
    from failsoft.cli.account import Account

MAX_BYTES = 4 * MAX_TEXT
MAX_MAIL = 40 * 1024 * 1024  # bytes of a raw e-mail
GOES_ON = {"queued", "parked"}


@click.command("run")
@click.argument("agent")
@click.argument("source", required=False, metavar="[-]")
@click.option("--text", help="The text of the event.")
@click.option("--key", help="Its business key; default: a hash of the text, so twice is once.")
@click.option("--event", "file", metavar="FILE", help="A JSON file with the event; - is stdin.")
@click.option("--mail", metavar="FILE", help="A raw e-mail, as .eml files are; - is stdin.")
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    agent: str,
    source: str | None,
    *,
    text: str | None,
    key: str | None,
    file: str | None,
    mail: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Handle one event with AGENT, here and now, and print the path, the result and the trace.

    AGENT is a shipped name (slack-jira, email-salesforce) or package.module:attribute. The event
    is --text, a raw e-mail from --mail FILE, or JSON from --event FILE or - : failsoft's own form
    {"key","source","text","facts"}, or what Slack sends (an event_callback). The same key is
    handled once: asked again, the run is shown as it is.
    """
    given = Given.read(text=text, key=key, file=file, source=source, mail=mail)
    with real_or_sandbox(lambda line: click.echo(line, err=True)) as settings:
        event = given.event(settings)
        if dry_run and isinstance(event, Event):  # a rehearsal must not use the real key up
            event = replace(event, key=f"{event.key}#dry-{secrets.token_hex(4)}")
        account = asyncio.run(handle(agent, event, settings, dry_run=dry_run))
    if as_json:
        click.echo(json.dumps(account.to_json(), sort_keys=True))
    else:
        account.show()
    sys.exit(0 if account.well else 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the options name, read and measured; what it says depends on the settings."""

    text: str | None = None
    key: str | None = None
    payload: JSONObject | None = None
    mail: bytes | None = None

    @classmethod
    def read(
        cls, *, text: str | None = None, key: str | None = None, file: str | None = None,
        source: str | None = None, mail: str | None = None,
    ) -> Self:  # fmt: skip
        """Read what was named, never more of it than is allowed.

        Raises:
            UsageError: none, or two of them, were given, or a key beside what has its own.
            InvalidEventError: it cannot be read.
        """
        if source not in {None, "-"}:
            raise UsageError(f"What is {source!r}? Give --text, --event FILE, or - for stdin.")
        if sum(each is not None for each in (text, file, source, mail)) != 1:
            raise UsageError("Give one of --text TEXT, --mail FILE, --event FILE (or - for stdin).")
        if key is not None and text is None:
            raise UsageError(
                "--key goes with --text only: a mail or an event has a key of its own."
            )
        if mail is not None:
            return cls(mail=_bytes(mail, MAX_MAIL))
        if text is None:
            content = _bytes(str(file or source), MAX_BYTES)
            return cls(payload=parse_object(content, max_bytes=MAX_BYTES))
        text = clean_text(text)
        if not text.strip():
            raise InvalidEventError("The text is empty.")
        return cls(text=text, key=key)

    def event(self, settings: Settings) -> Event | Ignored:
        """Return the event; raises InvalidEventError."""
        if self.mail is not None:
            from failsoft.intake.mail import MailRules, read_mail  # noqa: PLC0415  # not for --help

            return read_mail(self.mail, MailRules.of(settings))
        if self.payload is not None:
            return _event_of(self.payload, settings)
        text = self.text or ""
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Event(key=self.key or f"cli:{digest}", source="cli", text=text)


def _bytes(file: str, most: int) -> bytes:
    try:
        if file == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidEventError(f"{file!r} cannot be read: {reason}.") from None
    if len(content) > most:
        raise InvalidEventError(f"{file} is larger than the {most} bytes that are allowed.")
    return content


def _event_of(payload: JSONObject, settings: Settings) -> Event | Ignored:
    from failsoft.intake.slack import normalise  # noqa: PLC0415

    if "key" in payload:
        return Event.from_json(payload)
    return normalise(payload, own_bot_id=settings.slack_bot_id)


async def handle(
    agent: str, event: Event | Ignored, settings: Settings, *, dry_run: bool
) -> "Account":
    """Admit the event, drive its run until it rests, and give an account of it."""
    from failsoft.agents.load import load_graph  # noqa: PLC0415
    from failsoft.cli.account import Account  # noqa: PLC0415
    from failsoft.intake.admission import Reception  # noqa: PLC0415
    from failsoft.workers.assembly import assemble  # noqa: PLC0415
    from failsoft.workers.here import drive_here  # noqa: PLC0415

    graph = load_graph(agent)
    async with connect(settings) as database, assemble([graph], database, settings) as parts:
        await keep_apart(settings, parts.store.runs)
        reception = Reception.of(graph, parts.store.runs)
        admission = await reception.admit(event, dry_run=dry_run)
        if isinstance(admission, Ignored):
            return Account.of_ignored(admission)
        rest: Any = None
        row = await parts.store.runs.get(admission.run_id)
        if row["state"] in GOES_ON and row["lane"] == graph.lane:
            rest = await drive_here(parts, admission.run_id)
        return await Account.of_run(parts.store, settings, admission, rest)
