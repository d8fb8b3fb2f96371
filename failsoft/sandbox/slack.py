"""Slack's Web API: the methods that failsoft calls, and their answers."""

import base64
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import parse_qsl

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import Answer, Call, Credential, credential, integer
from failsoft.sandbox.messages import BOT, BOT_USER, TEAM, Message, is_ts
from failsoft.sandbox.slack_arguments import (
    Arguments,
    SlackError,
    addressed,
    channel_of,
    metadata_of,
    required,
    structure,
    text_of,
)
from failsoft.sandbox.slack_interactions import open_view, post_ephemeral
from failsoft.sandbox.slack_socket import open_connection

PREFIX = "/slack/api"
MAX_PAGE = 999
SCOPES = "channels:history,chat:write,metadata.message:read,reactions:write"

Method = Callable[[Call, Arguments], JSONObject]


def answer(call: Call) -> Answer:
    """Run the method that the path names; every refusal has status 200."""
    name = call.parts["method"]
    try:
        given = _arguments(call, name)
        _authenticate(call, given)
        body = {"ok": True} | METHODS[name](call, given)
    except SlackError as error:
        body = {"ok": False, "error": error.args[0]}
        if len(error.args) > 1:
            body["response_metadata"] = {"messages": [f"[ERROR] {error.args[1]}"]}
    return Answer(body=body, headers={"x-oauth-scopes": SCOPES})


def refusal(status: int) -> JSONObject:
    """Return the body of a status that Slack's front door answers."""
    known = {429: "ratelimited", 500: "internal_error", 503: "service_unavailable"}
    code = known.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "_")
    return {"ok": False, "error": code}


def _arguments(call: Call, name: str) -> Arguments:
    """Collect the arguments; methods that only read take no JSON body, as with the real Slack."""
    if name not in METHODS:
        raise SlackError("unknown_method")
    given: dict[str, JSON] = dict(call.query)
    kind = call.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/json" and name not in READS:
        try:
            given |= call.json()
        except InvalidDataError:
            raise SlackError("invalid_json") from None
    elif kind == "application/x-www-form-urlencoded":
        given |= dict(parse_qsl(call.payload.decode(errors="replace")))
    return given


def _authenticate(call: Call, given: Arguments) -> None:
    shown = call.credential
    if shown is Credential.MISSING and isinstance(token := given.get("token"), str):
        shown = credential(token)
    if shown is not Credential.GOOD:
        raise SlackError("not_authed" if shown is Credential.MISSING else "invalid_auth")


def _auth_test(_call: Call, _given: Arguments) -> JSONObject:
    return {
        "url": "https://sandbox.slack.com/",
        "team": "Sandbox",
        "user": "failsoft",
        "team_id": TEAM,
        "user_id": BOT_USER,
        "bot_id": BOT,
        "is_enterprise_install": False,
    }


def _post_message(call: Call, given: Arguments) -> JSONObject:
    channel = addressed(given)
    text, blocks = text_of(given), structure(given, "blocks", list, "invalid_blocks")
    thread_ts = given.get("thread_ts") or None
    if thread_ts is not None and not is_ts(str(thread_ts)):
        raise SlackError("invalid_thread_ts", f"{thread_ts} is not a valid thread_ts")
    metadata = metadata_of(given)
    if not text and not blocks:
        raise SlackError("no_text")
    message = Message(
        channel=channel,
        ts=call.world.messages.next_ts(),
        text=text,
        ordinal=call.ordinal,
        thread_ts=None if thread_ts is None else str(thread_ts),
        metadata=metadata,
        blocks=blocks,
    )
    call.world.messages.add(message)
    shown = message.as_wire() | ({"metadata": metadata} if metadata else {})
    return {"channel": channel, "ts": message.ts, "message": shown}


def _update(call: Call, given: Arguments) -> JSONObject:
    channel, ts = channel_of(given), required(given, "ts")
    message = call.world.messages.get(channel, ts)
    if message is None:
        raise SlackError("message_not_found")
    text, blocks = text_of(given), structure(given, "blocks", list, "invalid_blocks")
    metadata = metadata_of(given)
    if not text and not blocks:
        raise SlackError("no_text")
    message.text = text or message.text
    message.blocks = blocks or message.blocks
    message.metadata = metadata or message.metadata
    message.edited_ts = call.world.messages.next_ts()
    return {"channel": channel, "ts": ts, "text": message.text, "message": message.as_wire()}


