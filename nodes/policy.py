"""What a graph may decide about retries and spending, as frozen values."""

import random
from dataclasses import dataclass
from enum import StrEnum

from failsoft.settings import Timing


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How often a call is tried, and the waits between; seconds, None: as the settings say.

    After `deadline` seconds from the first failure no further attempt begins; None: no such limit.
    """

    attempts: int = 3
    first: float | None = None
    cap: float | None = None
    deadline: float | None = None

    def delay(
        self, attempt: int, timing: Timing, rng: random.Random, *, retry_after: float = 0.0
    ) -> float:
        """Return the wait after failed attempt number `attempt`, counted from 1.

        Exponential with full jitter (Brooker, AWS Architecture Blog, 2015). A server's Retry-After
        is honoured even beyond the cap: an earlier call would be refused.
        """
        first = timing.retry_first if self.first is None else self.first
        cap = timing.retry_cap if self.cap is None else self.cap
        return max(retry_after, rng.uniform(0, min(cap, first * 2 ** min(attempt - 1, 32))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What one run may spend. Counted in Postgres, or in the state (steps): it survives a crash."""

    llm_calls: int = 8
    tokens: int = 50_000
    usd: float | None = None
    steps: int = 100


class Refusal(StrEnum):
    """What follows when a write is refused after others were done that can be undone."""

    ASK = "ask"  # a person chooses: undo, fix, or leave it as it is
    UNDO = "undo"  # what was done is taken back at once


class Replies(StrEnum):
    """What a reply in the thread of a run becomes."""

    LIST = "list"  # nothing: it is listed under the run
    RUN = "run"  # a run of its own, which knows the run that it joins


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Whom a question goes to, and how long they have; times in seconds.

    `via` is told at once, `escalate` one after the other each time the deadline passes; after the
    last one the review expires and the run is dead, listed and replayable.
    """

    name: str = "operator"
    via: tuple[str, ...] = ()
    deadline: float = 24 * 3600.0
    escalate: tuple[str, ...] = ()


def hours(number: float) -> float:
    """Return seconds."""
    return number * 3600.0
