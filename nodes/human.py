"""A person as a step of the path: an approval."""

from dataclasses import dataclass

from langgraph.runtime import Runtime

from failsoft.nodes.context import Context
from failsoft.nodes.state import Json, Record, RunState
from failsoft.nodes.verb import Step, Verb


@dataclass(kw_only=True)
class Human(Verb):
    """Ask whether to go on: accept goes on, ignore ends the run."""

    async def work(self, state: RunState, runtime: Runtime[Context]) -> Step:
        return self.ask(state, self.record(state))

    def question(self, state: RunState, record: Record) -> Json:
        return {
            **super().question(state, record),
            "kind": "approval",
            "classification": dict(state.get("classification", {})),
            "allowed": ["accept", "ignore"],
        }

    @property
    def ends(self) -> tuple[str, ...]:
        return ("notify_human",)
