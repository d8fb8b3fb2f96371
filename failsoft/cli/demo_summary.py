"""What the demo shows at its end: counted in the sandbox, held against the demo's own list."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NONCE = re.compile(r"zq[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What stands in the outside world."""

    tickets: Mapping[str, int]  # by nonce
    answers: Mapping[str, int]  # by thread
    faults: Mapping[str, int]  # by kind
    faulty_creations: float  # share of the calls that create a ticket

    @property
    def duplicates(self) -> int:
        return sum(number - 1 for number in self.tickets.values())

    @property
    def duplicate_answers(self) -> int:
        return sum(number - 1 for number in self.answers.values())


def tally(state: Mapping[str, Any], nonces: set[str]) -> Tally:
    """Count what the sandbox holds; a ticket belongs to the one nonce of ours that it carries."""
    tickets: Counter[str] = Counter()
    for issue in state["jira"]["issues"]:
        tickets.update(nonces & set(NONCE.findall(json.dumps(issue["fields"]))))
    messages = state["slack"]["messages"]
    answers = Counter(one["channel"] + one["thread_ts"] for one in messages if one.get("thread_ts"))
    creations = [
        bool(one["faults"])
        for one in state["requests"]
        if (one["method"], one["path"]) == ("POST", "/jira/rest/api/3/issue")
    ]
    return Tally(
        tickets=tickets,
        answers=answers,
        faults=state["faults"],
        faulty_creations=sum(creations) / max(len(creations), 1),
    )


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
        return [
            "",
            f"{self.messages} Slack messages came in {self.deliveries} deliveries:"
            f" {self.events} events, {self.ignored} of them ignored or joined to a thread's run.",
            f"{self.runs} runs, {self.tickets} tickets in Jira.",
            "",
            f"  duplicates     {self.duplicates:>6}   tickets beyond one for each message",
            f"  lost           {self.lost:>6}   neither a ticket, nor a question, nor listed",
            f"  dead           {self.dead:>6}   runs that cannot go on",
            f"  for a person   {self.waiting_human:>6}   questions that wait; unclassified:"
            f" {self.unclassified}",
            f"  by rules       {self.fallbacks:>6}   classified by keywords, the model having"
            " failed",
            "",
            f"  kill -9        {self.kills:>6}   workers with runs in flight; {self.kills_at_worst}"
            " between Jira's commit and our record",
            f"  faults         {sum(self.faults.values()):>6}   {faults}",
            f"                          {self.faulty_creations:.0%} of the calls that create a"
            " ticket",
            f"  retries        {self.retries:>6}   and {self.resent} writes sent again, each proven"
            " absent or refused before",
            f"  model          {self.llm_calls:>6}   calls, {self.reprompts} of them re-prompts,"
            f" {self.tokens} tokens, ${self.usd:.4f}",
            f"  audit chains   {self.chains:>6}   verified",
            *self._told(),
            f"\n{self.seconds:.0f} s, seed {self.seed}. Traces: {self.home}/traces",
        ]

    def _told(self) -> list[str]:
        if not self.told:
            return []
        lines = ["", "By rules or for a person (failsoft trace show TRACE, with --home as below):"]
        return lines + [f"  {one['how']:<12} {one['trace']}  {one['text']}" for one in self.told]
