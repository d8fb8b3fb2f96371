"""What the demo's Slack sends: sample messages, some of them more than once."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from failsoft.parsing import JSONObject
from failsoft.sandbox.messages import TEAM

CHANNELS = ("C0SUPPORT", "C0PRODUCT", "C0OPERATIONS")
FIRST_TS = 1_770_000_000
LATEST = 12  # deliveries after which a repetition comes at the latest
FEWEST = 30  # messages, so that every kind has its place


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One line of the shipped samples; `of` names the sample that it answers or edits."""

    id: str
    kind: str
    of: str | None
    text: str
    expect: str
    label: str | None
    repeat: int = 1

    @property
    def first(self) -> str | None:
        """The sample that must have been sent before this one; a paraphrase stands alone."""
        return None if self.kind == "paraphrase" else self.of


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One sample as it was sent; the nonce is opaque, so nothing but copying can bring it on."""

    sample: Sample
    nonce: str
    channel: str
    ts: str
    root: "Message | None"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One call of Slack's Events API; `nonce` stands in its text, if it has one."""

    payload: JSONObject
    nonce: str


def read_samples() -> list[Sample]:
    """Return the samples that come with the agent."""
    file = files("failsoft.agents.slack_jira").joinpath("samples.jsonl")
    return [Sample(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def choose(samples: Sequence[Sample], number: int, rng: random.Random) -> list[Sample]:
    """Choose `number` samples, of every kind at least one, each after the one that it is about."""
    by_id = {sample.id: sample for sample in samples}
    order = rng.sample(samples, len(samples))
    one_of_each = {sample.kind: sample for sample in order}.values()
    chosen: dict[str, Sample] = {}
    for sample in (*one_of_each, *order):
        needed = [by_id[sample.first]] if sample.first else []
        new = {one.id: one for one in (*needed, sample) if one.id not in chosen}
        if len(chosen) + len(new) <= number:
            chosen |= new
    return list(chosen.values())


def write_messages(number: int, rng: random.Random) -> list[Message]:
    """Write `number` messages; there are more of them than samples only with other nonces."""
    samples = read_samples()
    messages: list[Message] = []
    while (left := number - len(messages)) > 0:
        sent: dict[str, Message] = {}
        chosen = choose(samples, min(left, len(samples)), rng)
        if messages and left < FEWEST:  # a rest too small for one of each kind
            plain = [sample for sample in samples if sample.kind == "normal"]
            chosen = rng.sample(plain, left)
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
    placed: list[tuple[float, Delivery]] = []
    at: dict[str, float] = {}
    for number, message in enumerate(messages):
        first = max(float(number), at.get(message.root.ts, 0.0) + 1 if message.root else 0.0)
        at.setdefault(message.ts, first)
        payload = _callback(message, f"Ev{number:05d}", "message")
        placed.append((first, _delivery(message, payload)))
        for place, again in enumerate(_again(message, payload, number, rng)):
            later = first + rng.uniform(0.1, LATEST) + place
            placed.append((later, _delivery(message, again)))
    return [delivery for _, delivery in sorted(placed, key=lambda pair: pair[0])]


def _delivery(message: Message, payload: JSONObject) -> Delivery:
    return Delivery(payload=payload, nonce=message.nonce)


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
