"""A question in the shape of LangChain's Agent Inbox, and the answers that come in that shape.

The shape is `langgraph.prebuilt.interrupt`'s HumanInterrupt and HumanResponse: a user interface
that knows it can show our questions. What it has no word for (retry, undo) is a type of that name.
"""

from collections.abc import Sequence

from failsoft.nodes.state import Json

KEY = "failsoft"  # what is only ours stands beside their fields, under this name
WORDS = {"accept": "accept", "ignore": "ignore", "response": "respond", "edit": "edit"}


def human_interrupt(question: Json, allowed: Sequence[str], *, node: str, review_id: str) -> Json:
    """Return the question; the source text stands in it verbatim, with what would be written."""
    action = {key: question[key] for key in ("request", "labels", "classification", "value")
              if question.get(key)}  # fmt: skip
    return {
        "action_request": {"action": node, "args": action},
        "config": {
            "allow_accept": "accept" in allowed,
            "allow_edit": "edit" in allowed,
            "allow_respond": "respond" in allowed,
            "allow_ignore": "ignore" in allowed,
        },
        "description": "\n\n".join(
            part
            for part in (str(question.get("reason", "")), str(question.get("text", "")))
            if part
        ),
        KEY: {
            "kind": "person",
            "review_id": review_id,
            "node": node,
            "question": question,
            "allowed": list(allowed),
        },
    }


def asked_of(value: object) -> Json:
    """Return what is ours in an interrupt's value, {} for a user's own interrupt."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        found = value[0].get(KEY)
        return found if isinstance(found, dict) else {}
    return value if isinstance(value, dict) and "kind" in value else {}


def answer_of(value: object) -> Json:
    """Return a `choice` and its `value`, from our own form or from the Agent Inbox's."""
    if isinstance(value, list) and len(value) == 1:
        return answer_of(value[0])
    if not isinstance(value, dict):
        return {"choice": str(value)}
    if "type" not in value:
        return value
    kind = str(value["type"])
    given, choice = value.get("args"), WORDS.get(kind, kind)
    if choice == "edit" and isinstance(given, dict):
        given = given.get("args", given)
    if choice == "edit" and isinstance(given, dict) and isinstance(given.get("request"), dict):
        given = given["request"]
    return {"choice": choice, "value": given}
