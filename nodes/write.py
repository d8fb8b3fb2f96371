"""One external write, once."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import Command

from failsoft.checkpoints.effects import Effect, EffectState
from failsoft.connectors.contract import Operation
from failsoft.errors import ConfigurationError, PermanentError, RefusedError, TransientError
from failsoft.nodes.context import Context, Services, services_of
from failsoft.nodes.delivery import Delivery
from failsoft.nodes.failures import PASS_THROUGH, describe, note_of
from failsoft.nodes.policy import Refusal
from failsoft.nodes.state import ErrorNote, Json, Record, RunState
from failsoft.nodes.undo import Undo
from failsoft.nodes.verb import UNDO, Step, Verb, with_item

Request = Callable[[RunState], Json | Awaitable[Json | None] | None]

NOTHING = "there is nothing to write"
# What a person may answer, by what is known of the write. An effect that nobody can decide is no
# candidate for an edit: it may be there already.
ANSWERS = {
    EffectState.FAILED: ["edit", "retry", "ignore"],
    EffectState.NEEDS_HUMAN: ["respond", "retry", "ignore"],
}


@dataclass(kw_only=True)
class Write(Verb):
    """`request` makes the request from the state; None means that there is nothing to write.

    `item` tells apart the writes of one node in one run, where it runs more than once; a node that
    was started by `Send` with an `item` in its input has that one. It must follow from the event,
    never from what a model said.

    With `required=False` a refusal, or spent attempts, let the run go on with the error noted.
    `compensate` names the write that undoes this one: it is offered, or done, when a later write of
    the run is refused. Nothing is undone beside a write of which nobody knows whether it is there.
    """

    operation: Operation[Any]
    request: Request
    required: bool = True
    item: Callable[[RunState], str] | None = None
    compensate: str = ""
    refusal: Refusal = Refusal.ASK
    undo: Undo | None = None

    async def work(self, state: RunState, runtime: Runtime[Context]) -> Step:
        record, services = self.record(state), services_of(runtime)
        if "result" in record or "skipped" in record:
            return self.onward(state)
        if not services.may_write:
            return await self.dry_run(state, record)
        delivery = self.delivery(state, services)
        try:
            effect = await self.deliver(state, delivery)
        except TransientError as error:
            noted = _noted(record, delivery, note_of(error))
            return self.hand_over(state, noted, "retry_tool")
        except PermanentError as error:
            return self.refused(state, _noted(record, delivery, note_of(error)))
        return self.settled(state, record, delivery, effect)

    def key(self, state: RunState) -> str:
        item = self.item_key(state)
        return f"{self.name}/{item}" if item else self.name

    def item_key(self, state: RunState) -> str:
        return self.item(state) if self.item else state.get("item", "")

    def delivery(self, state: RunState, services: Services) -> Delivery:
        if services.store is None or services.lease is None:
            raise ConfigurationError("A write needs the run's lease.")
        return Delivery(
            services=services,
            effects=services.store.effects,
            lease=services.lease,
            operation=self.operation,
            node="/".join(filter(None, [state.get("place", ""), self.name])),
            item_key=self.item_key(state),
        )

    async def deliver(self, state: RunState, delivery: Delivery) -> Effect | None:
        """Return the effect once it has ended, None when there is nothing to write."""
        if (known := await delivery.known()) is not None:
            return await delivery.finish(known)
        request = await self.make(state)
        return None if request is None else await delivery.finish(await delivery.begin(request))

    async def make(self, state: RunState) -> Json | None:
        """Return the request, None when there is nothing to write.

        Raises:
            RefusedError: the function failed: a bug, which trying again does not mend.
        """
        try:
            made = self.request(state)
            return await made if inspect.isawaitable(made) else made
        except PASS_THROUGH:
            raise
        except Exception as error:
            raise RefusedError(f"the request of {self.name}: {describe(error)}") from error

    async def dry_run(self, state: RunState, record: Record) -> Step:
        """Say what would be written."""
        request = await self.make(state)
        if request is None:
            return self.onward(state, {**record, "skipped": NOTHING})
        return self.onward(state, {**record, "result": {"dry_run": request}})

    def settled(
        self, state: RunState, record: Record, delivery: Delivery, effect: Effect | None
    ) -> Step:
        if effect is None:
            return self.onward(state, {**record, "skipped": NOTHING})
        if effect.state is EffectState.DONE:
            done: Record = {
                **record,
                "error": None,
                "result": effect.response or {"id": effect.external_id},
                "transaction_id": effect.transaction_id,
            }
            return self.onward(state, done)
        reason = effect.reason or "refused"
        if effect.state is EffectState.NEEDS_HUMAN:
            reason = f"nobody can prove whether it was written: {reason}"
        note = ErrorNote(kind="refused", reason=reason)
        return self.refused(state, _noted(record, delivery, note))

    def refused(self, state: RunState, record: Record) -> Step:
        if not self.required:
            return self.onward(state, {**record, "skipped": "refused"})
        if self.refusal is Refusal.UNDO and self.may_undo(state, record):
            left: Record = {**record, "skipped": "refused"}
            goto = with_item(UNDO, state, self.key(state), left)
            return Command(update={"tool": {self.key(state): left}}, goto=goto)
        return self.ask(state, record)

    def onward(self, state: RunState, record: Record | None = None, **update: object) -> Step:
        step = super().onward(state, record, **update)
        if self.next != UNDO:
            return step
        known = record or self.record(state)
        return Command(update=step.update, goto=with_item(UNDO, state, self.key(state), known))

    def may_undo(self, state: RunState, record: Record) -> bool:
        """Tell whether writes before this one can be undone, and this one is surely not there."""
        absent = record.get("effect") in {None, EffectState.FAILED, EffectState.WAITING}
        return absent and self.undo is not None and self.undo.next_of(state) is not None

    def question(self, state: RunState, record: Record) -> Json:
        """Show exactly what would be written, and where a person can look for it."""
        known = record.get("effect")
        allowed = (ANSWERS.get(EffectState(known)) if known else None) or ["retry", "ignore"]
        if self.next == UNDO:  # a compensation: what is left to undo goes on after it
            allowed = [*allowed[:-1], "accept"]
        elif self.may_undo(state, record):
            allowed = ["undo", *allowed[:-1], "accept"]
        return {
            **super().question(state, record),
            "request": record.get("request"),
            "transaction_id": record.get("transaction_id"),
            "allowed": allowed,
        }

    @property
    def spent(self) -> str:
        return "notify_human" if self.required else self.next

    @property
    def ends(self) -> tuple[str, ...]:
        ends = (self.next, "retry_tool", "notify_human")
        return (*ends, UNDO) if self.undo and self.refusal is Refusal.UNDO else ends


def _noted(record: Record, delivery: Delivery, note: ErrorNote) -> Record:
    """Keep what a person must see: the stored request, or the one that was never claimed."""
    effect = delivery.effect
    if effect is None:
        return {**record, "error": note, "request": delivery.request or {}}
    return {
        **record,
        "error": note,
        "request": effect.request,
        "transaction_id": effect.transaction_id,
        "effect": effect.state.value,
    }
