"""The right to drive one run."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to drive one run while its worker's heart beats; every durable write carries it."""

    run_id: UUID
    run_no: int
    epoch: int
    wakes: int  # answers seen at the claim; a park that saw an older number is due at once
    alone: bool  # a suspect: it is driven in a process of its own
    crash_count: int
    dry_run: bool
