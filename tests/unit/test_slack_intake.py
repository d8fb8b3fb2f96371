"""What Slack delivers becomes an event with its business key, or is ignored for a listed reason."""

import time

import pytest

from failsoft.errors import InvalidEventError
from failsoft.events import Event, Ignored
from failsoft.intake.slack import Reason, normalise, plain_text
from failsoft.parsing import JSON, JSONObject

KEY = "slack:T1:C2:1723000000.000100"


def message(**fields: JSON) -> JSONObject:
    basic: JSONObject = {
        "type": "message",
        "channel": "C2",
        "user": "U3",
        "text": "The invoice page is down",
        "ts": "1723000000.000100",
    }
    return {**basic, **fields}


def callback(event: JSONObject, **outer: JSON) -> JSONObject:
    return {
        "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event, **outer,
    }  # fmt: skip


def read(event: JSONObject, own_bot_id: str | None = "B1") -> Event | Ignored:
    return normalise(callback(event), own_bot_id=own_bot_id)


def event_of(event: JSONObject) -> Event:
    found = read(event)
    assert isinstance(found, Event)
    return found


def reason_of(event: JSONObject, own_bot_id: str | None = "B1") -> str:
    found = read(event, own_bot_id)
    assert isinstance(found, Ignored)
    assert found.key == KEY
    return found.reason


def test_a_message_becomes_an_event() -> None:
    assert read(message()) == Event(
        key=KEY,
        source="slack",
        text="The invoice page is down",
        facts={"team": "T1", "channel": "C2", "ts": "1723000000.000100", "user": "U3"},
    )


def test_a_mention_and_its_message_have_one_key() -> None:
    assert event_of(message(type="app_mention")) == event_of(message())


def test_a_message_of_the_history_has_the_key_of_its_delivery() -> None:
    assert normalise(message(team="T1"), own_bot_id=None) == event_of(message())


def test_the_workspace_that_was_delivered_to_wins_over_the_authors() -> None:
    assert event_of(message(team="T9")).key == KEY


def test_an_answer_in_a_thread_names_the_root() -> None:
    found = event_of(message(thread_ts="1722000000.000001"))
    assert found.thread == "slack:T1:C2:1722000000.000001"
    assert found.facts["thread_ts"] == "1722000000.000001"


def test_the_root_of_a_thread_answers_nothing() -> None:
    assert event_of(message(thread_ts="1723000000.000100")).thread is None


def test_a_permalink_is_kept() -> None:
    assert event_of(message(permalink="https://x.slack.com/p1")).facts["permalink"] == (
        "https://x.slack.com/p1"
    )


def edit(new: str, old: str | None = "The invoice page is down", **inner: JSON) -> JSONObject:
    changed = message(text=new, edited={"user": "U3", "ts": "1723000099.0"}, **inner)
    event: JSONObject = {
        "type": "message", "subtype": "message_changed", "channel": "C2", "ts": "1723000099.000000",
        "message": changed,
    }  # fmt: skip
    return event if old is None else {**event, "previous_message": message(text=old)}


def test_an_edit_has_the_key_of_the_original_and_the_new_text() -> None:
    found = event_of(edit("The invoice page is slow"))
    assert (found.key, found.text) == (KEY, "The invoice page is slow")


def test_an_edit_that_only_adds_a_preview_is_ignored() -> None:
    assert reason_of(edit("The invoice page is down")) == Reason.SAME_TEXT


def test_a_preview_without_the_previous_message_is_ignored() -> None:
    event = edit("x y", old=None) | {"message": message(text="x y")}
    assert reason_of(event) == Reason.SAME_TEXT


