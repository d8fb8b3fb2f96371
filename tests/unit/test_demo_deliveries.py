"""What the demo's Slack sends."""

import random
from collections import Counter

import pytest

from failsoft.cli.demo_deliveries import (
    PACKAGE,
    Delivery,
    Message,
    deliveries_of,
    write_messages,
)
from failsoft.cli.demo_samples import Sample, read_samples
from failsoft.cli.demo_scenario import Expected, Fate
from failsoft.cli.demo_slack import SlackJira
from failsoft.events import Event
from failsoft.intake.slack import normalise
from failsoft.sandbox.messages import BOT

SIZES = [30, 60, 133, 134, 300]


def written(number: int, seed: int = 1) -> tuple[list[Message], list[Delivery]]:
    rng = random.Random(seed)
    messages = write_messages(number, rng)
    return messages, deliveries_of(messages, rng)


def expected(number: int) -> dict[str, Expected]:
    return dict(SlackJira().expected(written(number)[1]))


def texts(delivery: Delivery) -> str:
    event = normalise(delivery.payload, own_bot_id=BOT)
    return event.text if isinstance(event, Event) else ""


@pytest.mark.parametrize("number", SIZES)
def test_there_are_as_many_messages_as_asked_for(number: int) -> None:
    assert len(written(number)[0]) == number


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_sample_is_sent(seed: int) -> None:
    kinds = {message.sample.kind for message in written(30, seed)[0]}
    assert kinds == {sample.kind for sample in read_samples(PACKAGE, Sample)}


@pytest.mark.parametrize("number", SIZES)
def test_there_are_more_deliveries_than_messages(number: int) -> None:
    messages, deliveries = written(number)
    assert len(deliveries) > len(messages)


def test_the_seed_decides_everything() -> None:
    assert written(60, 7) == written(60, 7)
    assert written(60, 7) != written(60, 8)


@pytest.mark.parametrize("number", SIZES)
def test_no_two_events_share_a_nonce(number: int) -> None:
    nonces = Counter(one.nonce for one in expected(number).values())
    assert set(nonces.values()) == {1}


def test_every_event_has_its_nonce_in_its_text() -> None:
    assert all(one.message.nonce in texts(one) for one in written(300)[1] if texts(one))


def test_a_repetition_changes_no_key() -> None:
    once = {f"{message.channel}:{message.ts}" for message in written(60)[0]}
    assert len(expected(60)) == len(once)


def test_some_messages_come_again_under_another_event_id() -> None:
    ids: dict[str, set[object]] = {}
    for delivery in written(60)[1]:
        ids.setdefault(delivery.message.nonce, set()).add(delivery.payload["event_id"])
    assert any(len(found) > 1 for found in ids.values())


@pytest.mark.parametrize("seed", range(5))
def test_a_reply_never_comes_before_its_thread(seed: int) -> None:
    seen: set[str] = set()
    for delivery in written(60, seed)[1]:
        event = normalise(delivery.payload, own_bot_id=BOT)
        if isinstance(event, Event) and event.thread:
            assert event.thread in seen
        seen.add(event.key)


def test_each_kind_has_its_fate() -> None:
    found = expected(133)
    fates = {
        one.message.sample.kind: found[normalise(one.payload, own_bot_id=BOT).key].fate
        for one in written(133)[1]
    }
    assert fates["reply"] is fates["thanks"] is Fate.JOINED  # what stands in a thread belongs to it
    assert fates["bot"] is fates["join"] is Fate.LISTED
    assert fates["edit"] is fates["deleted"] is fates["normal"] is Fate.OWN
