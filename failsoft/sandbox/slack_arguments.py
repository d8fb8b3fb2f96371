"""What a call to Slack's Web API brings along, checked with Slack's own error codes."""

import re
from collections.abc import Mapping

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, parse_json

MAX_TEXT = 40_000

Arguments = Mapping[str, JSON]


class SlackError(Exception):
    """Slack refuses; the argument is its error code."""


def addressed(given: Arguments) -> str:
    """Return the id of the channel to post in, which alone may be given by its name."""
    name = str(given.get("channel") or "")
    if re.fullmatch(r"#?[a-z0-9][a-z0-9_-]{0,79}", name):
        return "C" + re.sub(r"[^A-Z0-9]", "", name.upper())
    return channel_of(given)


def channel_of(given: Arguments) -> str:
    channel = required(given, "channel")
    if not channel.startswith("C"):
        raise SlackError("channel_not_found")
    return channel


def required(given: Arguments, name: str) -> str:
    value = given.get(name)
    if value is None or value == "":
        raise SlackError("invalid_arguments", f"missing required field: {name}")
    return str(value)


def text_of(given: Arguments) -> str:
    text = str(given.get("text") or "")
    if len(text) > MAX_TEXT:
        raise SlackError("msg_too_long")
    return text


def metadata_of(given: Arguments) -> JSONObject | None:
    metadata = structure(given, "metadata", dict, "invalid_metadata_format")
    if not isinstance(metadata, dict):
        return None
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_schema")
    return {"event_type": event_type, "event_payload": payload}


def structure(given: Arguments, name: str, kind: type[JSON], code: str) -> JSON:
    """Read an argument that is JSON: a structure in a JSON body, text in a form."""
    value = given.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except InvalidDataError:
            raise SlackError(code) from None
    if not isinstance(value, kind):
        raise SlackError(code)
    return value
