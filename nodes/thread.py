"""What the run wrote in whose thread this event stands."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langgraph.runtime import Runtime

from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.runs import RunState as Stage
from failsoft.errors import HeldError
from failsoft.nodes.context import Context, services_of
from failsoft.nodes.state import RunState
from failsoft.nodes.tool import Tool


@dataclass(kw_only=True)
class Thread(Tool):
    """Read what the node `of` of the joined run has written; None when it wrote nothing.

    While that run is under way this one waits, which is no attempt: a question about the first
    message of a thread may rest on a desk for hours.
    """

    of: str

    async def perform(self, state: RunState, runtime: Runtime[Context]) -> Any:  # noqa: ANN401  # JSON
        services, joins = services_of(runtime), state["event"].get("joins")
        if not joins or services.store is None:
            return None
        row = await services.store.runs.get(UUID(joins))
        for effect in reversed(await services.store.effects.of_run(row["run_no"])):
            if effect.node == self.of and effect.state is EffectState.DONE:
                return {**(effect.response or {}), "id": effect.external_id}
        if Stage(row["state"]) in {Stage.DONE, Stage.CANCELLED, Stage.DEAD}:
            return None
        reason = f"{self.of} of run {joins} is not decided yet"
        raise HeldError(reason, services.settings.timing.retry_cap)


def nothing(_: RunState) -> None:
    """Stand in for the callable of a tool that needs none."""
