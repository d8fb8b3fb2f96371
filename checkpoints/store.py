"""The tables of one database, side by side."""

from dataclasses import dataclass
from typing import Self

from failsoft.checkpoints.audit import Audit
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import Effects
from failsoft.checkpoints.examples import Examples
from failsoft.checkpoints.model_calls import ModelCalls
from failsoft.checkpoints.outbox import Outbox
from failsoft.checkpoints.parks import Parks
from failsoft.checkpoints.reviews import Reviews
from failsoft.checkpoints.runs import Runs
from failsoft.checkpoints.workers import Workers


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """Everything that must survive, by table."""

    workers: Workers
    runs: Runs
    parks: Parks
    audit: Audit
    effects: Effects
    model_calls: ModelCalls
    reviews: Reviews
    outbox: Outbox
    examples: Examples

    @classmethod
    def of(cls, database: Database) -> Self:
        return cls(
            workers=Workers(database),
            runs=Runs(database),
            parks=Parks(database),
            audit=Audit(database),
            effects=Effects(database),
            model_calls=ModelCalls(database),
            reviews=Reviews(database),
            outbox=Outbox(database),
            examples=Examples(database),
        )
