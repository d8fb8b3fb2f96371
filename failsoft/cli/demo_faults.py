"""What goes wrong in the demo: chosen by the seed, by the number of the call, never by the clock.

All times stay inside the sandbox profile (design §5): a call may take 2 s, an absence counts 1 s
after that, a late commit comes after at most 0.5 s, nobody asks to wait for more than 2 s.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from failsoft.parsing import JSON, JSONObject

ISSUE = "POST /jira/rest/api/3/issue"
SEARCH = "POST /jira/rest/api/3/search/jql"
MODEL = "POST /v1/chat/completions"
POST = "POST /slack/api/chat.postMessage"
REACT = "POST /slack/api/reactions.add"
CASE = "POST /salesforce/services/data/v66.0/sobjects/Case"
EMAIL = "POST /salesforce/services/data/v66.0/sobjects/EmailMessage"
FIND = "GET /salesforce/services/data/v66.0/sobjects/Case/Failsoft_Txn__c/*"
QUEUES = "GET /salesforce/services/data/v66.0/query"
LOGIN = "POST /salesforce/services/oauth2/token"
SMTP = "SMTP DATA"
SHARE = 0.4  # of the calls among which a route's faults are chosen

WAIT: JSONObject = {"Retry-After": "1"}
WHEN_CREATED: tuple[JSONObject, ...] = (
    {"kind": "latency", "seconds": 0.7},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "headers": WAIT},
    {"kind": "status_after", "status": 502},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "late_commit", "seconds": 0.4},
    {"kind": "malformed"},
    {"kind": "truncate"},
    {"kind": "latency_after", "seconds": 0.7},
    {"kind": "slow_body", "seconds": 0.5},
)
WHEN_LOOKED_FOR: tuple[JSONObject, ...] = (
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "headers": WAIT},
)
WHEN_CLASSIFIED: tuple[JSONObject, ...] = (
    {"kind": "content", "content": "malformed"},
    {"kind": "content", "content": "fenced"},
    {"kind": "content", "content": "prose"},
    {"kind": "content", "content": "outside_enum"},
    {"kind": "content", "content": "empty"},
    {"kind": "content", "content": "truncated"},
    {"kind": "content", "content": "nan"},
    {"kind": "content", "content": "nested"},
    {"kind": "content", "content": "obedient"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 429, "headers": WAIT},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "latency", "seconds": 0.5},
    {"kind": "latency", "seconds": 1.9},  # longer than the demo waits for a model
)
WHEN_ANSWERED: tuple[JSONObject, ...] = (
    {"kind": "status", "status": 429, "headers": WAIT},
    {"kind": "status", "status": 200, "body": {"ok": False, "error": "ratelimited"}},
    {"kind": "status", "status": 500},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "malformed"},
)
WHEN_MARKED: tuple[JSONObject, ...] = ({"kind": "status", "status": 500}, {"kind": "drop_after"})
LOCKED: JSONObject = {
    "kind": "status",
    "status": 400,
    "body": [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access"}],
}
EXPIRED: JSONObject = {
    "kind": "status",
    "status": 401,
    "body": [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}],
}
WHEN_ADDED: tuple[JSONObject, ...] = (
    {"kind": "status", "status": 503},
    {"kind": "status_after", "status": 502},
    {"kind": "drop_after"},
    {"kind": "late_commit", "seconds": 0.4},
    LOCKED,
)
# No status after the mail was taken: a server that says "not taken" is sent the mail again.
WHEN_THANKED: tuple[JSONObject, ...] = (
    {"kind": "status", "status": 451},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "late_commit", "seconds": 0.4},
    {"kind": "malformed"},
)
WHEN_LOGGED_IN: tuple[JSONObject, ...] = ({"kind": "status", "status": 503},)


@dataclass(frozen=True, kw_only=True, slots=True)
class Harm:
    """What goes wrong on the routes of a scenario.

    Many of the first calls of a `spread` route are hit, of another one a call for each kind.
    """

    spread: Mapping[str, Sequence[JSONObject]]
    first: Mapping[str, Sequence[JSONObject]]


SLACK_JIRA = Harm(
    spread={ISSUE: WHEN_CREATED, MODEL: WHEN_CLASSIFIED, POST: WHEN_ANSWERED},
    first={REACT: WHEN_MARKED, SEARCH: WHEN_LOOKED_FOR},
)
EMAIL_SALESFORCE = Harm(
    spread={
        CASE: (*WHEN_CREATED, LOCKED), MODEL: WHEN_CLASSIFIED, EMAIL: WHEN_ADDED,
        SMTP: WHEN_THANKED,
    },
    first={FIND: WHEN_LOOKED_FOR, LOGIN: WHEN_LOGGED_IN, QUEUES: (*WHEN_LOOKED_FOR, EXPIRED)},
)  # fmt: skip


def plan_faults(messages: int, harm: Harm, rng: random.Random) -> list[JSONObject]:
    """Return the faults for so many messages; each of them has happened when they are handled.

    About three messages in five become a ticket or case at the least, so that the calls with a
    lower number than half of the messages surely come.
    """
    calls = messages // 2
    spread = (_spread(route, kinds, calls, rng) for route, kinds in harm.spread.items())
    first = (_first(route, kinds) for route, kinds in harm.first.items())
    return [fault for faults in (*spread, *first) for fault in faults]


def hold(route: str, seconds: float) -> JSONObject:
    """Execute the next creation and keep its answer back: time to kill whoever waits for it."""
    return {"match": route, "kind": "hold", "seconds": seconds, "times": 1}


def _spread(
    route: str, kinds: Sequence[JSONObject], calls: int, rng: random.Random
) -> list[JSONObject]:
    """Hit a share of the first `calls` calls, one fault each, with every kind at least once."""
    number = max(len(kinds), round(SHARE * calls))
    ordinals = rng.sample(range(2, max(calls, number) + 2), number)
    places: list[list[JSON]] = [[] for _ in kinds]
    for place, ordinal in enumerate(ordinals):
        places[place % len(kinds)].append(ordinal)
    return [{"match": route, **kind, "nth": nth} for kind, nth in zip(kinds, places, strict=True)]


def _first(route: str, kinds: Sequence[JSONObject]) -> list[JSONObject]:
    return [{"match": route, **kind, "nth": [2 + 3 * place]} for place, kind in enumerate(kinds)]
