"""Learn keyword rules from labelled texts: few, readable, each with the points that it is worth.

The rules of all labels compete, as at run time: a text belongs to a label with the probability
exp(points of the label) / sum over labels, and the rules are those that make the given labels
likely. Each label gains one rule at a time, the one that corrects most of what is still wrong,
then all points are fitted anew (Newton's steps, one rule after the other, held back by `CAUTION`).
Nothing is random, and the order of the texts does not matter.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from failsoft.agents.labelled import Labelled
from failsoft.agents.patterns import Corpus, Pattern
from failsoft.nodes.keywords import Keywords, Rule

UNIT = 4.5  # log-odds that are one point: a strong word comes out as about one, as by hand
CAUTION = 1.0  # pulls points towards 0: a rule seen three times is not trusted as one seen fifty
BREVITY = 0.8  # a rule of one more word must correct a quarter more
FINISH = 4  # fits after the last rule
STEP = 1.0  # log-odds that one step changes, at most
LEAST_POINTS = 0.1  # below, a rule says nothing

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """A rule, and how many of the texts that it hits have its label."""

    rule: Rule
    hits: int
    right: int


class _Odds:
    """How likely each label is for each text, as exp(points) and their sum over labels."""

    def __init__(self, rows: int, own: Sequence[Sequence[bool]]) -> None:
        self.own = own  # by label, by text: is it the label that people gave
        self.odds = [[1.0] * rows for _ in own]
        self.sums = [float(len(own))] * rows

    def shift(self, label: int, hits: Sequence[int], by: float) -> None:
        odds, more = self.odds[label], math.exp(by) - 1
        for text in hits:
            change = odds[text] * more
            odds[text] += change
            self.sums[text] += change

    def wrong(self, label: int, hits: Sequence[int]) -> tuple[float, float]:
        """Return the first and the negative second derivative of the log-likelihood."""
        own, odds, first, second = self.own[label], self.odds[label], 0.0, 0.0
        for text in hits:
            share = odds[text] / self.sums[text]
            first += own[text] - share
            second += share * (1 - share)
        return first, second


@dataclass(slots=True)
class _Chosen:
    pattern: Pattern
    hits: list[int]
    weight: float = 0.0  # log-odds


def learn(
    rows: Sequence[Labelled], *, base: Sequence[Rule] = (), only: Collection[str] | None = None,
    max_rules: int = 15, progress: Progress = lambda _: None,
) -> list[Learned]:  # fmt: skip
    """Return at most `max_rules` rules for each label, which add to those of `base`.

    `only` are the labels that get rules; the texts of the others still count against them.
    """
    rows = sorted(set(rows), key=lambda row: (row.label, row.text, row.line))
    labels = sorted({row.label for row in rows} | {rule.label for rule in base})
    odds = _Odds(len(rows), [[label == row.label for row in rows] for label in labels])
    _start(odds, rows, labels, base)
    open_ = _distinct(Corpus(rows), labels, base, labels if only is None else only)
    chosen: list[list[_Chosen]] = [[] for _ in labels]
    for number in range(max_rules):
        progress(f"rule {number + 1} of {max_rules}")
        for label in range(len(labels)):
            _choose(odds, label, open_[label], chosen[label])
        _fit(odds, chosen)
    for _ in range(FINISH):
        _fit(odds, chosen)
    return [
        _learned(label, each, odds.own[number])
        for number, label in enumerate(labels)
        for each in sorted(chosen[number], key=lambda one: (-one.weight, one.pattern))
        if each.weight / UNIT >= LEAST_POINTS
    ]


def _start(
    odds: _Odds, rows: Sequence[Labelled], labels: Sequence[str], base: Sequence[Rule]
) -> None:
    """Let the rules that are there count, as they are."""
    if not base:
        return
    numbers, keywords = {label: number for number, label in enumerate(labels)}, Keywords(base)
    for text, row in enumerate(rows):
        for label, hits in keywords.hits(row.text).items():
            odds.shift(numbers[label], [text], UNIT * sum(rule.points for rule in hits))


def _distinct(
    corpus: Corpus, labels: Sequence[str], base: Sequence[Rule], only: Collection[str]
) -> list[list[_Chosen]]:
    """Return what each label may choose from; of patterns that hit the same texts, the plainest."""
    there = {(rule.label, frozenset(rule.words)) for rule in base}
    candidates = corpus.candidates()
    distinct: list[list[_Chosen]] = []
    for label in labels:
        found: dict[tuple[int, ...], Pattern] = {}
        for pattern in sorted(candidates.get(label, ()), key=_plain):
            if label in only and (label, frozenset(pattern.words)) not in there:
                found.setdefault(tuple(corpus.hits(pattern)), pattern)
        distinct.append([_Chosen(pattern, list(hits)) for hits, pattern in found.items()])
    return distinct


def _plain(pattern: Pattern) -> tuple[int, int]:
    """Few words before many, and long words, which say more to a reader, before short ones."""
    return len(pattern.words), -sum(map(len, pattern.words))


def _choose(odds: _Odds, label: int, open_: list[_Chosen], chosen: list[_Chosen]) -> None:
    """Take the pattern that corrects most."""
    best, most = None, 0.0
    for each in open_:
        first, second = odds.wrong(label, each.hits)
        brief = BREVITY ** (len(each.pattern.words) - 1)
        if first > 0 and (gain := brief * first * first / (second + CAUTION)) > most:
            best, most = each, gain
    if best is not None:
        open_.remove(best)
        chosen.append(best)


def _fit(odds: _Odds, chosen: Sequence[Sequence[_Chosen]]) -> None:
    """Move the points of each rule once, to where the others leave it; never below 0."""
    for label, rules in enumerate(chosen):
        for rule in rules:
            first, second = odds.wrong(label, rule.hits)
            step = (first - CAUTION * rule.weight) / (second + CAUTION)
            step = max(-STEP, -rule.weight, min(STEP, step))
            if abs(step) > 1e-4:
                rule.weight += step
                odds.shift(label, rule.hits, step)


def _learned(label: str, chosen: _Chosen, own: Sequence[bool]) -> Learned:
    pattern, points = chosen.pattern, round(chosen.weight / UNIT, 2)
    rule = Rule(label=label, words=pattern.words, in_order=pattern.in_order, learned=points)
    return Learned(rule=rule, hits=len(chosen.hits), right=sum(own[text] for text in chosen.hits))
