"""What stands in the outside world at the end of a demo, held against what was sent."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failsoft.cli.demo_scenario import Expected, Fate, Scenario
from failsoft.parsing import JSONObject
from failsoft.sandbox.faults import matches

NONCE = re.compile(r"zq[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What the sandbox holds; the events are named by their nonces."""

    counted: str  # the figure that `made` is
    made: Mapping[str, int]
    parts: Mapping[str, int]
    routes: Sequence[tuple[str, tuple[str, ...]]]  # where each thing made went, by its nonce
    joined: set[str]  # those that stand where they belong
    duplicates: int
    answers: int
    duplicate_answers: int
    wrong_answers: int
    faults: Mapping[str, int]  # by kind
    faulty_creations: float  # share of the calls that create a ticket or case
    faults_missed: int  # planned for calls that never came

    def figures(self) -> dict[str, Any]:
        """Return the part of the summary that only the outside world knows."""
        made = {"tickets": 0, "cases": 0, self.counted: sum(self.made.values())}
        return {
            **made,
            "duplicates": self.duplicates,
            "answers": self.answers,
            "duplicate_answers": self.duplicate_answers,
            "wrong_answers": self.wrong_answers,
            "faults": dict(self.faults),
            "faults_missed": self.faults_missed,
            "faulty_creations": round(self.faulty_creations, 3),
        }


def tally(
    scenario: Scenario[Any],  # Any: it delivers nothing here
    state: Mapping[str, Any],
    expected: Mapping[str, Expected],
    faults: Sequence[JSONObject],
) -> Tally:
    """Count what the sandbox holds; a thing belongs to the first nonce of ours that it carries."""
    seen, nonces = scenario.seen(state), {one.nonce for one in expected.values()} - {""}
    made = _count(_owner(one.text, nonces) for one in seen.made)
    parts = _count(_owner(one.text, nonces) for one in seen.parts)
    places = {(_owner(one.text, nonces), _owner(one.within, nonces)) for one in seen.parts}
    silent = {one.place for one in expected.values() if one.silent}
    calls = Counter(f"{one['method']} {one['path']}" for one in state["requests"])
    return Tally(
        counted=scenario.words.counted,
        made=made,
        parts=parts,
        routes=[(_owner(one.text, nonces), one.route) for one in seen.made],
        joined={one.nonce for one in expected.values() if (one.nonce, one.root) in places},
        duplicates=_beyond(made, _of(expected, Fate.OWN))
        + _beyond(parts, _of(expected, Fate.OWN, Fate.JOINED)),
        answers=len(seen.answers),
        duplicate_answers=_beyond(Counter(seen.answers), set(seen.answers)),
        wrong_answers=sum(place in silent for place in seen.answers),
        faults=state["faults"],
        faulty_creations=_faulty(scenario.creation, state["requests"]),
        faults_missed=sum(_missed(fault, calls) for fault in faults),
    )


def _owner(text: str, nonces: set[str]) -> str:
    return next((nonce for nonce in NONCE.findall(text) if nonce in nonces), "")


def _count(owners: Iterable[str]) -> Counter[str]:
    return Counter(filter(None, owners))


def _of(expected: Mapping[str, Expected], *fates: Fate) -> set[str]:
    return {one.nonce for one in expected.values() if one.fate in fates}


def _beyond(counts: Mapping[str, int], allowed: set[str]) -> int:
    """Count what is there beyond one for each name that is allowed."""
    return sum(number - (name in allowed) for name, number in counts.items())


def _faulty(route: str, requests: Sequence[Mapping[str, Any]]) -> float:
    hit = [one["faults"] for one in requests if f"{one['method']} {one['path']}" == route]
    return sum(map(bool, hit)) / max(len(hit), 1)


def _missed(fault: JSONObject, calls: Mapping[str, int]) -> int:
    """Count the calls that a fault was planned for and that were never made."""
    nth, pattern = fault.get("nth"), str(fault["match"])
    arrived = sum(number for route, number in calls.items() if matches(pattern, route))
    return sum(int(str(one)) > arrived for one in nth) if isinstance(nth, list) else 0
