"""What became of the demo's events, by our own tables; the counts come from the sandbox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import DictRow

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.reviews import Review
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.cli.demo_scenario import Expected, Fate
from failsoft.cli.demo_tally import Tally
from failsoft.graphs.runner import Runner

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

MOST = 100_000  # rows
SHOWN = 50  # characters of a message


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Everything of ours that the summary needs."""

    runs: Mapping[str, DictRow]  # by event key
    ignored: set[str]  # event keys
    joined: set[str]  # those of them that are listed under the run of their thread
    reviews: Mapping[UUID, Review]  # the open ones, by run
    states: Mapping[str, Mapping[str, Any]]  # the last checkpoint, by event key
    resent: int  # writes sent more than once
    traces: Mapping[str, str]  # of the last attempt, by event key
    verified: int

    def lost(self, expected: Mapping[str, Expected], seen: Tally) -> list[str]:
        """Return the events that left no mark where they belong."""
        return [key for key, one in expected.items() if not self._kept(key, one, seen)]

    def joined_of(self, expected: Mapping[str, Expected], seen: Tally) -> list[str]:
        """Return the events that stand where the event stands that they answer."""
        joins = {key: one for key, one in expected.items() if one.fate is Fate.JOINED}
        return [key for key, one in joins.items() if key in self.joined or one.nonce in seen.joined]

    def misrouted(
        self,
        expected: Mapping[str, Expected],
        seen: Tally,
        route: Callable[[str], tuple[str, ...]],
    ) -> int:
        """Count what went elsewhere than its label leads: the run's, or the sample's own.

        The sample's holds where the model decided; keyword rules and people may see it otherwise.
        """
        keys = {one.nonce: key for key, one in expected.items()}
        wrong = 0
        for nonce, went in seen.routes:
            if not (key := keys.get(nonce)):
                continue  # what belongs to nobody is counted elsewhere
            found = self.states.get(key, {}).get("classification", {})
            said = expected[key].label if found.get("source") == "model" else None
            label = said or found.get("label")
            wrong += label is None or went != route(label)
        return wrong

    def _kept(self, key: str, one: Expected, seen: Tally) -> bool:
        """Say whether an event is where it belongs; a deletion that is listed excuses nothing."""
        if one.fate is Fate.LISTED:
            return key in self.ignored
        if key in self.runs and self.runs[key]["run_id"] in self.reviews:
            return True
        if one.fate is Fate.JOINED:
            return key in self.joined or one.nonce in seen.joined
        return one.nonce in seen.made and (not one.root or one.nonce in seen.joined)

    @property
    def unseen(self) -> set[str]:
        """The keys that started no run and are listed."""
        return self.ignored - self.runs.keys()

    @property
    def dead(self) -> int:
        return sum(row["state"] == RunState.DEAD for row in self.runs.values())

    @property
    def by_rules(self) -> list[str]:
        """The keys of the events that keyword rules classified."""
        return self._sorted_by("keywords")

    @property
    def by_nobody(self) -> list[str]:
        """The keys of the events that went, unclassified, where people sort them."""
        return self._sorted_by("nobody")

    @property
    def unclassified(self) -> int:
        kinds = [one.question.get("kind") for one in self.reviews.values()]
        return kinds.count("unclassified") + len(self.by_nobody)

    @property
    def asked(self) -> list[str]:
        """The keys of the events about which a person is asked."""
        return [key for key, row in self.runs.items() if row["run_id"] in self.reviews]

    def figures(self) -> dict[str, Any]:
        """Return the part of the summary that our own tables know."""
        return {
            "runs": len(self.runs),
            "dead": self.dead,
            "unclassified": self.unclassified,
            "waiting_human": len(self.reviews),
            "retries": self.attempts("attempt"),
            "resent": self.resent,
            "fallbacks": len(self.by_rules),
            "reprompts": self.attempts("reprompts"),
            "chains": f"{self.verified}/{len(self.runs)}",
            "told": self.told(),
        }

    def told(self) -> list[dict[str, str]]:
        """Return what the model did not decide, each with its trace."""
        hows = {
            "by rules": self.by_rules, "for a person": self.asked, "unclassified": self.by_nobody,
        }  # fmt: skip
        return [
            {"how": how, "trace": self.traces.get(key, ""), "event": key, "text": self._text(key)}
            for how, keys in hows.items()
            for key in keys
        ]

    def _sorted_by(self, source: str) -> list[str]:
        found = {key: state.get("classification", {}) for key, state in self.states.items()}
        return [key for key, one in found.items() if one.get("source") == source]

    def _text(self, key: str) -> str:
        line = " ".join(str(self.states[key].get("event", {}).get("text", "")).split())
        printable = "".join(char for char in line if char.isprintable())
        return printable if len(printable) <= SHOWN else f"{printable[: SHOWN - 1]}…"

    def attempts(self, field: str) -> int:
        """Sum a count over the records of all nodes of all runs."""
        records = (
            record for state in self.states.values() for record in state.get("tool", {}).values()
        )
        return sum(record.get(field, 0) for record in records)


async def read_ledger(agent: str, store: Store, runner: Runner) -> Ledger:
    """Read runs, reviews, what was ignored, the last checkpoints, and verify every chain."""
    rows = await store.runs.list(agent=agent, limit=MOST)
    (app,) = runner.apps.values()
    states: dict[str, Mapping[str, Any]] = {}
    traces: dict[str, str] = {}
    verified = resent = 0
    for row in rows:
        config: RunnableConfig = {"configurable": {"thread_id": str(row["run_id"])}}
        states[row["event_key"]] = (await app.aget_state(config)).values
        verified += await store.audit.verify(row["run_id"])
        resent += sum(one.attempts - 1 for one in await store.effects.of_run(row["run_no"]))
        begun = [one for one in await store.audit.events(row["run_id"]) if "trace" in one.facts]
        traces[row["event_key"]] = str(begun[-1].facts["trace"]) if begun else ""
    ignored = await listed(store.runs.database, agent)
    reviews = {review.run_id: review for review in await store.reviews.list(limit=MOST)}
    return Ledger(
        runs={row["event_key"]: row for row in rows},
        ignored={one.event_key for one in ignored},
        joined={one.event_key for one in ignored if one.run_id is not None},
        reviews=reviews,
        states=states,
        resent=resent,
        traces=traces,
        verified=verified,
    )
