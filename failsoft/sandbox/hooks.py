"""Receivers of signed webhooks, and PagerDuty's Events API v2: both know a repeat by its key."""

from dataclasses import dataclass, field

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import BAD_TOKEN, Answer, Call, Handler

PREFIX = "/hooks"
NEEDED = ("summary", "source", "severity")
SEVERITIES = ("critical", "error", "warning", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")


@dataclass(kw_only=True, slots=True)
class HookStore:
    """What was received: alerts by their key, posts by receiver and key."""

    alerts: dict[str, JSONObject] = field(default_factory=dict)
    posts: dict[tuple[str, str], JSONObject] = field(default_factory=dict)

    def as_json(self) -> JSONObject:
        return {"alerts": [*self.alerts.values()], "posts": [*self.posts.values()]}


def enqueue(call: Call) -> Answer:
    """Take an event; a second one under a known key changes the alert and makes no other."""
    try:
        given = call.json()
    except InvalidDataError:
        return _invalid("'' is not valid JSON")
    key, action = given.get("routing_key"), given.get("event_action")
    if not isinstance(key, str) or not key or key == BAD_TOKEN:
        return _invalid("'routing_key' is missing or invalid")
    if action not in ACTIONS:
        return _invalid("'event_action' is missing or invalid")
    payload = given.get("payload")
    if action == "trigger" and (problem := _problem(payload)):
        return _invalid(problem)
    alerts = call.world.hooks.alerts
    name = str(given.get("dedup_key") or f"sandbox{len(alerts):08d}")
    alert = alerts.setdefault(name, {"dedup_key": name, "status": action, "events": 0})
    alert["status"], alert["events"] = action, int(str(alert["events"])) + 1
    if action == "trigger":
        alert["payload"] = payload
    body: JSONObject = {"status": "success", "message": "Event processed", "dedup_key": name}
    return Answer(status=202, body=body)


def receive(call: Call) -> Answer:
    """Take a post; one whose key is known gets the same answer and is not taken again."""
    name = call.parts["name"]
    posts = call.world.hooks.posts
    key = call.headers.get("idempotency-key") or f"call {call.ordinal}"
    known = posts.setdefault(
        (name, key),
        {
            "id": f"hook-{len(posts) + 1}",
            "name": name,
            "key": key,
            "body": call.payload.decode(errors="replace"),
            "headers": {**call.headers},
            "deliveries": 0,
        },
    )
    known["deliveries"] = int(str(known["deliveries"])) + 1
    return Answer(body={"id": known["id"]})


def refusal(status: int) -> JSON:
    """Return the body of a status that a receiver answers."""
    return {"status": "refused", "message": f"status {status}", "errors": []}


def _problem(payload: JSON) -> str:
    """Return what PagerDuty would say about the payload of a new alert."""
    if not isinstance(payload, dict):
        return "'payload' is missing or blank"
    missing = next((name for name in NEEDED if not payload.get(name)), None)
    if missing is not None:
        return f"'payload.{missing}' is missing or blank"
    if payload["severity"] not in SEVERITIES:
        return f"'payload.severity' must be one of {', '.join(SEVERITIES)}"
    return ""


def _invalid(problem: str) -> Answer:
    body: JSONObject = {
        "status": "invalid event",
        "message": "Event object is invalid",
        "errors": [problem],
    }
    return Answer(status=400, body=body)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/v2/enqueue", enqueue),
    ("POST", "/webhook/{name}", receive),
)