def test_a_deletion_is_ignored_under_the_key_of_what_was_deleted() -> None:
    event: JSONObject = {
        "type": "message", "subtype": "message_deleted", "channel": "C2",
        "ts": "1723000099.000000", "deleted_ts": "1723000000.000100",
    }  # fmt: skip
    assert reason_of(event) == Reason.DELETED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bot_id": "B1"}, Reason.OWN),
        ({"bot_id": "B2"}, Reason.BOT),
        ({"subtype": "bot_message"}, Reason.BOT),
        ({"user": "USLACKBOT"}, Reason.BOT),
        ({"subtype": "channel_join"}, Reason.NOTICE),
        ({"subtype": "channel_topic"}, Reason.NOTICE),
        ({"subtype": "tombstone"}, Reason.DELETED),
        ({"text": ""}, Reason.NO_WORDS),
        ({"text": " \n"}, Reason.NO_WORDS),
        ({"text": None}, Reason.NO_WORDS),
        ({"text": "<@U0BOT>"}, Reason.NO_WORDS),
        ({"text": ":+1: 🎉"}, Reason.NO_WORDS),
        ({"text": "yes, thanks"}, Reason.ACKNOWLEDGEMENT),
        ({"text": "<@U0BOT> Thank you! :pray:"}, Reason.ACKNOWLEDGEMENT),
        ({"text": "OK."}, Reason.ACKNOWLEDGEMENT),
    ],
)
def test_what_starts_nothing_is_ignored_for_a_listed_reason(
    fields: JSONObject, reason: Reason
) -> None:
    assert reason_of(message(**fields)) == reason


def test_an_unknown_own_bot_still_ignores_every_bot() -> None:
    assert reason_of(message(bot_id="B1"), own_bot_id=None) == Reason.BOT


@pytest.mark.parametrize("text", ["thanks, but it is down again", "no access", "印刷できない"])
def test_a_sentence_that_begins_like_an_acknowledgement_is_an_event(text: str) -> None:
    assert event_of(message(text=text)).text == text


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_a_persons_message_with_a_subtype_is_an_event(subtype: str) -> None:
    assert event_of(message(subtype=subtype)).key == KEY


@pytest.mark.parametrize(
    "payload",
    [
        callback({"type": "reaction_added", "user": "U3"}),
        {"type": "url_verification", "challenge": "x"},
        {"type": "app_rate_limited", "team_id": "T1"},
    ],
)
def test_other_kinds_of_payload_are_ignored(payload: JSONObject) -> None:
    found = normalise(payload, own_bot_id=None)
    assert isinstance(found, Ignored)
    assert found.reason == Reason.OTHER_KIND
    assert found.key.startswith("slack:")


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({}, "neither"),
        ({"type": "event_callback", "team_id": "T1"}, "event"),
        (callback([]), "event"),  # type: ignore[arg-type]  # what a stranger may send
        (callback(message(ts=5)), "ts"),
        (callback(message(ts="now")), "ts"),
        (callback(message(ts="1.1:x")), "ts"),
        (callback(message(channel="")), "channel"),
        (callback(message(channel="C2:C3")), "channel"),
        (callback(message(thread_ts="x")), "thread_ts"),
        (callback(message(), team_id=None), "team"),
        (callback(edit("x y") | {"message": "x"}), "message"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(payload: JSONObject, named: str) -> None:
    with pytest.raises(InvalidEventError, match=named):
        normalise(payload, own_bot_id=None)


@pytest.mark.parametrize(
    ("mrkdwn", "plain"),
    [
        ("a &lt;b&gt; &amp;lt;", "a <b> &lt;"),
        ("see <https://x.y|the page>", "see the page (https://x.y)"),
        ("see <https://x.y>", "see https://x.y"),
        (
            "<@U1> <@U2|ann> <#C1|general> <!here> <!subteam^S1|@ops>",
            "@U1 @ann #general @here @ops",
        ),
    ],
)
def test_markup_is_spelt_out(mrkdwn: str, plain: str) -> None:
    assert plain_text(mrkdwn) == plain


def test_nul_and_lone_surrogates_are_replaced() -> None:
    text = event_of(message(text="a\x00b \ud800 c")).text
    assert "\x00" not in text
    text.encode()


@pytest.mark.parametrize("unit", ["a", "<", "<|", "<@", ":a", "&lt;", "yes "])
def test_a_text_of_one_megabyte_is_read_quickly(unit: str) -> None:
    started = time.monotonic()
    read(message(text=unit * (1_000_000 // len(unit))))
    assert time.monotonic() - started < 2


def test_deep_nesting_beside_the_message_is_not_walked() -> None:
    nested: JSON = []
    for _ in range(100_000):
        nested = [nested]
    assert event_of(message(blocks=nested)).key == KEY
