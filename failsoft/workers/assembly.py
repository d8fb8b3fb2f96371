"""Put the parts of a process together: graphs, store, saver, gate, services, runner."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.saver import FencedSaver
from failsoft.checkpoints.store import Store
from failsoft.connectors.clients import Clients
from failsoft.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingSettingError,
    TransientError,
)
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.graphs.runner import Runner
from failsoft.limits.gate import Gate
from failsoft.nodes.context import Services
from failsoft.nodes.failures import hide
from failsoft.settings import Settings
from failsoft.tracing.links import flush, langsmith_guard

logger = logging.getLogger(__name__)

FLUSH = 2.0  # seconds that the end of a process may wait for LangSmith


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a process that drives runs is made of."""

    graphs: list[ResilientGraph]
    store: Store
    services: Services
    runner: Runner


@asynccontextmanager
async def assemble(
    graphs: Sequence[ResilientGraph], database: Database, settings: Settings
) -> AsyncIterator[Parts]:
    """Build everything around one database and some graphs; clients are closed at the end."""
    langsmith_guard()
    hide(settings.secrets)
    store = Store.of(database)
    services = Services(
        settings=settings,
        clients=Clients(settings),
        store=store,
        gate=Gate(database, settings.limit),
    )
    if settings.model is not None:
        services.model(0)  # importing its client takes a second that no heartbeat should miss
    runner = Runner(
        list(graphs),
        store=store,
        saver=FencedSaver(database),
        services=services,
        traces=settings.home / "traces",
    )
    try:
        yield Parts(graphs=list(graphs), store=store, services=services, runner=runner)
    finally:
        await services.close()
        flush(FLUSH)


async def check_agents(graphs: Sequence[ResilientGraph], clients: Clients) -> None:
    """Ask the outside world for everything that the agents would write to.

    What cannot be asked now is only logged: work goes on when another system is away, and a run
    that needs a missing setting or package waits with its name as the reason.

    Raises:
        ConfigurationError: the other side lacks something; the message says what.
    """
    for graph in graphs:
        for name, check in graph.checks.items():
            try:
                await check(clients)
            except (TransientError, MissingSettingError, MissingExtraError) as error:
                logger.warning("%s: %s was not checked: %s", graph.agent, name, error)
            except ConfigurationError as error:
                raise ConfigurationError(f"{graph.agent}, {name}: {error}") from None
