"""What the demo shows at its end: counted in the sandbox, held against the demo's own list."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from failsoft.cli.demo_scenario import Words

SHOWN = 20  # messages that the model did not decide


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of one demo; `seconds` is wall time from the first worker's start."""

    words: Words
    messages: int
    events: int
    deliveries: int
    ignored: int
    joined: int
    runs: int
    tickets: int
    cases: int
    duplicates: int
    lost: int
    misrouted: int
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
    answers: int
    duplicate_answers: int
    wrong_answers: int
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
        answers = (self.duplicate_answers, self.wrong_answers)
        zeros = (self.duplicates, self.lost, self.misrouted, self.dead, *answers)
        return self.rested and not any(zeros) and verified == all_

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "words"}

    def lines(self) -> list[str]:
        """Return it as a person reads it."""
        faults = ", ".join(f"{kind} {number}" for kind, number in sorted(self.faults.items()))
        words, one = self.words, self.words.one
        came = f"{self.messages} {words.came} came in {self.deliveries} deliveries"
        return [
            f"\n{came}: {self.events} events,",
            f"{self.joined} of them answers that joined what they answer, {self.ignored} listed.",
            f"{self.runs} runs, {self.tickets + self.cases} {words.made}.\n",
            line("duplicates", self.duplicates, f"{words.counted} beyond one for each message"),
            line("", self.duplicate_answers, f"of {self.answers} answers, beyond one for each"),
            line("", self.wrong_answers, "answers to what nobody may answer"),
            line("lost", self.lost, f"neither a {one}, nor a question, nor listed or joined"),
            line("misrouted", self.misrouted, f"{words.made} elsewhere than their labels lead"),
            line("dead", self.dead, "runs that cannot go on"),
            line("for a person", self.waiting_human, "questions that wait for an answer"),
            line("unclassified", self.unclassified, "neither the model nor the rules could tell"),
            line("by rules", self.fallbacks, "the model was unsure, or gave no usable answer"),
            line("kill -9", self.kills, "workers with runs in flight"),
            line(
                "", self.kills_at_worst, f"of them after {words.system}'s commit, before our record"
            ),
            line("faults", sum(self.faults.values()), faults),
            line("", f"{self.faulty_creations:.0%}", f"of the calls that create a {one}"),
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
