"""Slack's door: what the Events API or a channel's history holds becomes an event, or is ignored.

The key is channel and ts, not Slack's event id: a mention arrives as `app_mention` and as
`message` with two event ids, and a reading of the history has none at all.
"""

import re
from enum import StrEnum

from failsoft.errors import InvalidEventError
from failsoft.events import Event, Ignored
from failsoft.parsing import JSON, JSONObject, clean_text


class Reason(StrEnum):
    """Why a thing from Slack starts nothing."""

    OTHER_KIND = "not a message"
    OWN = "our own message"
    BOT = "a bot's message"
    NOTICE = "a notice of Slack's, not a person's message"
    DELETED = "a deletion"
    SAME_TEXT = "an edit that leaves the text as it was"
    NO_WORDS = "no words"
    ACKNOWLEDGEMENT = "a bare acknowledgement"


# What a person wrote; every other subtype is a notice: joins, topics, pins, …
PERSONS = frozenset({None, "", "file_share", "me_message", "thread_broadcast"})
ACKNOWLEDGEMENTS = frozenset(
    (
        *("agreed", "alright", "cheers", "cool", "fine", "got", "great", "it", "k", "lgtm"),
        *("nice", "no", "nope", "noted", "np", "ok", "okay", "perfect", "sure", "thank"),
        *("thanks", "thx", "ty", "welcome", "yeah", "yep", "yes", "you"),
    )
)
MAX_ACKNOWLEDGEMENT = 80  # characters

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TS = re.compile(r"[0-9]{1,16}\.[0-9]{1,16}")
_MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_ADDRESSEE = re.compile(r"<[@!#][^<>]*>|:[a-z0-9_+-]{1,64}:")
_WORD = re.compile(r"[^\W_]+")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def normalise(payload: JSONObject, *, own_bot_id: str | None) -> Event | Ignored:
    """Read the body of an Events API call, or one message of a channel's history with its team.

    An edit has the key of the message that it edits, so that it never starts a second run.

    Raises:
        InvalidEventError: it is neither, or its ids cannot be read.
    """
    outer = _text(payload, "type")
    if outer == "event_callback":
        event = _object(payload, "event")
    elif outer in {"", "message", "app_mention"} and "ts" in payload:
        event = payload
    elif outer:
        return Ignored(key=_delivery_key(payload), reason=Reason.OTHER_KIND)
    else:
        raise InvalidEventError("This is neither a Slack event nor a Slack message.")
    if _text(event, "type") not in {"", "message", "app_mention"}:
        return Ignored(key=_delivery_key(payload), reason=Reason.OTHER_KIND)
    return _message(event, _id(payload if _text(payload, "team_id") else event), own_bot_id)


def _message(event: JSONObject, team: str, own_bot_id: str | None) -> Event | Ignored:
    subtype, place = _text(event, "subtype"), f"slack:{team}:{_checked(event, 'channel', _ID)}"
    if subtype == "message_deleted":
        return Ignored(key=f"{place}:{_checked(event, 'deleted_ts', _TS)}", reason=Reason.DELETED)
    message = _object(event, "message") if subtype == "message_changed" else event
    key = f"{place}:{_checked(message, 'ts', _TS)}"
    if reason := _objection(message, own_bot_id) or _same_text(event, message):
        return Ignored(key=key, reason=reason)
    facts: JSONObject = {
        "team": team,
        "channel": _text(event, "channel"),
        "ts": _text(message, "ts"),
        "user": _text(message, "user"),
    }
    if permalink := _text(message, "permalink"):
        facts["permalink"] = permalink
    thread = None
    if _text(message, "thread_ts"):
        facts["thread_ts"] = _checked(message, "thread_ts", _TS)
        thread = f"{place}:{facts['thread_ts']}" if facts["thread_ts"] != facts["ts"] else None
    text = plain_text(_text(message, "text"))
    return Event(key=key, source="slack", text=text, facts=facts, thread=thread)


def plain_text(text: str) -> str:
    """Return Slack's mrkdwn as a person reads it: links spelt out, entities resolved."""
    text = _MARKUP.sub(_spell, text)
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return clean_text(text).strip()


def _objection(message: JSONObject, own_bot_id: str | None) -> Reason | None:
    """Say why what a message holds starts nothing."""
    subtype, bot_id = _text(message, "subtype"), _text(message, "bot_id")
    if bot_id and bot_id == own_bot_id:
        return Reason.OWN
    if bot_id or subtype == "bot_message" or _text(message, "user") == "USLACKBOT":
        return Reason.BOT
    if subtype == "tombstone":
        return Reason.DELETED
    if subtype not in PERSONS:
        return Reason.NOTICE
    return _wordless(_text(message, "text"))


def _wordless(text: str) -> Reason | None:
    """Say whether a text asks for nothing: emoji, mentions, "yes, thanks"."""
    said = _ADDRESSEE.sub(" ", text)
    if _WORD.search(said) is None:
        return Reason.NO_WORDS
    if len(said) > MAX_ACKNOWLEDGEMENT:
        return None
    words = {word.lower() for word in _WORD.findall(said)}
    return Reason.ACKNOWLEDGEMENT if words <= ACKNOWLEDGEMENTS else None


def _same_text(event: JSONObject, message: JSONObject) -> Reason | None:
    """Recognise the edits that Slack makes itself when it adds the preview of a link."""
    if event is message:
        return None
    previous = event.get("previous_message")
    if isinstance(previous, dict):
        unchanged = previous.get("text") == message.get("text")
    else:
        unchanged = "edited" not in message
    return Reason.SAME_TEXT if unchanged else None


def _spell(found: re.Match[str]) -> str:
    target, label = found[1], found[2] or ""
    if target.startswith(("@", "#")):
        return target[0] + (label.lstrip("@#") or target[1:])
    if target.startswith("!"):
        return label or "@" + target[1:]
    return f"{label} ({target})" if label and label != target else target


def _delivery_key(payload: JSONObject) -> str:
    """Name a thing that is no message; only for the list of what was ignored."""
    team, delivery = _text(payload, "team_id"), _text(payload, "event_id")
    return clean_text(f"slack:{team[:64]}:{delivery[:64] or _text(payload, 'type')[:64]}")


def _id(holder: JSONObject) -> str:
    return _checked(holder, "team_id" if _text(holder, "team_id") else "team", _ID)


def _checked(holder: JSONObject, name: str, form: re.Pattern[str]) -> str:
    value = _text(holder, name)
    if not form.fullmatch(value):
        raise InvalidEventError(f"The Slack message has no readable `{name}`.")
    return value


def _object(holder: JSONObject, name: str) -> JSONObject:
    value: JSON = holder.get(name)
    if not isinstance(value, dict):
        raise InvalidEventError(f"The Slack event has no object `{name}`.")
    return value


def _text(holder: JSONObject, name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""
