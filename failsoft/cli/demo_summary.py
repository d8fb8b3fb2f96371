"""What the demo shows at its end: counted in the sandbox, held against the demo's own list."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from failsoft.cli.demo_faults import ISSUE
from failsoft.parsing import JSONObject

SHOWN = 20  # messages that the model did not decide
NONCE = re.compile(r"zq[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What stands in the outside world."""

    tickets: Mapping[str, int]  # by nonce
    answers: Mapping[str, int]  # by thread
    faults: Mapping[str, int]  # by kind
    faulty_creations: float  # share of the calls that create a ticket
    faults_missed: int  # planned for calls that never came

    @property
    def duplicates(self) -> int:
        return sum(number - 1 for number in self.tickets.values())

    def figures(self) -> dict[str, Any]:
        """Return the part of the summary that only the outside world knows."""
        return {
            "tickets": sum(self.tickets.values()),
            "duplicates": self.duplicates,
            "duplicate_answers": sum(number - 1 for number in self.answers.values()),
            "faults": dict(self.faults),
            "faults_missed": self.faults_missed,
            "faulty_creations": round(self.faulty_creations, 3),
        }


def tally(state: Mapping[str, Any], nonces: set[str], faults: Sequence[JSONObject]) -> Tally:
    """Count what the sandbox holds; a ticket belongs to the one nonce of ours that it carries."""
    tickets: Counter[str] = Counter()
    for issue in state["jira"]["issues"]:
        tickets.update(nonces & set(NONCE.findall(json.dumps(issue["fields"]))))
    messages = state["slack"]["messages"]
    calls = Counter(f"{one['method']} {one['path']}" for one in state["requests"])
    hit = [one["faults"] for one in state["requests"] if f"{one['method']} {one['path']}" == ISSUE]
    return Tally(
        tickets=tickets,
        answers=Counter(
            f"{one['channel']} {one['thread_ts']}" for one in messages if one.get("thread_ts")
        ),
        faults=state["faults"],
        faulty_creations=sum(map(bool, hit)) / max(len(hit), 1),
        faults_missed=sum(_missed(fault, calls) for fault in faults),
    )


def _missed(fault: JSONObject, calls: Mapping[str, int]) -> int:
    """Count the calls that a fault was planned for and that were never made."""
    nth = fault.get("nth")
    arrived = calls.get(str(fault["match"]), 0)
    return sum(int(str(one)) > arrived for one in nth) if isinstance(nth, list) else 0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of one demo; `seconds` is wall time from the first worker's start."""

    messages: int
    events: int
    deliveries: int
    ignored: int
    runs: int
    tickets: int
    duplicates: int
    lost: int
    dead: int
    unclassified: int
    waiting_human: int
    retries: int
    resent: int
    fallbacks: int
    reprompts: int
    llm_calls: int
    tokens: int
    usd: float
    kills: int
    kills_at_worst: int
    duplicate_answers: int
    faulty_creations: float
    faults_missed: int
    chains: str
    faults: Mapping[str, int]
    rested: bool
    seconds: float
    seed: int
    home: str
    told: Sequence[Mapping[str, str]] = field(default_factory=list)

    @property
    def well(self) -> bool:
        verified, _, all_ = self.chains.partition("/")
        zeros = (self.duplicates, self.lost, self.dead, self.duplicate_answers)
        return self.rested and not any(zeros) and verified == all_

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as a person reads it."""
        faults = ", ".join(f"{kind} {number}" for kind, number in sorted(self.faults.items()))
        came = f"{self.messages} Slack messages came in {self.deliveries} deliveries: {self.events}"
        return [
            f"\n{came} events, {self.ignored} of them ignored or joined to a thread's run.",
            f"{self.runs} runs, {self.tickets} tickets in Jira.\n",
            line("duplicates", self.duplicates, "tickets beyond one for each message"),
            line("lost", self.lost, "neither a ticket, nor a question, nor listed as ignored"),
            line("dead", self.dead, "runs that cannot go on"),
            line("for a person", self.waiting_human, f"{self.unclassified} of them unclassified"),
            line("by rules", self.fallbacks, "the model was unsure, or gave no usable answer"),
            line("kill -9", self.kills, "workers with runs in flight"),
            line("", self.kills_at_worst, "of them after Jira's commit, before our record"),
            line("faults", sum(self.faults.values()), faults),
            line("", f"{self.faulty_creations:.0%}", "of the calls that create a ticket"),
            line("retries", self.retries, "failed attempts that were made again"),
            line("sent again", self.resent, "writes, each proven not executed before"),
            line("model calls", self.llm_calls, f"{self.reprompts} re-prompts among them"),
            line("", self.tokens, f"tokens, ${self.usd:.4f}"),
            line("audit chains", self.chains, "verified"),
            *self._told(),
            f"\n{self.seconds:.0f} s, seed {self.seed}.",
        ]

    def _told(self) -> list[str]:
        """Show what the model did not decide, with the trace of its last attempt."""
        if not self.told:
            return []
        shown = [f"  {one['how']:<12} {one['trace']}  {one['text']}" for one in self.told[:SHOWN]]
        if left := len(self.told) - len(shown):
            shown.append(f"  … and {left} more: --json lists them all")
        return ["\nBy rules or for a person, each with its trace:", *shown]


def line(name: str, figure: object, meaning: str) -> str:
    return f"  {name:<13} {figure!s:>6}   {meaning}"
