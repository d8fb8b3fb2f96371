"""The context that LangGraph hands to every node, and the live services attached beside its fields.

Services are no fields: LangGraph and Studio show, copy and log fields. Above all the lease is none,
or anybody with a Studio window could switch writing on.
"""

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from langgraph.runtime import Runtime

from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.store import Store
from failsoft.clock import Clock
from failsoft.connectors.clients import Clients
from failsoft.connectors.models import ChatModel
from failsoft.errors import MissingSettingError
from failsoft.limits.gate import Gate
from failsoft.settings import Settings, load_settings


@dataclass(frozen=True, kw_only=True)
class Services:
    """What nodes use to reach the world. Without a lease nothing is written: a dry run."""

    settings: Settings
    clients: Clients
    clock: Clock = field(default_factory=Clock)
    rng: random.Random = field(default_factory=random.Random)
    store: Store | None = None
    gate: Gate | None = None
    lease: Lease | None = None
    models: dict[str, ChatModel] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build lazily: no client exists before the first call that needs it."""
        return cls(settings=settings, clients=Clients(settings))

    def for_run(self, lease: Lease) -> Self:
        return replace(self, lease=lease)

    @property
    def may_write(self) -> bool:
        return self.lease is not None and not self.lease.dry_run

    def model(self, place: int) -> ChatModel:
        """Return the first (0) or the second (1) model.

        Raises:
            MissingSettingError: no model is configured.
        """
        name = self.settings.second_model if place else self.settings.model
        if name is None:
            variable = "FAILSOFT_SECOND_MODEL" if place else "FAILSOFT_MODEL"
            raise MissingSettingError(variable, "name a chat model, e.g. openai:gpt-5-mini")
        if name not in self.models:
            self.models[name] = ChatModel(name, self.settings)
        return self.models[name]

    async def close(self) -> None:
        await self.clients.close()
        for model in self.models.values():
            await model.close()

    def passing(self, key: str, *, within: float) -> contextlib.AbstractAsyncContextManager[object]:
        """Pass the gate of `key` for one call of at most `within` seconds.

        Raises (on entering):
            HeldError: it may be passed later.
        """
        if self.gate is None:
            return contextlib.nullcontext()
        return self.gate.passing(key, lease=within, clock=self.clock)

    async def cool(self, key: str, seconds: float) -> None:
        """Keep every worker away from `key` for so long: the other side said so."""
        if self.gate is not None and seconds > 0:
            await self.gate.cool(key, seconds)


@dataclass
class Context:
    """What a caller of the graph may set: nothing yet, so Studio shows an empty form."""

    @cached_property
    def services(self) -> Services:
        return Services.from_settings(load_settings())

    @classmethod
    def of(cls, services: Services) -> Self:
        context = cls()
        context.__dict__["services"] = services
        return context


def _shared_default() -> Callable[[], Context]:
    made: list[Context] = []

    def default() -> Context:
        if not made:
            made.append(Context())
        return made[0]

    return default


_default = _shared_default()


def services_of(runtime: Runtime[Context]) -> Services:
    """Return the services; LangGraph passes None when the caller gave no context."""
    given: Context | None = runtime.context  # LangGraph's hint promises more than it keeps
    return (given or _default()).services
