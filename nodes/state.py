"""What a run remembers: JSON only, with a reducer on all that parallel branches may write."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic refuses typing's before Python 3.12

Json = dict[str, Any]  # a JSON object; LangGraph and pydantic read these hints at run time


class EventFacts(TypedDict, total=False):
    """The event as `failsoft.events.Event.to_json` gives it."""

    key: str
    source: str
    text: str
    facts: Json
    thread: str | None
    refs: list[str]
    joins: str | None  # the run in whose thread this one stands
    sender: str | None
    digest: str | None


class Classification(TypedDict, total=False):
    """What the event is about; `of` is the hash of the input it was made for."""

    label: str
    confidence: float
    summary: str
    source: Literal["model", "keywords", "person", "nobody"]
    of: str


class ErrorNote(TypedDict, total=False):
    """An error as data: stored exceptions come back from a checkpoint as strings."""

    kind: Literal["transient", "held", "refused", "spent", "budget", "malformed", "unsure"]
    reason: str
    retry_after: float  # seconds


class Record(TypedDict, total=False):
    """What one node knows about its own work on this very input."""

    of: str  # hash of the input; another input starts afresh
    round: int  # how often a person started it afresh
    attempt: int  # failed attempts of this round
    failed_at: float  # when the first attempt of this round failed; seconds since 1970
    not_before: float  # seconds since 1970
    error: ErrorNote | None
    result: Any
    skipped: str  # why nothing was written
    request: Json
    transaction_id: str
    effect: str  # what is known of the write: a state of the effects table
    model: int  # 0: the first model, 1: the second
    reprompts: int
    complaint: str  # what was wrong with the model's last answer


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Each node owns the entry under its own key, so branches never overwrite each other."""
    return {**old, **new}


def last(old: str, new: str) -> str:
    return new or old


class RunState(TypedDict, total=False):
    """The state of a run; `tool`, `review` and `budget` are keyed by node, or node/item."""

    event: EventFacts
    item: str  # set only in the input of a node that was started by Send
    place: str  # the subgraph that a verb stands in; set by the verb itself, never stored
    classification: Classification
    tool: Annotated[dict[str, Record], merge]
    review: Annotated[dict[str, Json], merge]
    budget: Annotated[dict[str, Json], merge]  # a node's own totals: adding would count twice
    status: Annotated[str, last]


class BranchOutput(TypedDict, total=False):
    """What a subgraph branch gives back: only keys with a reducer, or two branches collide."""

    tool: Annotated[dict[str, Record], merge]
    review: Annotated[dict[str, Json], merge]
    budget: Annotated[dict[str, Json], merge]


class EventInput(TypedDict):
    """The graph's input: the form that Studio shows; `item` is for a graph that is a branch."""

    event: EventFacts
    item: NotRequired[str]


class Call(TypedDict):
    """What a node hands to retry_tool, wait, fallback_classifier or notify_human."""

    asking: str
    key: str  # the node's name, or name/item where a node runs once per item
    record: Record
    question: Json
    input: RunState | None  # the asking node's own input when Send started it


def input_hash(event: Mapping[str, object], place: str = "") -> str:
    """Return what a record is bound to.

    Studio may send a second event to an old thread, and two subgraphs may have a node of one name.
    """
    parts = json.dumps([event, place] if place else event, sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]
