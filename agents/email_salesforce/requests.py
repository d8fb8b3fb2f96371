"""What is written: the label picks a route, and only the route a queue."""

import re
from pathlib import Path

from failsoft.agents.routes import Routes
from failsoft.connectors.salesforce_routes import CaseRoute
from failsoft.errors import RefusedError
from failsoft.nodes.state import Json, RunState

ROUTES = Routes.load(Path(__file__).parent, CaseRoute, extra=frozenset({"unclassified"}))
MAX_SUBJECT = 255  # characters that Salesforce takes
MAX_TEXT = 32_000  # characters; Salesforce takes 32 000 in a description
THANKS = "Thank you.{case} An answer to this mail is added to your case."
ANSWER = re.compile(r"((re|aw|sv)\s*:\s*)*", re.IGNORECASE)  # what a subject begins with already
MOST_ANSWERS = 10  # to one sender within an hour: two machines must not thank each other for ever


def has_case(state: RunState) -> bool:
    return bool(_case(state).get("id"))


def case_for(state: RunState) -> Json:
    """Return the case: the mail stands in it verbatim, cut where Salesforce would refuse it."""
    route, facts = ROUTES[state["classification"]["label"]], _facts(state)
    return {
        "subject": _subject(facts) or f"A mail about {state['classification']['label']}",
        "description": _cut(state["event"].get("text", "")),
        "queue": route.queue,
        "priority": route.priority,
        "supplied_email": facts.get("from", ""),
        "supplied_name": facts.get("from_name", ""),
    }


def email_for(state: RunState) -> Json | None:
    """Return the mail as a part of its case, under its own Message-ID."""
    facts, to = _facts(state), _facts(state).get("to") or [""]
    if not has_case(state):
        return None
    return {
        "case_id": _case(state)["id"],
        "subject": _subject(facts),
        "text": _cut(facts.get("body") or state["event"].get("text", "")),
        "from_address": facts.get("from", ""),
        "from_name": facts.get("from_name", ""),
        "to_address": to[0],
        "message_id": facts.get("message_id", ""),
        "incoming": True,
    }


def acknowledgement_for(state: RunState) -> Json | None:
    """Return our thanks: only for a new case, never to a machine, never to one sender for ever."""
    facts = _facts(state)
    silent = state["event"].get("joins") or facts.get("quiet")
    if silent or facts.get("recent", 0) >= MOST_ANSWERS or not facts.get("from"):
        return None
    number = _case(state).get("number")
    return {
        "to": facts["from"],
        "subject": f"Re: {ANSWER.sub('', _subject(facts), count=1) or 'your mail'}"[:MAX_SUBJECT],
        "text": THANKS.format(case=f" Your case is {number}." if number else ""),
        "in_reply_to": facts.get("message_id", ""),
        "kind": "auto-replied",
    }


def route_for(state: RunState) -> Json:
    """Return where an existing case belongs."""
    route, facts = ROUTES[state["classification"]["label"]], _facts(state)
    if not facts.get("case_id"):
        raise RefusedError("This event names no case: cases come by the door salesforce-cases.")
    return {"case_id": facts["case_id"], "queue": route.queue, "priority": route.priority}


def _facts(state: RunState) -> Json:
    return state["event"].get("facts", {})


def _case(state: RunState) -> Json:
    """Return the case that was opened or found, also when a person named it."""
    tool = state.get("tool", {})
    found = tool.get("create_case", {}).get("result") or tool.get("find_case", {}).get("result")
    return found if isinstance(found, dict) else {"id": found}


def _subject(facts: Json) -> str:
    return " ".join(str(facts.get("subject", "")).split())[:MAX_SUBJECT]


def _cut(text: str) -> str:
    cut = f"\n[cut: {len(text)} characters in all]"
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(cut)] + cut
