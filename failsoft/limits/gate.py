"""The gate that every outbound call passes, shared by all processes through Postgres."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.resources import files
from typing import LiteralString, cast

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import STATEMENT
from failsoft.clock import Clock
from failsoft.errors import HeldError, UnavailableError
from failsoft.settings import Limit

TEXT = files("failsoft.limits").joinpath("gate.sql").read_text("utf-8")
# The text comes from our own package, so it is as good as a literal.
SQL = cast("dict[str, LiteralString]", {found[1]: found[2] for found in STATEMENT.finditer(TEXT)})
FULL = 0.05  # seconds until a full gate is asked again; doubled each time
HELD = 3.0  # seconds that a call waits at least once its patience is spent: it parks
JITTER = 0.1  # share by which a wait grows at random, or all come back at the same instant


class Reason(StrEnum):
    """Why a call has to wait."""

    COOLDOWN = "cooldown"  # the other side asked for fewer calls
    IN_FLIGHT = "in_flight"  # as many calls are under way as may be
    RATE = "rate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """The right to make one call; given back after it, or free when its lease ends."""

    key: str
    until: datetime  # by the database's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Not yet: ask again in `seconds`. A call that is held costs no rate."""

    reason: Reason
    seconds: float


class Gate:
    """Rate, calls in flight and cool-down of each key, such as `jira` or `slack:C123`.

    `limit_of` gives the limit of a dependency, the part of the key before the first colon.
    No statement of a gate belongs in a transaction: its row lock would hold up every worker.
    """

    def __init__(self, database: Database, limit_of: Callable[[str], Limit]) -> None:
        self.database = database
        self.limit_of = limit_of

    async def ask(self, key: str, *, lease: float) -> Slot | Held:
        """Ask for one call that ends within `lease` seconds."""
        limit = self.limit_of(key.partition(":")[0])
        while True:
            row = await self.database.one(
                SQL["ask"], key=key, lease=lease, rate=limit.rate, burst=limit.burst,
                in_flight=limit.in_flight,
            )  # fmt: skip
            if row is not None:
                break
            await self.database.all(SQL["open"], key=key)
        if row["held"] is None:
            return Slot(key=key, until=row["slot"])
        return Held(reason=Reason(row["held"]), seconds=row["seconds"] or FULL)

    async def back(self, slot: Slot) -> None:
        """Give a slot back; one whose lease has ended changes nothing."""
        await self.database.all(SQL["back"], key=slot.key, slot=slot.until)

    async def cool(self, key: str, seconds: float) -> None:
        """Keep every caller away for `seconds`; a longer cool-down stays."""
        await self.database.all(SQL["cool"], key=key, seconds=seconds)

    @asynccontextmanager
    async def passing(
        self, key: str, *, lease: float, clock: Clock, patience: float = 2.0
    ) -> AsyncIterator[Slot]:
        """Hold a slot for the time of one call; wait for it in place for `patience` seconds in all.

        Raises:
            HeldError: it would take longer; `retry_after` says how long.
        """
        slot = await self._wait(key, lease=lease, clock=clock, patience=patience)
        try:
            yield slot
        finally:
            # The call is over and its outcome counts for more than a slot, which its lease frees
            # anyway: neither a cancellation nor a lost connection may come between.
            with suppress(UnavailableError):
                await asyncio.shield(asyncio.ensure_future(self.back(slot)))

    async def _wait(self, key: str, *, lease: float, clock: Clock, patience: float) -> Slot:
        again = 0
        while True:
            answer = await self.ask(key, lease=lease)
            if isinstance(answer, Slot):
                return answer
            seconds = answer.seconds * (1 + random.random() * JITTER)
            if answer.reason is Reason.IN_FLIGHT:
                seconds *= 2 ** min(again, 8)
                again += 1
            if seconds > patience:
                reason = f"The gate of {key} holds calls back: {answer.reason}."
                raise HeldError(reason, max(seconds, HELD))
            patience -= seconds
            await clock.sleep(seconds)
