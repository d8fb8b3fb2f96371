"""What a Slack channel holds after a point: its messages, and the replies in their threads."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from failsoft.errors import HeldError, RateLimitedError, TransientError
from failsoft.events import Event, Ignored
from failsoft.intake.slack_calls import SlackCalls
from failsoft.intake.slack_events import read_event
from failsoft.parsing import JSON, JSONObject

logger = logging.getLogger(__name__)

SECOND = 1_000_000  # times are in whole microseconds: a float is too coarse for a ts
LOOK_BACK = 24 * 3600 * SECOND  # how old a thread may be whose new replies are found
PAGE = 200  # messages
SHORTEST = 1.0  # seconds of a wait where Slack does not say how long


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """The workspace, and the bot whose messages are our own."""

    team: str
    bot_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message, ready to be admitted."""

    at: int
    event: Event | Ignored


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One channel, by its id."""

    name: str
    calls: SlackCalls
    identity: Identity
    stopping: asyncio.Event

    async def newest(self) -> int:
        """Return when the newest message of the channel was posted, 0 when there is none."""
        answer = await self._call("conversations.history", {"channel": self.name, "limit": 1})
        return max((micros(one.get("ts")) for one in _messages(answer)), default=0)

    async def after(self, start: int) -> list[Message]:
        """Return what was posted after `start`, the oldest first; nothing when told to stop."""
        roots: list[JSONObject] = []
        oldest = ts_of(max(start - LOOK_BACK, 0))
        async for page in self._pages("conversations.history", {"oldest": oldest}):
            roots += page
        found = {micros(root.get("ts")): root for root in roots}
        for root in [one for one in roots if micros(one.get("latest_reply")) > start]:
            place: JSONObject = {"ts": str(root.get("ts")), "oldest": ts_of(start)}
            async for page in self._pages("conversations.replies", place):
                found |= {micros(reply.get("ts")): reply for reply in page}
        if self.stopping.is_set():
            return []
        return [Message(at=at, event=self._event(found[at])) for at in sorted(found) if at > start]

    def _event(self, message: JSONObject) -> Event | Ignored:
        placed = message | {"channel": self.name, "team_id": self.identity.team}
        return read_event(json.dumps(placed).encode(), self.identity.bot_id)

    async def _pages(self, method: str, place: JSONObject) -> AsyncIterator[list[JSONObject]]:
        arguments: JSONObject = {"channel": self.name, "limit": PAGE, **place}
        while not self.stopping.is_set():
            answer = await self._call(method, arguments)
            yield _messages(answer)
            following = answer.get("response_metadata")
            cursor = following.get("next_cursor") if isinstance(following, dict) else None
            if not isinstance(cursor, str) or not cursor:
                return
            arguments["cursor"] = cursor

    async def _call(self, method: str, arguments: JSONObject) -> JSONObject:
        """Call until it is not too often; else a long reading would begin again and never end."""
        while True:
            try:
                return await self.calls.call(method, arguments)
            except (RateLimitedError, HeldError) as error:
                if self.stopping.is_set():
                    raise
                wait = max(error.retry_after, SHORTEST)
                logger.info("the history of %s waits for %g s: %s", self.name, wait, error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), wait)


def micros(ts: JSON) -> int:
    """Return a ts in microseconds, 0 when it cannot be read."""
    seconds, _, fraction = str(ts).partition(".")
    digits = seconds + fraction[:6].ljust(6, "0")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0


def ts_of(at: int) -> str:
    return f"{at // SECOND}.{at % SECOND:06d}"


def _messages(answer: JSONObject) -> list[JSONObject]:
    messages = answer.get("messages")
    if not isinstance(messages, list):
        raise TransientError("Slack shows a channel without messages.")
    return [one for one in messages if isinstance(one, dict)]
