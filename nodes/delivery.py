"""The effect protocol of design section 5, for one write of one run.

T1 claims the effect and commits; the stored request is sent once; T2 records what is known. A run
that comes back finds the effect, never a guess: done is returned, unknown is looked for, and only a
proven absence is sent again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from failsoft.checkpoints.effects import Effect, Effects, EffectState
from failsoft.checkpoints.lease import Lease
from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Found,
    NotSent,
    Operation,
    Outcome,
    Unknown,
)
from failsoft.errors import (
    ConfigurationError,
    HeldError,
    LeaseLostError,
    PermanentError,
    RateLimitedError,
    RunCancelledError,
    TransientError,
    UnavailableError,
)
from failsoft.nodes.context import Services
from failsoft.nodes.failures import describe
from failsoft.nodes.state import Json

MAX_ROUNDS = 3  # proven absences after which a person is asked instead of sending again
LOOK_SENDS = 4  # how many times the length of a send one look may take
LONGEST_SEARCH = 3600.0  # seconds of failing look-ups after which a person is asked
IN_FLIGHT = EffectState.IN_FLIGHT
ENDED = (EffectState.DONE, EffectState.FAILED, EffectState.NEEDS_HUMAN)


@dataclass(kw_only=True)
class Delivery:
    """Bring one write to its end; `effect` is what is known of it so far."""

    services: Services
    effects: Effects
    lease: Lease
    operation: Operation[Any]
    node: str
    item_key: str = ""
    effect: Effect | None = None
    request: Json | None = None

    @property
    def within(self) -> float:
        """Seconds that one send may take in all."""
        return self.services.settings.timing.send

    @property
    def settle_seconds(self) -> float:
        own, usual = self.services.settings.timing.settle, self.operation.settle_seconds
        return usual if own is None or usual == 0 else own

    async def known(self) -> Effect | None:
        """Return the newest generation of this write, if it was ever claimed."""
        self.effect = await self.effects.newest(self.lease, node=self.node, item_key=self.item_key)
        return self.effect

    async def finish(self, effect: Effect) -> Effect:
        """Return the effect once it has ended: done, failed, or in need of a person.

        Raises:
            TransientError: not yet; a HeldError means that no attempt was made.
            RunCancelledError: a person cancelled the run meanwhile.
            LeaseLostError: the run is somebody else's.
        """
        while effect.state not in ENDED:
            if effect.state is EffectState.WAITING:
                effect = await self.resend(effect)
            else:
                effect = await self.reconcile()
        return effect

    async def begin(self, request: Json) -> Effect:
        """Claim a write that was never tried (T1), and send it."""
        self.request = request
        client = self.services.clients.get(self.operation.connector)
        async with self.passing(request):
            mark = await self.operation.mark(client, request)
        async with self.passing(request):
            started = self.services.clock.monotonic()
            self.effect = await self.effects.claim(
                self.lease,
                node=self.node,
                item_key=self.item_key,
                operation=repr(self.operation),
                request=request,
                mark=mark,
                within=self.within,
                settle=self.settle_seconds,
            )
            return await self.sent(self.effect, started)

    async def resend(self, effect: Effect) -> Effect:
        """Send a write again that was surely not executed."""
        async with self.passing(effect.request):
            started = self.services.clock.monotonic()
            return await self.sent(await self.take(), started)

    async def take(self) -> Effect:
        self.effect = await self.effects.take(
            self.lease, node=self.node, item_key=self.item_key, within=self.within
        )
        return self.effect

    async def sent(self, effect: Effect, started: float) -> Effect:
        """Send what is ours to send; anything else is decided by `finish`."""
        return await self.send(effect, started) if effect.state is IN_FLIGHT else effect

    async def send(self, effect: Effect, started: float) -> Effect:
        """Send the stored request once, and record the outcome (T2).

        The time is counted from before T1, so the send ends before the stored deadline whatever
        the clocks of the two machines say.
        """
        left = self.within - (self.services.clock.monotonic() - started)
        if left <= 0:
            outcome: Outcome = NotSent(reason="the send deadline passed before the send")
        else:
            outcome = await self.attempt(effect, left)
        return await self.record(effect, outcome)

    async def attempt(self, effect: Effect, left: float) -> Outcome:
        client = self.services.clients.get(self.operation.connector)
        try:
            return await self.operation.send(
                client, effect.request, effect.transaction_id, within=left
            )
        except Exception as error:  # noqa: BLE001  # whatever broke, it may have been executed
            return Unknown(reason=describe(error))

    async def record(self, effect: Effect, outcome: Outcome) -> Effect:
        match outcome:
            case Done(external_id=external_id, response=response):
                return await self.settle(
                    effect, EffectState.DONE, external_id=external_id, response=response
                )
            case NotSent(reason=reason, retry_after=retry_after):
                await self.settle(effect, EffectState.WAITING, reason=reason)
                if not outcome.rate_limited:
                    raise TransientError(reason, retry_after)
                raise RateLimitedError(reason, retry_after)
            case Failed(reason=reason):
                return await self.settle(effect, EffectState.FAILED, reason=reason)
            case Unknown(reason=reason):
                return await self.settle(effect, EffectState.UNKNOWN, reason=reason)

    async def reconcile(self) -> Effect:
        """Decide an effect that may have been executed: look for it, never guess."""
        effect = await self.take()
        if effect.state is not EffectState.UNKNOWN:
            return effect
        if self.operation.consistency is Consistency.NONE:
            return await self.settle(effect, EffectState.NEEDS_HUMAN, reason=effect.reason)
        try:
            seen = await self.look(effect)
        except PermanentError as error:
            return await self.settle(effect, EffectState.NEEDS_HUMAN, reason=str(error))
        except TransientError as error:
            return await self.unseen(effect, error)
        match seen:
            case Found(external_id=external_id, response=response):
                return await self.settle(
                    effect, EffectState.DONE, external_id=external_id, response=response
                )
            case Absent():
                return await self.absent(effect, seen)

    async def look(self, effect: Effect) -> Found | Absent:
        """Look for the write, in as many calls as it takes but no longer than a few sends.

        Raises:
            TransientError: it could not be looked for now.
            PermanentError: it can never be.
        """
        client = self.services.clients.get(self.operation.connector)
        limit = LOOK_SENDS * self.within
        try:
            async with self.passing(effect.request), asyncio.timeout(limit):
                return await self.operation.find(
                    client, effect.request, effect.transaction_id, effect.mark
                )
        except (TransientError, PermanentError, RunCancelledError, LeaseLostError):
            raise
        except (UnavailableError, ConfigurationError):
            raise
        except Exception as error:
            raise TransientError(f"{self.operation!r}: {describe(error)}") from error

    async def unseen(self, effect: Effect, error: TransientError) -> Effect:
        """Look again later: it could not be looked for, which is no attempt to write.

        The wait grows with the time that the search has lasted, which doubles it each time.
        """
        searched = max(0.0, -effect.absence_in)
        if searched > LONGEST_SEARCH:
            return await self.settle(effect, EffectState.NEEDS_HUMAN, reason=str(error))
        timing = self.services.settings.timing
        wait = min(max(timing.retry_first, searched), timing.retry_cap)
        raise HeldError(str(error), max(wait, error.retry_after)) from error

    async def absent(self, effect: Effect, seen: Absent) -> Effect:
        """Count an absence only after the settle time: a late commit may still appear."""
        if effect.absence_in > 0:
            reason = f"{effect.operation} may still appear: looked for again later"
            raise HeldError(reason, effect.absence_in)
        if seen.certain and effect.unknown_rounds < MAX_ROUNDS:
            return await self.settle(effect, EffectState.WAITING, reason="surely absent")
        return await self.settle(effect, EffectState.NEEDS_HUMAN, reason=effect.reason)

    async def settle(
        self,
        effect: Effect,
        state: EffectState,
        *,
        external_id: str | None = None,
        response: Json | None = None,
        reason: str | None = None,
    ) -> Effect:
        cancelled = await self.effects.settle(
            self.lease, effect, state, external_id=external_id, response=response, reason=reason
        )
        if cancelled and state is not EffectState.UNKNOWN:
            raise RunCancelledError("the run was cancelled")
        self.effect = replace(
            effect, state=state, external_id=external_id, response=response, reason=reason
        )
        return self.effect

    async def cancelled(self, error: RunCancelledError) -> NoReturn:
        """Stop here, unless a parallel branch has a write in the air: that one is decided first.

        Ending the superstep now would end the other branch's search with it, again and again.
        """
        open_states = {EffectState.IN_FLIGHT, EffectState.UNKNOWN}
        for effect in await self.effects.of_run(self.lease.run_no):
            if effect.state in open_states:
                raise HeldError(f"{error}; a write is still in the air", self.within) from error
        raise error

    @asynccontextmanager
    async def passing(self, request: Json) -> AsyncIterator[None]:
        """Pass the gate for one step; a 429 in it keeps everybody away for as long as it says."""
        key = self.operation.gate_key(request)
        try:
            async with self.services.passing(key, within=self.within):
                yield
        except RunCancelledError as error:
            await self.cancelled(error)
        except RateLimitedError as error:
            await self.services.cool(key, error.retry_after)
            raise
