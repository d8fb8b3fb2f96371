"""What became of the demo's events, by our own tables; the counts come from the sandbox."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.reviews import Review
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.events import Ignored
from failsoft.graphs.runner import Runner
from failsoft.intake.slack import normalise
from failsoft.cli.demo_deliveries import Delivery
from failsoft.sandbox.messages import BOT

MOST = 100_000  # rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Everything of ours that the summary needs."""

    runs: Mapping[str, DictRow]  # by event key
    ignored: set[str]  # event keys
    reviews: Mapping[UUID, Review]  # the open ones, by run
    states: Mapping[str, Mapping[str, Any]]  # the last checkpoint, by event key
    verified: int

    def lost(self, keys: Mapping[str, str], tickets: Mapping[str, int]) -> list[str]:
        """Return the events that left no mark; `keys` gives each event's nonce, "" for none."""
        return [
            key
            for key, nonce in keys.items()
            if not tickets.get(nonce)
            and key not in self.ignored
            and not (key in self.runs and self.runs[key]["run_id"] in self.reviews)
        ]

    def attempts(self, field: str) -> int:
        """Sum a count over the records of all nodes of all runs."""
        records = (
            record for state in self.states.values() for record in state.get("tool", {}).values()
        )
        return sum(record.get(field, 0) for record in records)


def keys_of(deliveries: Sequence[Delivery]) -> dict[str, str]:
    """Return the nonce of every event by its key: what was sent decides, not what was admitted."""
    keys: dict[str, str] = {}
    for delivery in deliveries:
        event = normalise(delivery.payload, own_bot_id=BOT)
        if not isinstance(event, Ignored) or event.key not in keys:
            keys[event.key] = "" if isinstance(event, Ignored) else delivery.nonce
    return keys


async def read_ledger(agent: str, store: Store, runner: Runner) -> Ledger:
    """Read runs, reviews, what was ignored, the last checkpoints, and verify every chain."""
    rows = await store.runs.list(agent=agent, limit=MOST)
    (app,) = runner.apps.values()
    states: dict[str, Mapping[str, Any]] = {}
    verified = 0
    for row in rows:
        config = {"configurable": {"thread_id": str(row["run_id"])}}
        states[row["event_key"]] = (await app.aget_state(config)).values
        verified += await store.audit.verify(row["run_id"])
        await asyncio.sleep(0)
    reviews = {review.run_id: review for review in await store.reviews.list(limit=MOST)}
    return Ledger(
        runs={row["event_key"]: row for row in rows},
        ignored={one.event_key for one in await listed(store.runs.database, agent)},
        reviews=reviews,
        states=states,
        verified=verified,
    )


def dead(ledger: Ledger) -> int:
    return sum(row["state"] == RunState.DEAD for row in ledger.runs.values())
