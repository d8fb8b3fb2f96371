"""The door that reads channels back: what was said while no door was open, and what was missed.

The cursor of a channel is the ts of the newest message that is durable. Threads have no history
of their own, so that a day before the cursor is read again for those that have newer replies.
"""

import asyncio
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from typing_extensions import override

from failsoft.checkpoints.cursors import Cursor
from failsoft.errors import (
    ConfigurationError,
    MissingSettingError,
    RefusedError,
    UnavailableError,
)
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.slack_calls import SlackCalls
from failsoft.intake.slack_channel import SECOND, Channel, Identity, micros, ts_of
from failsoft.settings import Settings

logger = logging.getLogger(__name__)

BATCH = 50  # messages between two stored cursors
POLLS = 60  # of ours for one reading of all channels: once a minute
OVERLAP = 60 * SECOND  # that is read again: of two messages the older one may be shown later

_CHANNEL = re.compile(r"[CDG][A-Z0-9]{1,63}")
_SINCE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


class HistoryDoor(Door):
    """The channels of FAILSOFT_SLACK_CHANNELS; `pause` is in seconds, between two readings.

    A channel that was never read begins with what is said from now on, or with `since`, a ts.
    """

    name = "slack-history"

    def __init__(
        self, settings: Settings, *, since: str | None = None, pause: float | None = None
    ) -> None:
        """Raise ConfigurationError without channels and a bot token."""
        if settings.slack_token is None:
            raise MissingSettingError("FAILSOFT_SLACK_TOKEN", "the bot token of the Slack app")
        if not settings.slack_channels:
            purpose = "the ids of the channels whose history is read (C0123ABCD,…)"
            raise MissingSettingError("FAILSOFT_SLACK_CHANNELS", purpose)
        for channel in settings.slack_channels:
            if not _CHANNEL.fullmatch(channel):
                raise ConfigurationError(
                    f"FAILSOFT_SLACK_CHANNELS: {channel[:40]!r} is no id of a channel, such as"
                    " C0123ABCD: it stands at the end of the channel's details in Slack."
                )
        self.settings = settings
        self.token = settings.slack_token
        self.since = None if since is None else micros(since)
        self.pause = POLLS * settings.timing.poll if pause is None else pause

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Set up the door that `slack-history`, or `slack-history:<ts to begin with>`, names.

        Raises:
            ConfigurationError: the spec cannot be read, or a setting is missing.
        """
        _, _, since = spec.partition(":")
        if since and not _SINCE.fullmatch(since):
            raise ConfigurationError(
                "The door to the history is written slack-history, or slack-history:1723000000 to"
                " begin at that time (seconds since 1970) where a channel was never read."
            )
        return cls(settings, since=since or None)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Read all channels, and again after each pause."""
        while not stopping.is_set():
            await self.read(reception, stopping)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self.pause)

    async def read(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Read all channels once.

        Raises:
            UnavailableError: the database is away.
            TransientError: Slack is.
            ConfigurationError: the token, or a channel, will never be good.
        """
        calls = SlackCalls(self.settings, reception.runs.database, self.token)
        try:
            reading = Reading(
                door=self,
                calls=calls,
                identity=await self._identity(calls),
                reception=reception,
                stopping=stopping,
            )
            for channel in self.settings.slack_channels:
                await reading.read(channel)
        finally:
            await calls.close()

    async def _identity(self, calls: SlackCalls) -> Identity:
        """Ask whose token it is: a message of the history does not name its workspace."""
        try:
            answer = await calls.call("auth.test", {})
        except RefusedError as error:
            raise ConfigurationError(f"FAILSOFT_SLACK_TOKEN does not work: {error}.") from None
        team, bot = answer.get("team_id"), answer.get("bot_id")
        if not isinstance(team, str):
            raise UnavailableError("Slack does not say of which workspace the token is.")
        own = self.settings.slack_bot_id or (bot if isinstance(bot, str) else None)
        return Identity(team=team, bot_id=own)


@dataclass(kw_only=True)
class Reading:
    """What one reading is done with."""

    door: HistoryDoor
    calls: SlackCalls
    identity: Identity
    reception: Reception
    stopping: asyncio.Event

    async def read(self, name: str) -> None:
        """Admit what a channel has that is new, the oldest first, and move its cursor behind it.

        Raises:
            ConfigurationError: Slack will never show this channel.
        """
        started = self.calls.clock.monotonic()
        channel = Channel(
            name=name, calls=self.calls, identity=self.identity, stopping=self.stopping
        )
        try:
            begun, last = await self._place(channel)
            new = await channel.after(max(begun, last - OVERLAP))
        except RefusedError as error:
            raise ConfigurationError(
                f"The channel {name} cannot be read: {error}. Invite the app to it, and give it"
                " the scope channels:history (groups:history for a private one)."
            ) from None
        # What was posted while we read may be missing: as much time is read once more.
        took = int((self.calls.clock.monotonic() - started) * SECOND)
        for first in range(0, len(new), BATCH):
            for message in new[first : first + BATCH]:
                if self.stopping.is_set():
                    return
                await self.reception.admit(message.event)
                last = max(last, message.at - took)
            await self._store(name, begun, last)

    async def _place(self, channel: Channel) -> tuple[int, int]:
        """Return where a channel was begun and how far it is read, both in microseconds."""
        if place := await self._cursor(channel.name).read():
            return micros(str(place["begun"])), micros(str(place["ts"]))
        begun = await channel.newest() if self.door.since is None else self.door.since
        await self._store(channel.name, begun, begun)
        return begun, begun

    async def _store(self, name: str, begun: int, last: int) -> None:
        await self._cursor(name).store({"begun": ts_of(begun), "ts": ts_of(last)})

    def _cursor(self, name: str) -> Cursor:
        """Return a channel's own cursor: two processes may read different channels."""
        return self.reception.cursor(f"{self.door.name}:{name}")
