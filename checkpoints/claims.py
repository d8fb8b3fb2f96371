"""What admission and claim hand out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from uuid import UUID

from psycopg.rows import DictRow

from failsoft.checkpoints.lease import Lease
from failsoft.events import Event


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PARKED = "parked"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """The run of an event; `new` is False when the event was known already."""

    run_id: UUID
    new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A run to drive now; with `cancel_asked` it is to be brought to its end instead."""

    lease: Lease
    agent: str
    lane: str  # the version of the agent's graph that the run is driven by
    event: Event
    cancel_asked: bool

    @classmethod
    def of(cls, row: DictRow) -> Self:
        agent, event = row.pop("agent"), Event.from_json(row.pop("event"))
        lane, cancel_asked = row.pop("lane"), row.pop("cancel_asked")
        lease = Lease(**row)
        return cls(lease=lease, agent=agent, lane=lane, event=event, cancel_asked=cancel_asked)
