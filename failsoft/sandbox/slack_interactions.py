"""Slack's interactive side: whispered messages, forms, and what people do with buttons."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import Call
from failsoft.sandbox.messages import APP, TEAM, Message
from failsoft.sandbox.slack_arguments import (
    Arguments,
    SlackError,
    channel_of,
    required,
    structure,
    text_of,
)

MAX_TITLE = 24  # characters
MAX_METADATA = 3_000
DOMAIN = "sandbox"


@dataclass(kw_only=True, slots=True)
class View:
    """A form that stands open before somebody, until it is submitted."""

    view_id: str
    user: str
    view: JSONObject
    open: bool = True

    def as_json(self) -> JSONObject:
        return {"id": self.view_id, "user": self.user, "open": self.open, "view": self.view}


@dataclass(kw_only=True)
class InteractionStore:
    """Whispered messages, forms, and the triggers that clicks have given out."""

    whispers: list[JSONObject] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    triggers: dict[str, str] = field(default_factory=dict)  # to whoever clicked
    exchanged: set[str] = field(default_factory=set)

    def new_trigger(self, user: str) -> str:
        number = len(self.triggers) + len(self.exchanged) + 1
        trigger = f"{number}.{number}.sandbox"
        self.triggers[trigger] = user
        return trigger

    def as_json(self) -> JSONObject:
        return {"ephemerals": [*self.whispers], "views": [view.as_json() for view in self.views]}


def post_ephemeral(call: Call, given: Arguments) -> JSONObject:
    """Show a message to one person in a channel."""
    channel, user = channel_of(given), required(given, "user")
    text, blocks = text_of(given), structure(given, "blocks", list, "invalid_blocks")
    if not text and not blocks:
        raise SlackError("no_text")
    ts = call.world.messages.next_ts()
    call.world.interactions.whispers.append(
        {
            "channel": channel,
            "user": user,
            "text": text,
            "blocks": blocks,
            "thread_ts": given.get("thread_ts"),
            "ts": ts,
        }
    )
    return {"message_ts": ts}


def open_view(call: Call, given: Arguments) -> JSONObject:
    """Open a form before whoever a trigger belongs to; a trigger is good for one."""
    store, trigger = call.world.interactions, required(given, "trigger_id")
    view = structure(given, "view", dict, "invalid_arguments")
    if trigger in store.exchanged:
        raise SlackError("exchanged_trigger_id")
    if trigger not in store.triggers:
        raise SlackError("invalid_trigger_id")
    if not isinstance(view, dict) or (problem := _problem(view)):
        raise SlackError("invalid_arguments", problem if view else "missing required field: view")
    store.exchanged.add(trigger)
    opened = View(view_id=f"V{len(store.views) + 1}", user=store.triggers.pop(trigger), view=view)
    store.views.append(opened)
    return {"view": {"id": opened.view_id, "team_id": TEAM, **view}}


def clicked(
    store: InteractionStore, message: Message, action_id: str, *, option: str | None, user: str
) -> JSONObject | None:
    """Return what Slack sends when somebody uses an element; None when there is no such one."""
    found = [one for one in _elements(message.blocks) if one[1].get("action_id") == action_id]
    if not found:
        return None
    block_id, element = found[0]
    action: JSONObject = {
        "type": element.get("type"),
        "action_id": action_id,
        "block_id": block_id,
        "action_ts": message.ts,
    }
    if element.get("type") == "static_select":
        if (chosen := _chosen(element, option)) is None:
            return None
        action["selected_option"] = chosen
    else:
        action |= {"value": element.get("value"), "text": element.get("text")}
    return {
        "type": "block_actions",
        **_person(user),
        "container": {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": message.channel,
            "is_ephemeral": False,
        },
        "trigger_id": store.new_trigger(user),
        "channel": {"id": message.channel, "name": message.channel.lower()},
        "message": message.as_wire(),
        "actions": [action],
    }


def submitted(view: View, text: str, *, user: str) -> JSONObject:
    """Return what Slack sends when somebody submits a form whose fields all hold `text`."""
    values: JSONObject = {}
    for block in _listed(view.view.get("blocks")):
        element = block.get("element")
        if isinstance(element, dict):
            kind, name = element.get("type"), str(element.get("action_id"))
            values[str(block.get("block_id"))] = {name: {"type": kind, "value": text}}
    shown: JSONObject = {
        "id": view.view_id,
        "team_id": TEAM,
        **view.view,
        "state": {"values": values},
    }
    return {"type": "view_submission", **_person(user), "view": shown}


def _person(user: str) -> JSONObject:
    return {
        "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": TEAM},
        "team": {"id": TEAM, "domain": DOMAIN},
        "api_app_id": APP,
        "token": "sandbox",
    }


def _elements(blocks: JSON) -> Iterator[tuple[JSON, JSONObject]]:
    """Give each element that can be used, with the id of its block."""
    for block in _listed(blocks):
        for element in [*_listed(block.get("elements")), *_listed([block.get("accessory")])]:
            yield block.get("block_id"), element


def _chosen(element: JSONObject, option: str | None) -> JSONObject | None:
    """Return the option of that value, or of that text."""
    for one in _listed(element.get("options")):
        text = one.get("text")
        shown = text.get("text") if isinstance(text, dict) else None
        if option in {one.get("value"), shown}:
            return one
    return None


def _problem(view: JSONObject) -> str:
    """Return what Slack would say about a form."""
    title, blocks = view.get("title"), _listed(view.get("blocks"))
    text = str(title.get("text", "")) if isinstance(title, dict) else ""
    if view.get("type") != "modal" or not blocks:
        return "invalid view: type and blocks are needed"
    if not 0 < len(text) <= MAX_TITLE:
        return f"must be 1 to {MAX_TITLE} characters [json-pointer:/view/title/text]"
    if len(str(view.get("private_metadata", ""))) > MAX_METADATA:
        return "too long [json-pointer:/view/private_metadata]"
    if any(block.get("type") == "input" for block in blocks) and not view.get("submit"):
        return "missing field: submit"
    return ""


def _listed(value: JSON) -> list[JSONObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
