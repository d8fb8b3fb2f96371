"""What the HTTP doors of a process share: the database, the agents, the clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.reviews import Reviews
from failsoft.checkpoints.store import Store
from failsoft.clock import Clock
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.intake.admission import Reception
from failsoft.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """One process that serves `receptions`, by the name of their agent."""

    settings: Settings
    database: Database
    receptions: dict[str, Reception]
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def of(
        cls, graphs: Sequence[ResilientGraph], database: Database, settings: Settings
    ) -> "Serving":
        runs = Store.of(database).runs
        receptions = {graph.agent: Reception.of(graph, runs) for graph in graphs}
        return cls(settings=settings, database=database, receptions=receptions)

    @property
    def reviews(self) -> Reviews:
        return Reviews(self.database)
