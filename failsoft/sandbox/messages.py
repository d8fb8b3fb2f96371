"""What stands in the Slack channels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from failsoft.clock import Clock
from failsoft.parsing import JSON, JSONObject

TEAM = "T0SANDBOX"
BOT = "B0FAILSOFT"
BOT_USER = "U0FAILSOFT"
APP = "A0FAILSOFT"

_TS = re.compile(r"\d+\.\d+")


@dataclass(kw_only=True, slots=True)
class Message:
    """One message; `ts` is its id within the channel. Without a `user` it is the bot's."""

    channel: str
    ts: str
    text: str
    ordinal: int  # of the chat.postMessage request
    thread_ts: str | None = None
    metadata: JSONObject | None = None
    blocks: JSON = None
    edited_ts: str | None = None
    reactions: list[str] = field(default_factory=list)
    user: str | None = None
    more: JSONObject = field(default_factory=dict)  # what else a person's message holds

    def as_wire(self) -> JSONObject:
        """Return the message as Slack's methods show it, without its metadata."""
        bots: JSONObject = {"bot_id": BOT, "app_id": APP}
        wire: JSONObject = {
            "type": "message",
            "user": self.user or BOT_USER,
            **(self.more if self.user else bots),
            "team": TEAM,
            "text": self.text,
            "ts": self.ts,
        }
        if self.thread_ts:
            wire["thread_ts"] = self.thread_ts
            if self.user is None:
                wire["parent_user_id"] = BOT_USER
        if self.blocks:
            wire["blocks"] = self.blocks
        if self.edited_ts:
            wire["edited"] = {"user": self.user or BOT_USER, "ts": self.edited_ts}
        if self.reactions:
            wire["reactions"] = [
                {"name": name, "users": [BOT_USER], "count": 1} for name in self.reactions
            ]
        return wire

    def as_json(self) -> JSONObject:
        """Return everything about the message."""
        return self.as_wire() | {
            "channel": self.channel,
            "metadata": self.metadata,
            "ordinal": self.ordinal,
        }


class MessageStore:
    """The messages of the bot and its reactions, in the order in which they were written.

    People's messages need not be planted: a well-formed ts that nobody wrote here is taken as a
    person's message from before the sandbox started. Those that are stand in the history.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._messages: dict[tuple[str, str], Message] = {}
        self._reactions: list[JSONObject] = []

    def add(self, message: Message) -> None:
        self._messages[message.channel, message.ts] = message

    def get(self, channel: str, ts: str) -> Message | None:
        return self._messages.get((channel, ts))

    def in_channel(self, channel: str) -> Iterator[Message]:
        return (message for (place, _), message in self._messages.items() if place == channel)

    def find(self, ts: str, channel: str | None) -> Message | None:
        """Return the message with that ts, in whatever channel when none is named."""
        found = [one for one in self._messages.values() if one.ts == ts]
        return next((one for one in found if channel in {None, one.channel}), None)

    def next_ts(self) -> str:
        """Return an id that no message has: the time in microseconds, always growing."""
        self._last = max(self._last + 1, int(self._clock.now() * 1e6))
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def react(self, channel: str, ts: str, name: str) -> bool:
        """Add a reaction; False when it is there already."""
        reaction: JSONObject = {"channel": channel, "ts": ts, "name": name}
        if reaction in self._reactions:
            return False
        self._reactions.append(reaction)
        if message := self.get(channel, ts):
            message.reactions.append(name)
        return True

    def as_json(self) -> JSONObject:
        return {
            "messages": [one.as_json() for one in self._messages.values() if one.user is None],
            "people": [one.as_json() for one in self._messages.values() if one.user is not None],
            "reactions": [*self._reactions],
        }


def is_ts(text: str) -> bool:
    """Say whether `text` has the shape of a message id."""
    return _TS.fullmatch(text) is not None
