"""The demo of email-salesforce: mails become Salesforce cases."""

import asyncio
import contextlib
import json
import random
import smtplib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from failsoft.agents.email_salesforce.requests import ROUTES
from failsoft.checkpoints.runs import TWIN_MARK
from failsoft.cli.demo_faults import CASE, EMAIL_SALESFORCE
from failsoft.cli.demo_mails import (
    ALIASES,
    ANSWERS_US,
    Letter,
    Posting,
    Thanks,
    postings_of,
    write_letters,
)
from failsoft.cli.demo_scenario import Entrance, Expected, Fate, Made, Part, Scenario, Seen, Words
from failsoft.cli.demo_stage import Stage
from failsoft.cli.demo_world import World
from failsoft.errors import UnavailableError
from failsoft.events import Event, Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.listening import Listening
from failsoft.intake.mail import MailRules, read_mail
from failsoft.intake.smtp import SmtpDoor
from failsoft.sandbox.salesforce_fields import TXN
from failsoft.settings import load_settings
from failsoft.workers.assembly import Parts

FATES = {"case": Fate.OWN, "joined": Fate.JOINED, "listed": Fate.LISTED}  # by `expect`
QUIET = "quiet"  # the kind that opens a case and must not be thanked for
HOST = "127.0.0.1"
HANDED = 30.0  # seconds that a mail server waits for ours
TRIES = 5  # of a mail that ours puts off, as a mail server would
PAUSE = 1.0  # seconds between two of them
OPENED = 0.01  # seconds between two looks whether the door is open


class Postman(Entrance[Posting]):
    """A mail server that hands mails over to our door, each until it hears that it is taken."""

    def __init__(self, port: int, world: World) -> None:
        self.port = port
        self.world = world
        self.delivered = []

    @override
    async def deliver(self, delivery: Posting) -> None:
        if delivery.letter.sample.kind in ANSWERS_US:
            delivery = replace(delivery, thanks=await self._thanks_for(delivery.letter.root))
        for _ in range(TRIES):
            if await asyncio.to_thread(self._hand_over, delivery):
                self.delivered.append(delivery)
                return
            await asyncio.sleep(PAUSE)
        raise UnavailableError("The door takes no mail: the database is away.")

    def _hand_over(self, posting: Posting) -> bool:
        """Say whether a mail was taken."""
        try:
            with smtplib.SMTP(HOST, self.port, local_hostname="there", timeout=HANDED) as server:
                server.sendmail(posting.envelope_sender, [posting.alias], posting.raw)
        except (smtplib.SMTPException, OSError):
            return False
        return True

    async def _thanks_for(self, letter: Letter | None) -> Thanks | None:
        """Return our answer to a letter; None where a fault has kept it back."""
        mails = (await self.world.state())["mail"]
        found = (mail for mail in mails if letter and _place(mail) == letter.place)
        mail = next(found, None)
        return Thanks(message_id=mail["message_id"], text=mail["text"]) if mail else None


class EmailSalesforce(Scenario[Posting]):
    """Mails to two addresses of one mailbox, and what becomes of them in Salesforce."""

    agent = "email-salesforce"
    creation = CASE
    words = Words(
        came="mails", made="cases in Salesforce", one="case", system="Salesforce", counted="cases"
    )
    harm = EMAIL_SALESFORCE

    @override
    def write(self, number: int, rng: random.Random) -> list[Sequence[Posting]]:
        return postings_of(write_letters(number, rng), rng)

    @override
    def expected(self, delivered: Sequence[Posting]) -> Mapping[str, Expected]:
        found: dict[str, Expected] = {}
        rules, digests = MailRules.of(load_settings()), dict[str, str]()
        for posting in delivered:
            event = read_mail(posting.arrived, rules)
            found[_key(event, digests)] = _expected(posting.letter)
        return found

    @override
    @contextlib.asynccontextmanager
    async def entrance(
        self, stage: Stage, parts: Parts, world: World
    ) -> AsyncIterator[Entrance[Posting]]:
        (graph,) = parts.graphs
        door = SmtpDoor(
            HOST, 0, MailRules.of(stage.settings), recipients=list(ALIASES),
            patience=stage.settings.timing.send,
        )  # fmt: skip
        listening = Listening(reception=Reception.of(graph, parts.store.runs), doors=[door])
        open_ = asyncio.create_task(listening.run())
        try:
            while door.port == 0 and not open_.done():  # noqa: ASYNC110  # its port says it is open
                await asyncio.sleep(OPENED)
            yield Postman(door.port, world)
        finally:
            listening.stop()
            await open_

    @override
    def route(self, label: str) -> tuple[str, ...]:
        found = ROUTES[label]
        return found.queue, found.priority

    @override
    def seen(self, state: Mapping[str, Any]) -> Seen:
        cases = {case["Id"]: case for case in state["salesforce"]["cases"]}
        return Seen(
            made=[
                Made(
                    transaction_id=str(case.get(TXN)),
                    text=_words_of(case, "Subject", "Description"),
                    route=(str(case.get("queue")), str(case.get("Priority"))),
                )
                for case in cases.values()
            ],
            parts=[
                Part(
                    text=_words_of(mail, "Subject", "TextBody"),
                    within=_words_of(cases.get(mail["ParentId"], {}), "Subject", "Description"),
                )
                for mail in state["salesforce"]["emails"]
            ],
            answers=[_place(mail) for mail in state["mail"]],
        )


def _key(event: Event | Ignored, digests: dict[str, str]) -> str:
    """Return the key of an event; another mail under a known id gets one of its own."""
    if isinstance(event, Ignored) or event.digest is None:
        return event.key
    known = digests.setdefault(event.key, event.digest) == event.digest
    return event.key if known else f"{event.key}#{event.digest[:TWIN_MARK]}"


def _expected(letter: Letter) -> Expected:
    """Return what the sample says; a mail that opens a case stands on it, too."""
    fate = FATES[letter.sample.expect]
    roots = {
        Fate.OWN: letter.nonce,
        Fate.JOINED: letter.root.nonce if letter.root else "",
        Fate.LISTED: "",
    }
    return Expected(
        nonce=letter.nonce,
        fate=fate,
        place=letter.place,
        silent=fate is not Fate.OWN or letter.sample.kind == QUIET,
        root=roots[fate],
        label=letter.sample.label if letter.sample.kind == "normal" else None,
    )


def _place(mail: Mapping[str, Any]) -> str:
    """Return whom, and what, a mail of ours answers."""
    return f"{' '.join(mail['to'])} {mail['headers'].get('in-reply-to', '')}"


def _words_of(record: Mapping[str, Any], *names: str) -> str:
    return json.dumps([record.get(name) for name in names])
