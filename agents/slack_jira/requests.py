"""What is written: the label picks a route, and only the route a destination."""

from pathlib import Path

from failsoft.agents.routes import Routes
from failsoft.connectors.jira_routes import JiraRoute
from failsoft.connectors.slack import escape
from failsoft.nodes.state import Json, RunState

ROUTES = Routes.load(Path(__file__).parent, JiraRoute)
MAX_SUMMARY = 200  # characters; Jira takes 255
MAX_DESCRIPTION = 30_000  # characters; Jira takes 32 767


def ticket_for(state: RunState) -> Json:
    """Return the ticket: the message stands in it verbatim, cut where Jira would refuse it."""
    found, event = state["classification"], state["event"]
    route = ROUTES[found["label"]]
    text = event.get("text", "")
    cut = f"\n[cut: {len(text)} characters in all]" if len(text) > MAX_DESCRIPTION else ""
    origin = f"Reported in Slack ({event['key']}), sorted by {found['source']}."
    return {
        "project": route.project,
        "issue_type": route.issue_type,
        "summary": _line(found.get("summary") or text) or f"A message about {found['label']}",
        "description": f"{text[:MAX_DESCRIPTION]}{cut}\n\n{origin}",
        "labels": [f"triage-{found['label']}"],
        "components": list(route.components),
        "assignee": route.assignee,
        "priority": route.priority,
    }


def reply_for(state: RunState) -> Json | None:
    """Return the answer in the thread; an event from elsewhere has none."""
    facts, ticket = state["event"].get("facts", {}), _ticket(state)
    if not {"channel", "ts"} <= facts.keys() or not ticket.get("key"):
        return None
    link = f"<{ticket['url']}|{ticket['key']}>" if ticket.get("url") else str(ticket["key"])
    text = f"Thank you. {link} is open: {escape(_line(state['classification'].get('summary', '')))}"
    return {
        "channel": facts["channel"],
        "thread_ts": facts.get("thread_ts") or facts["ts"],
        "text": text,
    }


def reaction_for(state: RunState) -> Json | None:
    """Return the mark on the message that says: there is a ticket."""
    facts = state["event"].get("facts", {})
    if not {"channel", "ts"} <= facts.keys() or not _ticket(state).get("key"):
        return None
    return {"channel": facts["channel"], "ts": facts["ts"], "name": "ticket"}


def _ticket(state: RunState) -> Json:
    """Return the created ticket, also when a person named it."""
    result = state.get("tool", {}).get("create_ticket", {}).get("result")
    return result if isinstance(result, dict) else {"key": result}


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SUMMARY else f"{line[: MAX_SUMMARY - 1]}…"