def _react(call: Call, given: Arguments) -> JSONObject:
    channel, name = channel_of(given), required(given, "name").strip(":")
    ts = given.get("timestamp")
    if not ts:
        raise SlackError("no_item_specified")
    if not is_ts(str(ts)):
        raise SlackError("bad_timestamp")
    if not name or not all(letter.isalnum() or letter in "_-+:'" for letter in name):
        raise SlackError("invalid_name")
    if not call.world.messages.react(channel, str(ts), name):
        raise SlackError("already_reacted")
    return {}


def _replies(call: Call, given: Arguments) -> JSONObject:
    channel, root = channel_of(given), required(given, "ts")
    if not is_ts(root):
        raise SlackError("thread_not_found")
    store = call.world.messages
    thread = [message for message in store.in_channel(channel) if message.thread_ts == root]
    first = store.get(channel, root)
    opening: JSONObject = {"thread_ts": root, "reply_count": len(thread)}
    shown = [
        message.as_wire() | _shown_metadata(given, message) for message in _window(given, thread)
    ]
    page, following = _page(given, shown)
    person: JSONObject = {
        "type": "message",
        "user": "U0PERSON",
        "team": TEAM,
        "text": "",
        "ts": root,
    }
    head: JSONObject = person if first is None else first.as_wire() | _shown_metadata(given, first)
    return {"messages": [head | opening, *page], **following}


def _history(call: Call, given: Arguments) -> JSONObject:
    channel = channel_of(given)
    every = [*call.world.messages.in_channel(channel)]
    top = sorted(
        (one for one in every if one.thread_ts in {None, one.ts}), key=lambda one: _micros(one.ts)
    )
    shown = [
        message.as_wire() | _opened_thread(message, every) | _shown_metadata(given, message)
        for message in _window(given, top)
    ]
    page, following = _page(given, shown[::-1])
    return {"messages": [*page], "pin_count": 0, **following}


def _opened_thread(root: Message, messages: Sequence[Message]) -> JSONObject:
    """Return what the first message of a thread shows of it."""
    replies = [one.ts for one in messages if one.thread_ts == root.ts != one.ts]
    if not replies:
        return {}
    latest = max(replies, key=_micros)
    return {"thread_ts": root.ts, "reply_count": len(replies), "latest_reply": latest}


def _shown_metadata(given: Arguments, message: Message) -> JSONObject:
    wanted = str(given.get("include_all_metadata", "")).lower() in {"1", "true"}
    return {"metadata": message.metadata} if wanted and message.metadata else {}


def _window(given: Arguments, messages: Sequence[Message]) -> list[Message]:
    """Keep what lies between `oldest` and `latest`, the ends only when `inclusive`."""
    oldest, latest = _instant(given, "oldest", 0), _instant(given, "latest", None)
    inclusive = str(given.get("inclusive", "")).lower() in {"1", "true"}

    def within(message: Message) -> bool:
        at = _micros(message.ts)
        if inclusive and at in {oldest, latest}:
            return True
        return (oldest is None or at > oldest) and (latest is None or at < latest)

    return [message for message in messages if within(message)]


def _page(given: Arguments, shown: list[JSONObject]) -> tuple[list[JSONObject], JSONObject]:
    """Cut the page that `cursor` and `limit` ask for; the cursor is opaque to the caller."""
    try:
        start = int(base64.b64decode(str(given.get("cursor") or "MA==")).removeprefix(b"next:"))
        limit = min(integer(given.get("limit") or None, 100), MAX_PAGE)
    except ValueError:
        raise SlackError("invalid_cursor") from None
    except InvalidDataError:
        raise SlackError("invalid_limit") from None
    if limit < 1:
        raise SlackError("invalid_limit")
    more = start + limit < len(shown)
    following: JSONObject = {"has_more": more}
    if more:
        cursor = base64.b64encode(f"next:{start + limit}".encode()).decode()
        following["response_metadata"] = {"next_cursor": cursor}
    return shown[start : start + limit], following


def _instant(given: Arguments, name: str, default: int | None) -> int | None:
    text = str(given.get(name) or "")
    if not text:
        return default
    try:
        return _micros(text)
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def _micros(ts: str) -> int:
    """Return a ts in whole microseconds: a float is too coarse for its 16 digits."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds or "0") * 1_000_000 + int(fraction[:6].ljust(6, "0"))


METHODS: dict[str, Method] = {
    "auth.test": _auth_test,
    "chat.postMessage": _post_message,
    "chat.update": _update,
    "reactions.add": _react,
    "conversations.replies": _replies,
    "conversations.history": _history,
    "chat.postEphemeral": post_ephemeral,
    "views.open": open_view,
    "apps.connections.open": open_connection,
}
READS = {"conversations.replies", "conversations.history"}
