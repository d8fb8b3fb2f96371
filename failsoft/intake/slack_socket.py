"""The door to Slack's Socket Mode: no public address is needed.

An envelope is acknowledged once what it holds is durable; until then Slack sends it again. What
Slack gave up on while nothing was connected is read from the history: see the door slack-history.
"""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from failsoft.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingSettingError,
    RefusedError,
    TransientError,
    UnavailableError,
)
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.slack_answers import Handled, SlackAnswers
from failsoft.intake.slack_calls import SlackCalls
from failsoft.intake.slack_events import read_event
from failsoft.parsing import JSON, JSONObject
from failsoft.settings import Settings

if TYPE_CHECKING:
    from failsoft.intake.slack_connection import Connection

logger = logging.getLogger(__name__)

PACKAGES = ("slack_sdk", "aiohttp")
PATIENCE = 5.0  # seconds that what tells people of their answers gets at the end


class SocketDoor(Door):
    """Everything that Slack sends to the app: its events, and people's answers to reviews."""

    name = "slack-socket"

    def __init__(self, settings: Settings) -> None:
        """Raise MissingSettingError without both tokens."""
        if settings.slack_app_token is None:
            purpose = "the app-level token (xapp-…, connections:write) of Socket Mode"
            raise MissingSettingError("FAILSOFT_SLACK_APP_TOKEN", purpose)
        if settings.slack_token is None:
            raise MissingSettingError("FAILSOFT_SLACK_TOKEN", "the bot token of the Slack app")
        self.settings = settings
        self.app_token = settings.slack_app_token

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Set up the door that `slack-socket` names; nothing is connected.

        Raises:
            ConfigurationError: the spec holds more than that, or a token is missing.
            MissingExtraError: slack_sdk is not installed.
        """
        if spec != cls.name:
            raise ConfigurationError(f"The door of Socket Mode is written {cls.name}, and no more.")
        if any(find_spec(package) is None for package in PACKAGES):
            raise MissingExtraError("slack", "The door of Socket Mode")
        return cls(settings)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Keep one connection open, and open the next when Slack ends it."""
        database = reception.runs.database
        calls = SlackCalls(self.settings, database, self.app_token)
        answers = SlackAnswers.of(self.settings, database)
        try:
            while not stopping.is_set():
                visit = Visit(self, reception, answers, stopping)
                await visit.stay(await self._address(calls))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self.settings.timing.poll)
        finally:
            await calls.close()
            await answers.close()

    async def _address(self, calls: SlackCalls) -> str:
        """Ask Slack where to connect."""
        try:
            answer = await calls.call("apps.connections.open", {})
        except RefusedError as error:
            raise ConfigurationError(f"FAILSOFT_SLACK_APP_TOKEN does not work: {error}.") from None
        url = answer.get("url")
        secure = self.settings.slack_base_url.startswith("https:")
        if not isinstance(url, str) or not url.startswith("wss:" if secure else "ws"):
            raise UnavailableError("Slack gave no address of a socket.")
        return url


@dataclass
class Visit:
    """What one connection is used for: its envelopes are taken one by one, in their order."""

    door: SocketDoor
    reception: Reception
    answers: SlackAnswers
    stopping: asyncio.Event
    trouble: Exception | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    telling: set[asyncio.Task[None]] = field(default_factory=set)

    async def stay(self, url: str) -> None:
        """Take what comes until the connection ends, or a stop.

        Raises:
            UnavailableError: Slack or the database is away. The connection is given up with what
                was not acknowledged, which Slack brings again, perhaps to another process.
        """
        from failsoft.intake.slack_connection import Connection  # noqa: PLC0415  # an extra

        connection = Connection(
            url, lambda number, message: self._take(connection, number, message)
        )
        try:
            await connection.open(self.door.settings.timing.connect)
            while not self._over and await connection.is_connected():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), self.door.settings.timing.poll)
            async with self.turn:  # what is in hand is ended
                pass
            if self.trouble is not None:
                raise self.trouble
        finally:
            await connection.end()
            if self.telling:
                _, late = await asyncio.wait(self.telling, timeout=PATIENCE)
                for task in late:
                    task.cancel()

    @property
    def _over(self) -> bool:
        return self.stopping.is_set() or self.trouble is not None

    async def _take(self, connection: "Connection", envelope_id: str, message: JSONObject) -> None:
        """Make one envelope durable, and only then acknowledge it."""
        async with self.turn:
            if self._over:
                return  # it comes again
            try:
                handled = await self._durable(message)
                await connection.acknowledge(envelope_id, handled.body)
            except TransientError as error:
                logger.info("an envelope comes again: %s", error)
            except Exception as error:  # noqa: BLE001  # `stay` raises it: nothing more is taken
                self.trouble = error
            else:
                self._follow(handled)

    async def _durable(self, message: JSONObject) -> Handled:
        payload: JSON = message.get("payload")
        match message.get("type"):
            case "events_api":
                body = json.dumps(payload).encode()
                await self.reception.admit(read_event(body, self.door.settings.slack_bot_id))
            case "interactive" if isinstance(payload, dict):
                return await self.answers.handle(payload)
            case kind:
                logger.info("an envelope of the kind %r is ignored", kind)
        return Handled()

    def _follow(self, handled: Handled) -> None:
        """Tell people what became of their answer, beside what comes next."""
        if handled.step is not None:
            task = asyncio.create_task(self.answers.follow(handled))
            self.telling.add(task)
            task.add_done_callback(self.telling.discard)
