"""Take back, the latest first, what the writes before a refused one have done."""

from collections.abc import Mapping
from dataclasses import dataclass

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from failsoft.nodes.context import Context
from failsoft.nodes.state import RunState
from failsoft.nodes.verb import Step, Verb, place_of


@dataclass(kw_only=True)
class Undo:
    """Pure, and entered again after each compensating write, until nothing is left to take back.

    `compensations` names the write that undoes another one. This is a saga (Garcia-Molina and
    Salem, 1987): what was done in between is not hidden from others, it is only taken back.
    """

    verbs: Mapping[str, Verb]
    compensations: Mapping[str, str]

    async def __call__(self, state: RunState, runtime: Runtime[Context]) -> Step:
        found = self.next_of({**state, "place": place_of(runtime)})
        if found is None:
            return Command(update={"status": "undone"}, goto=END)
        return Command(goto=Send(found, state) if "item" in state else found)

    def next_of(self, state: RunState) -> str | None:
        """Return the compensating write that comes next: None when nothing is left."""
        order = list(state.get("tool", {}))  # a key comes in when its node first leaves a record
        done = [
            name
            for name, other in self.compensations.items()
            if "result" in self.verbs[name].record(state) and not self.settled(other, state)
        ]
        if not done:
            return None
        latest = max(done, key=lambda name: order.index(self.verbs[name].key(state)))
        return self.compensations[latest]

    def settled(self, name: str, state: RunState) -> bool:
        record = self.verbs[name].record(state)
        return "result" in record or "skipped" in record
