"""Drive one claimed run to its next rest: done, parked, or dead. The resume rules stand here."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained, GraphRecursionError, UnknownInterruptError
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command, GraphOutput, Interrupt

from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.parks import Delivery, Park
from failsoft.checkpoints.reviews import review_id_of
from failsoft.checkpoints.runs import Claim, RunState
from failsoft.checkpoints.saver import FencedSaver
from failsoft.checkpoints.store import Store
from failsoft.errors import (
    ConfigurationError,
    LeaseLostError,
    RunCancelledError,
    UnavailableError,
    UnknownAgentError,
)
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.nodes.context import Context, Services
from failsoft.nodes.failures import describe
from failsoft.nodes.inbox import asked_of
from failsoft.nodes.policy import Desk
from failsoft.nodes.state import Json
from failsoft.tracing.recorder import Recorder, new_trace_id

logger = logging.getLogger(__name__)

App = CompiledStateGraph[Any, Context, Any, Any]
SAFETY_NET = 1_000  # supersteps of one attempt; budgets count what matters, this only ends bugs


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """How an attempt ended; `state` None: the lease was lost, somebody else drives the run."""

    run_id: UUID
    trace_id: UUID
    state: RunState | None
    outcome: str = ""
    reason: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)


class Runner:
    """Drives runs of the graphs it was given; one for each process."""

    def __init__(
        self,
        graphs: list[ResilientGraph],
        *,
        store: Store,
        saver: FencedSaver,
        services: Services,
        traces: Path,
    ) -> None:
        self.apps: dict[str, App] = {
            graph.lane: graph.compile(checkpointer=saver, name=graph.agent) for graph in graphs
        }
        self.desks = {graph.lane: graph.desk for graph in graphs}
        self.store = store
        self.saver = saver
        self.services = services
        self.traces = traces

    @property
    def lanes(self) -> list[str]:
        return list(self.apps)

    async def drive(  # noqa: PLR0911  # one return for each way in which an attempt ends
        self, claim: Claim, control: RunControl | None = None
    ) -> Rest:
        """Take one claimed run to its next rest and write that down.

        `control` asks for a drain: the run is queued again at the next step.

        Raises:
            UnavailableError: our own database is away; the lease runs out by itself.
            ConfigurationError: a setting is missing; nothing was changed.
        """
        trace_id = new_trace_id()
        try:
            if await self.store.runs.begin(claim.lease, trace_id) and await self._decided(claim):
                reason = "cancelled before it went on"
                return await self._end(claim, trace_id, RunState.CANCELLED, reason=reason)
            return await self._settle(
                claim, trace_id, await self._attempt(claim, trace_id, control)
            )
        except LeaseLostError as error:
            return Rest(run_id=claim.lease.run_id, trace_id=trace_id, state=None, reason=str(error))
        except RunCancelledError as error:
            return await self._cancelled(claim, trace_id, str(error))
        except GraphDrained:
            return await self._end(claim, trace_id, RunState.QUEUED, reason="the worker drains")
        except (UnavailableError, ConfigurationError):
            raise
        except GraphRecursionError:
            reason = f"the graph took more than {SAFETY_NET} supersteps in one attempt"
            return await self._end(claim, trace_id, RunState.DEAD, reason=reason)
        except Exception as error:
            logger.error("run %s cannot go on: %s", claim.lease.run_id, describe(error))  # noqa: TRY400
            logger.debug("its traceback:", exc_info=True)
            return await self._end(claim, trace_id, RunState.DEAD, reason=describe(error))

    async def _cancelled(self, claim: Claim, trace_id: UUID, reason: str) -> Rest:
        """End a cancelled run, or let it go on where a branch still has a write in the air."""
        if await self._decided(claim):
            return await self._end(claim, trace_id, RunState.CANCELLED, reason=reason)
        after = self.services.settings.timing.send
        return await self._end(claim, trace_id, RunState.QUEUED, reason=reason, after=after)

    async def _decided(self, claim: Claim) -> bool:
        """Tell whether no write is in the air: only then may a cancelled run end."""
        open_states = {EffectState.IN_FLIGHT, EffectState.UNKNOWN}
        effects = await self.store.effects.of_run(claim.lease.run_no)
        return not any(effect.state in open_states for effect in effects)

    async def _attempt(
        self, claim: Claim, trace_id: UUID, control: RunControl | None
    ) -> GraphOutput[Any]:
        """No checkpoint: the original input. Answers: strict resume. Otherwise: just go on."""
        invocation = Invocation(
            app=self._app(claim),
            config=self._config(claim, trace_id),
            context=Context.of(self.services.for_run(claim.lease)),
            control=control,
        )
        if await self.saver.aget_tuple(invocation.config) is None:
            return await invocation.start({"event": claim.event.to_json()})
        answers = {
            park.interrupt_id: _answer(park)
            for park in await self.store.parks.deliverable(claim.lease)
        }
        return await invocation.resume(answers)

    async def _settle(self, claim: Claim, trace_id: UUID, result: GraphOutput[Any]) -> Rest:
        if not result.interrupts:
            outcome = str(result.value.get("status") or "done")
            return await self._end(
                claim, trace_id, RunState.DONE, outcome=outcome, value=result.value
            )
        parks = [await self._park(claim, interrupt) for interrupt in result.interrupts]
        await self.store.runs.park(claim.lease, parks, cancel_seen=claim.cancel_asked)
        return Rest(
            run_id=claim.lease.run_id,
            trace_id=trace_id,
            state=RunState.PARKED,
            reason=", ".join(sorted({park.kind for park in parks})),
            value=result.value,
        )

    async def _park(self, claim: Claim, interrupt: Interrupt) -> Park:
        asked = asked_of(interrupt.value)
        match asked.get("kind"):
            case "timer" if "due_at" in asked:
                due_at = float(asked["due_at"])
                return Park(interrupt_id=interrupt.id, kind="timer", due_at=due_at, review_id=None)
            case "person" if "review_id" in asked:
                review_id = str(asked["review_id"])
            case _:
                review_id = await self._generic_review(claim, interrupt)
        return Park(interrupt_id=interrupt.id, kind="person", due_at=None, review_id=review_id)

    async def _generic_review(self, claim: Claim, interrupt: Interrupt) -> str:
        """Ask what a user's own interrupt() asks."""
        # A node with two interrupts asks the second under the id of the first.
        asked = json.dumps([interrupt.id, interrupt.value], sort_keys=True, default=str)
        review_id = review_id_of(claim.lease.run_id, asked)
        desk = self.desks[claim.lane] if not claim.lease.dry_run else Desk()
        await self.store.reviews.open(
            claim.lease,
            review_id=review_id,
            node="interrupt",
            question={"kind": "interrupt", "value": interrupt.value},
            allowed=["respond"],
            channels=desk.via,
            step_seconds=desk.deadline,
            escalations=desk.escalate,
            transaction_id=None,
        )
        return review_id

    async def _end(
        self,
        claim: Claim,
        trace_id: UUID,
        state: RunState,
        *,
        outcome: str = "",
        reason: str = "",
        value: Mapping[str, Any] | None = None,
        after: float = 0.0,
    ) -> Rest:
        final: RunState | None = state
        try:
            await self.store.runs.settle(
                claim.lease, state, outcome=outcome or None, reason=reason or None, after=after
            )
        except LeaseLostError as error:
            final, reason = None, str(error)
        return Rest(
            run_id=claim.lease.run_id,
            trace_id=trace_id,
            state=final,
            outcome=outcome,
            reason=reason,
            value=value or {},
        )

    def _app(self, claim: Claim) -> App:
        """Return the graph of the run's own version: another one may have moved its nodes."""
        if claim.lane not in self.apps:
            raise UnknownAgentError(f"This worker has no graph for {claim.lane}.")
        return self.apps[claim.lane]

    def _config(self, claim: Claim, trace_id: UUID) -> RunnableConfig:
        recorder = Recorder(
            self.traces,
            run_id=claim.lease.run_id,
            event_key=claim.event.key,
            agent=claim.agent,
            secrets=self.services.settings.secrets,
        )
        return {
            "configurable": {
                "thread_id": str(claim.lease.run_id),
                "__pregel_strict_resume": True,
                "__failsoft_epoch": claim.lease.epoch,
            },
            "run_id": trace_id,
            "run_name": claim.agent,
            "callbacks": [recorder],
            "recursion_limit": SAFETY_NET,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """One ainvoke; durability=sync: the next node runs only when this step is on disk."""

    app: App
    config: RunnableConfig
    context: Context
    control: RunControl | None

    async def start(self, given: Json | Command[Any] | None) -> GraphOutput[Any]:
        return await self.app.ainvoke(
            given,
            self.config,
            context=self.context,
            durability="sync",
            version="v2",
            control=self.control,
        )

    async def resume(self, answers: Mapping[str, Any]) -> GraphOutput[Any]:
        """Deliver strictly by id; one stale id refuses the whole map and writes nothing."""
        try:
            return await self.start(Command(resume=dict(answers)) if answers else None)
        except UnknownInterruptError as error:
            left = {park: answer for park, answer in answers.items() if park in error.pending_ids}
            return await self.start(Command(resume=left) if left else None)


def _answer(park: Delivery) -> object:
    """Return what the interrupted node gets: a tick, a decision, or a user's own value."""
    if park.kind == "timer":
        return "tick"
    answer = park.answer or {}
    return answer.get("value") if park.plain else answer
