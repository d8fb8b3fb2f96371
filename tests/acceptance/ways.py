"""A way in: how a thing is sent there, and when all that was sent is taken."""

import asyncio
import contextlib
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, ClassVar

from failsoft.events import Event
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.doors import open_door
from failsoft.intake.listening import Listening
from failsoft.intake.mail import MailRules, read_mail
from failsoft.settings import Settings
from failsoft.web.app import build_app
from failsoft.web.serving import Serving
from tests.integration.served import on_a_port
from tests.integration.test_queue_doors import Queue

MAIL, SLACK = "mail", "slack"
US = "support@sandbox.example"
TEAM, CHANNEL = "T0SANDBOX", "C0TRIAGE"
SAID_AT = 1_730_000_000  # all is said within this second
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the machine's certificates takes long


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that happened once, and is delivered again and again; `nonce` stands in it."""

    kind: str
    nonce: str
    number: int

    @property
    def text(self) -> str:
        return f"The Save address button shows an error 500 and crashes {self.nonce}"

    @property
    def ts(self) -> str:
        return f"{SAID_AT}.{self.number:06d}"

    @property
    def payload(self) -> dict[str, Any]:
        """The message as the Events API sends it."""
        said = {"type": "message", "channel": CHANNEL, "user": "U1", "ts": self.ts}
        event = {**said, "text": self.text}
        return {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": event}

    @property
    def raw(self) -> bytes:
        """The mail as a sender's server passes it on."""
        message = EmailMessage()
        message["From"], message["To"] = f"ann.{self.nonce}@customer.example", US
        message["Message-ID"], message["Subject"] = f"<{self.nonce}@customer.example>", "Help"
        message.set_content(self.text)
        return bytes(message)

    @property
    def key(self) -> str:
        if self.kind == SLACK:
            return f"slack:{TEAM}:{CHANNEL}:{self.ts}"
        event = read_mail(self.raw, MailRules(mailbox="inbox", own=frozenset({US})))
        assert isinstance(event, Event)
        return event.key


@dataclass
class Way(ABC):
    """One way in for the things of one kind."""

    name: ClassVar[str]
    carries: ClassVar[tuple[str, ...]]
    kind: str
    settings: Settings
    sent: int = 0
    doors: list[Door] = field(init=False)

    @abstractmethod
    def __post_init__(self) -> None:
        """Set up the doors."""

    @contextlib.asynccontextmanager
    async def open(self, reception: Reception) -> AsyncIterator[None]:
        """Keep the door open as `failsoft listen` does, as long as the block runs."""
        listening = Listening(reception=reception, doors=self.doors, first=0.1)
        running = asyncio.create_task(listening.run())
        try:
            yield
        finally:
            listening.stop()
            await running

    async def deliver(self, thing: Thing) -> None:
        await self.send(thing)
        self.sent += 1

    @abstractmethod
    async def send(self, thing: Thing) -> None: ...

    async def left(self) -> int:
        """Return how much of what was sent is not taken yet."""
        return 0


class Served(Way):
    """A way that leads through `failsoft serve`."""

    def __post_init__(self) -> None:
        self.doors = []

    @contextlib.asynccontextmanager
    async def open(self, reception: Reception) -> AsyncIterator[None]:
        serving = Serving(
            settings=self.settings,
            database=reception.runs.database,
            receptions={reception.agent: reception},
        )
        async with on_a_port(build_app(serving)) as self.url:
            yield


@dataclass
class Queued(Way):
    """A queue of any broker: it takes mails as they are, and Slack's deliveries."""

    carries = (MAIL, SLACK)
    queue: Queue = field(kw_only=True)

    def __post_init__(self) -> None:
        self.doors = [open_door(self.queue.spec, self.settings)]

    @contextlib.asynccontextmanager
    async def open(self, reception: Reception) -> AsyncIterator[None]:
        try:
            async with super().open(reception):
                yield
        finally:
            await self.queue.close()

    async def send(self, thing: Thing) -> None:
        if thing.kind == MAIL:
            await self.queue.publish(thing.raw, "message/rfc822")
        else:
            await self.queue.publish(json.dumps(thing.payload).encode())

    async def left(self) -> int:
        return await self.queue.left()
