"""What classifiers, tools, writes and people have in common as nodes of a graph."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from failsoft.nodes.context import Context
from failsoft.nodes.policy import Budget, Desk
from failsoft.nodes.state import Call, ErrorNote, Json, Record, RunState, input_hash

Step = Command[Any]
UNDO = "undo"  # the node that takes back; it works for the item that led to it


@dataclass(kw_only=True)
class Verb(ABC):
    """A node that leaves only by Command(goto=...); `next` is recorded by add_path."""

    name: str
    next: str = END
    budget: Budget = field(default_factory=Budget)
    desk: Desk = field(default_factory=Desk)

    async def __call__(self, state: RunState, runtime: Runtime[Context]) -> Step:
        """Count the step, then work; beyond the run's steps a person is asked instead."""
        state = {**state, "place": place_of(runtime)}
        spent = state.get("budget", {})
        if sum(entry.get("steps", 0) for entry in spent.values()) >= self.steps_allowed(state):
            note = ErrorNote(kind="budget", reason=f"the run took {self.budget.steps} steps")
            return self.ask(state, {**self.record(state), "error": note})
        step = await self.work(state, runtime)
        update = step.update if isinstance(step.update, Mapping) else {}
        if _was_held(update):  # nothing was tried, so nothing was spent
            return step
        own = spent.get(self.key(state), {})
        count = {self.key(state): {**own, "steps": own.get("steps", 0) + 1}}
        return Command(update={**update, "budget": count}, goto=step.goto)

    def steps_allowed(self, state: RunState) -> int:
        """Each time a person says "again" the run gets its steps anew."""
        rounds = sum(record.get("round", 0) for record in state.get("tool", {}).values())
        return self.budget.steps * (1 + rounds)

    @abstractmethod
    async def work(self, state: RunState, runtime: Runtime[Context]) -> Step: ...

    @property
    @abstractmethod
    def ends(self) -> tuple[str, ...]:
        """Where this node may go."""

    @property
    def spent(self) -> str:
        """Where retry_tool goes when the attempts are used up."""
        return "notify_human"

    def key(self, state: RunState) -> str:
        return f"{self.name}/{state['item']}" if "item" in state else self.name

    def record(self, state: RunState) -> Record:
        """Return what this node knows about this very input; a new event starts afresh."""
        of = input_hash(state["event"], state.get("place", ""))
        record = state.get("tool", {}).get(self.key(state), {})
        return record if record.get("of") == of else Record(of=of)

    def question(self, state: RunState, record: Record) -> Json:
        """Return what a person is asked: the source text verbatim and the allowed answers."""
        error = record.get("error") or ErrorNote(kind="refused", reason="")
        return {
            "node": self.name,
            "text": state["event"].get("text", ""),
            "reason": error.get("reason", ""),
            "kind": error.get("kind", ""),
            "allowed": ["respond", "retry", "ignore"],
        }

    def ask(self, state: RunState, record: Record) -> Step:
        return self.hand_over(state, record, "notify_human")

    def hand_over(self, state: RunState, record: Record, goto: str) -> Step:
        """Send, not a plain goto: two branches that fail in one superstep must not become one."""
        call = Call(
            asking=self.name,
            key=self.key(state),
            record=record,
            question=self.question(state, record),
            input=state if "item" in state else None,
        )
        return Command(update={"tool": {call["key"]: record}}, goto=Send(goto, call))

    def again(self, state: RunState, record: Record, verb: str | None = None) -> Step:
        """Another pass through a verb; a node that Send started gets its own input again."""
        goto = with_item(verb or self.name, state, self.key(state), record)
        return Command(update={"tool": {self.key(state): record}}, goto=goto)

    def onward(self, state: RunState, record: Record | None = None, **update: object) -> Step:
        if record is not None:
            update["tool"] = {self.key(state): record}
        return Command(update=update, goto=self.next)


def place_of(runtime: Runtime[Context]) -> str:
    """Return the subgraphs that this node stands in, without the ids of their tasks.

    LangGraph's namespace of a node is `branch:<task>|lookup:<task>`.
    """
    info = runtime.execution_info
    if info is None:
        return ""
    return "/".join(part.split(":")[0] for part in info.checkpoint_ns.split("|")[:-1])


def _was_held(update: Mapping[str, Any]) -> bool:
    records = update.get("tool", {}).values()
    return any((record.get("error") or {}).get("kind") == "held" for record in records)


def enter(verb: str, call: Call) -> str | Send:
    """Return the way back to the node that asked."""
    if call["input"] is None:
        return verb
    return with_item(verb, call["input"], call["key"], call["record"])


def onto(goto: str, call: Call) -> str | Send:
    """Return the way on from the node that asked: only `undo` takes its item along."""
    return enter(goto, call) if goto == UNDO else goto


def with_item(goto: str, state: RunState, key: str, record: Record) -> str | Send:
    """Return the way to a node that goes on with the item of this one, if it has one.

    What other nodes found goes along: a request is made of it, and an undo follows from it.
    """
    if "item" not in state:
        return goto
    return Send(goto, {**state, "tool": {**state.get("tool", {}), key: record}})
