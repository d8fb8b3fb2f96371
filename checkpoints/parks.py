"""What a run waits for without holding a worker: a time or a person."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.queries import load
from failsoft.parsing import JSONObject

SQL = load("parks")
ParkKind: TypeAlias = Literal["timer", "person"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Park:
    """One interrupt of LangGraph and what ends it: a time, a person's answer, or both."""

    interrupt_id: str
    kind: ParkKind
    due_at: float | None = None  # seconds since 1970
    review_id: str | None = None

    def __post_init__(self) -> None:
        if self.due_at is None and self.review_id is None:
            raise ValueError(f"park {self.interrupt_id} would never end")


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What an interrupt gets back; `answer` is a person's, None for a timer.

    `plain`: it goes to a user's own interrupt(), which takes the value and knows no choices.
    """

    interrupt_id: str
    kind: ParkKind
    answer: JSONObject | None
    plain: bool = False


class Parks:
    """Reads the parks of a run; `Runs.park` writes them, together with the end of the lease."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def deliverable(self, lease: Lease) -> list[Delivery]:
        """Return the timers that are due and the questions that are answered.

        They come again at each claim until a later rest no longer lists their interrupt. A lost
        lease delivers nothing.
        """
        rows = await self.database.all(SQL["deliverable"], run_id=lease.run_id, epoch=lease.epoch)
        return [Delivery(**row) for row in rows]
