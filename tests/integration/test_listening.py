"""Doors side by side: one in trouble waits, one that could never work ends them all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from failsoft.checkpoints.store import Store
from failsoft.errors import ConfigurationError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.listening import DoorState, Listening

WELL = 0.05  # seconds


@dataclass
class Scripted(Door):
    """Runs for `seconds`, then fails with `error`, every time; without one it runs on."""

    name: str
    seconds: float = 0.0
    error: Exception | None = None
    runs: int = 0
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        self.runs += 1
        if self.error is None:
            await stopping.wait()
            return
        await asyncio.sleep(self.seconds)
        self.failed.set()
        raise self.error


@asynccontextmanager
async def listening(store: Store, *doors: Door) -> AsyncIterator[Listening]:
    reception = Reception(runs=store.runs, agent="a", lane="a@1")
    made = Listening(reception=reception, doors=doors, first=30.0, longest=30.0, well=WELL)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        made.stop()
        await asyncio.wait_for(running, 10)


def states(made: Listening) -> list[DoorState]:
    return [watched.state for watched in made.health]


@pytest.mark.parametrize(
    "error", [UnavailableError("away"), ConfigurationError("the app was thrown out of #general")]
)
async def test_what_befalls_a_door_that_was_well_stops_no_other(
    store: Store, error: Exception
) -> None:
    troubled, other = Scripted("troubled", 3 * WELL, error), Scripted("other")
    async with listening(store, troubled, other) as made:
        await asyncio.wait_for(troubled.failed.wait(), 10)
        await asyncio.sleep(0.05)
        assert states(made) == [DoorState.WAITING, DoorState.OPEN]
        assert str(error) in str(made.health[0].trouble)
    assert troubled.runs == 1


async def test_a_door_that_can_never_work_ends_them_all(store: Store) -> None:
    wrong, other = Scripted("wrong", 0.0, ConfigurationError("no such folder")), Scripted("other")
    with pytest.raises(ConfigurationError, match="no such folder"):
        async with listening(store, wrong, other) as made:
            await asyncio.wait_for(made.stopping.wait(), 10)
