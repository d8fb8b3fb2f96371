"""Put the parts of a process together: graphs, store, saver, gate, services, runner."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.saver import FencedSaver
from failsoft.checkpoints.store import Store
from failsoft.connectors.clients import Clients
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.graphs.runner import Runner
from failsoft.limits.gate import Gate
from failsoft.nodes.context import Services
from failsoft.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a process that drives runs is made of."""

    graphs: list[ResilientGraph]
    store: Store
    services: Services
    runner: Runner


@asynccontextmanager
async def assemble(
    agents: Sequence[str], database: Database, settings: Settings
) -> AsyncIterator[Parts]:
    """Load the agents and build everything around one database; clients are closed at the end.

    Raises:
        UnknownAgentError: an agent cannot be found.
    """
    graphs = [load_graph(name) for name in agents]
    store = Store.of(database)
    services = Services(
        settings=settings,
        clients=Clients(settings),
        store=store,
        gate=Gate(database, settings.limit),
    )
    runner = Runner(
        graphs,
        store=store,
        saver=FencedSaver(database),
        services=services,
        traces=settings.home / "traces",
    )
    try:
        yield Parts(graphs=graphs, store=store, services=services, runner=runner)
    finally:
        await services.clients.close()
