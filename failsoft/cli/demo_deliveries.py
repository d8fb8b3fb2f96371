"""What the demo's Slack sends: sample messages, some of them more than once."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from failsoft.cli.demo_samples import Sample, Schedule, casts, read_samples
from failsoft.parsing import JSONObject
from failsoft.sandbox.messages import TEAM

PACKAGE = "failsoft.agents.slack_jira"
CHANNELS = ("C0SUPPORT", "C0PRODUCT", "C0OPERATIONS")
FIRST_TS = 1_770_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One sample as it was sent; the nonce is opaque, so nothing but copying can bring it on."""

    sample: Sample
    nonce: str
    channel: str
    ts: str
    root: "Message | None"

    @property
    def place(self) -> str:
        return f"{self.channel} {self.ts}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One call of Slack's Events API; its message's nonce stands in its text, if it has one."""

    payload: JSONObject
    message: Message


def write_messages(number: int, rng: random.Random) -> list[Message]:
    """Write `number` messages; there are more of them than samples only with other nonces."""
    messages: list[Message] = []
    for chosen in casts(read_samples(PACKAGE, Sample), number, rng):
        sent: dict[str, Message] = {}
        for sample in chosen:
            root = sent[sample.first] if sample.first else None
            sent[sample.id] = _write(sample, root, len(messages) + len(sent), rng)
        messages += sent.values()
    return messages


def _write(sample: Sample, root: Message | None, number: int, rng: random.Random) -> Message:
    same = root is not None and sample.kind in {"edit", "deleted"}
    return Message(
        sample=sample,
        nonce=root.nonce if root is not None and same else f"zq{rng.getrandbits(40):010x}",
        channel=root.channel if root else rng.choice(CHANNELS),
        ts=root.ts if root is not None and same else f"{FIRST_TS + 7 * number}.{number:06d}",
        root=root,
    )


def deliveries_of(messages: Iterable[Message], rng: random.Random) -> list[Delivery]:
    """Deliver each message, many of them again: with the same event id, or another one."""
    schedule = Schedule[Delivery](rng=rng)
    for number, message in enumerate(messages):
        payload = _callback(message, f"Ev{number:05d}", "message")
        again = _again(message, payload, number, rng)
        first, *repeated = [Delivery(payload=one, message=message) for one in (payload, *again)]
        root = message.root.ts if message.root else None
        schedule.add(message.ts, first, repeated, after=root)
    return schedule.in_order()


def _again(
    message: Message, payload: JSONObject, number: int, rng: random.Random
) -> list[JSONObject]:
    """Return the further deliveries: Slack's own repetitions, a mention, a back-fill."""
    chance = rng.random()
    if chance < 0.15:
        return [payload]
    if chance < 0.25:
        return [payload, payload]
    if chance < 0.35:
        return [_callback(message, f"Ev{number:05d}B", "message")]
    if chance < 0.50 and message.sample.kind in {"normal", "paraphrase"}:
        return [_callback(message, f"Ev{number:05d}M", "app_mention")]
    return []


def _callback(message: Message, event_id: str, kind: str) -> JSONObject:
    return {
        "type": "event_callback",
        "team_id": TEAM,
        "event_id": event_id,
        "event_time": int(message.ts.partition(".")[0]),
        "event": _event(message, kind),
    }


def _event(message: Message, kind: str) -> JSONObject:
    """Return the inner event, as Slack words each kind of message."""
    sample = message.sample
    text = sample.text.replace("{nonce}", message.nonce) * sample.repeat
    place: JSONObject = {"type": kind, "channel": message.channel}
    said: JSONObject = {"type": kind, "ts": message.ts, "text": text, "user": "U0PERSON"}
    match sample.kind:
        case "deleted":
            return {**place, "subtype": "message_deleted", "deleted_ts": message.ts}
        case "edit":
            inner: JSONObject = {**said, "edited": {"user": "U0PERSON"}}
            return {**place, "subtype": "message_changed", "message": inner}
        case "bot":
            return {**place, **said, "subtype": "bot_message", "bot_id": "B0OTHER"}
        case "join":
            return {**place, **said, "subtype": "channel_join"}
        case "reply" | "thanks" if message.root is not None:
            return {**place, **said, "thread_ts": message.root.ts}
        case _:
            return {**place, **said}
