"""What goes wrong in the demo: chosen by the seed, by the number of the call, never by the clock.

All times stay inside the sandbox profile (design §5): a call may take 2 s, an absence counts 1 s
after that, a late commit comes after at most 0.5 s, nobody asks to wait for more than 2 s.
"""

import random
from collections.abc import Sequence

from failsoft.parsing import JSON, JSONObject

ISSUE = "POST /jira/rest/api/3/issue"
SEARCH = "POST /jira/rest/api/3/search/jql"
MODEL = "POST /v1/chat/completions"
POST = "POST /slack/api/chat.postMessage"
REACT = "POST /slack/api/reactions.add"
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


def plan_faults(messages: int, rng: random.Random) -> list[JSONObject]:
    """Return the faults for so many messages; each of them has happened when they are handled.

    About three messages in five become a ticket at the least, so that the calls with a lower
    number than half of the messages surely come.
    """
    calls = messages // 2
    return [
        *_spread(ISSUE, WHEN_CREATED, calls, rng),
        *_spread(MODEL, WHEN_CLASSIFIED, calls, rng),
        *_spread(POST, WHEN_ANSWERED, calls, rng),
        *_first(REACT, WHEN_MARKED),
        *_first(SEARCH, WHEN_LOOKED_FOR),
    ]


def hold(seconds: float) -> JSONObject:
    """Execute the next creation and keep its answer back: time to kill whoever waits for it."""
    return {"match": ISSUE, "kind": "hold", "seconds": seconds, "times": 1}


def kinds_of(faults: Sequence[JSONObject]) -> set[str]:
    return {str(fault["kind"]) for fault in faults}


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
