"""How good keyword rules are: how much they answer, and how much of that is right."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from failsoft.agents.labelled import Labelled
from failsoft.agents.learning import Learned, Progress, learn
from failsoft.nodes.keywords import MARGIN, Keywords, Rule

FOLDS = 3
STEPS = 10  # points of a curve


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A labelled text and what the rules make of it; `guess` None: no rule hit."""

    label: str
    guess: str | None
    score: float = 0.0
    lead: float = 0.0

    @property
    def right(self) -> bool:
        return self.guess == self.label

    def given(self, least: Mapping[str, float]) -> bool:
        """Say whether the rules give their guess as an answer."""
        if self.guess is None or self.lead < MARGIN:
            return False
        return self.score >= least.get(self.guess, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Counts of one label, or of all: `answered` are its texts that got any answer.

    `named` are the answers that name the label, `right` those of them that do so rightly.
    """

    rows: int
    answered: int
    named: int
    right: int

    @property
    def coverage(self) -> float:
        return self.answered / self.rows if self.rows else 0.0

    @property
    def precision(self) -> float | None:
        return self.right / self.named if self.named else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Of the share `coverage` with the highest scores, the share `precision` is right."""

    coverage: float
    precision: float
    score: float  # the lowest one among them


def judge(keywords: Keywords, rows: Iterable[Labelled]) -> list[Judged]:
    """Return what the rules say to each text, whether they would give it as an answer or not."""
    judged = []
    for row in rows:
        guess = keywords.best(row.text)
        if guess is None:
            judged.append(Judged(label=row.label, guess=None))
        else:
            judged.append(
                Judged(label=row.label, guess=guess.label, score=guess.score, lead=guess.lead)
            )
    return judged


def cross_judged(
    rows: Sequence[Labelled], *, base: Sequence[Rule], only: Collection[str], max_rules: int,
    progress: Progress = lambda _: None,
) -> list[Judged]:  # fmt: skip
    """Judge each text by rules that were learned from the other folds, so without it."""
    judged: list[Judged] = []
    for fold in range(FOLDS):
        progress(f"measuring, {fold + 1} of {FOLDS}")
        others = [row for row in rows if fold_of(row.text, FOLDS) != fold]
        learned = learn(others, base=base, only=only, max_rules=max_rules)
        mine = [row for row in rows if fold_of(row.text, FOLDS) == fold]
        judged += judge(together(base, learned), mine)
    return judged


def together(base: Sequence[Rule], learned: Sequence[Learned]) -> Keywords:
    return Keywords([*base, *(each.rule for each in learned)])


def fold_of(text: str, folds: int) -> int:
    """Return the fold of a text: it follows from the text alone, so equal texts stay together."""
    return int(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), 16) % folds


def threshold(judged: Sequence[Judged], precision: float) -> float | None:
    """Return the lowest score from which the answers are so precise; None: they never are.

    One right and one wrong answer are added to what was counted, so that a handful of right ones
    proves nothing.
    """
    given = sorted((each for each in judged if each.given({})), key=lambda each: -each.score)
    found, right, seen = None, 0, 0
    for score, alike in groupby(given, key=lambda each: each.score):
        group = list(alike)
        right, seen = right + sum(each.right for each in group), seen + len(group)
        if (right + 1) / (seen + 2) >= precision:
            found = score
    return found


def figures(
    judged: Sequence[Judged], least: Mapping[str, float]
) -> tuple[Figures, dict[str, Figures]]:
    """Return the counts of all labels together, and of each."""
    rows, answered, named, right = (Counter[str]() for _ in range(4))
    for each in judged:
        rows[each.label] += 1
        if each.given(least) and each.guess is not None:
            answered[each.label] += 1
            named[each.guess] += 1
            right[each.guess] += each.right
    by_label = {
        label: Figures(rows=rows[label], answered=answered[label], named=named[label],
                       right=right[label])
        for label in sorted(rows | named)
    }  # fmt: skip
    total = Figures(
        rows=rows.total(), answered=answered.total(), named=named.total(), right=right.total()
    )
    return total, by_label


def curve(judged: Sequence[Judged]) -> list[Point]:
    """Return the precision at each tenth of coverage, as far as the rules say anything.

    Of texts with the same score at a cut, each counts by the share of them that is needed.
    """
    by_score: dict[float, list[Judged]] = defaultdict(list)
    for each in judged:
        if each.guess is not None:
            by_score[each.score].append(each)
    points: list[Point] = []
    seen, right = 0, 0.0
    for score in sorted(by_score, reverse=True):
        group = by_score[score]
        share = sum(each.right for each in group) / len(group)
        while len(points) < STEPS and _cut(judged, points) <= seen + len(group):
            cut = _cut(judged, points)
            precision = (right + (cut - seen) * share) / cut
            coverage = (len(points) + 1) / STEPS
            points.append(Point(coverage=coverage, precision=precision, score=score))
        seen, right = seen + len(group), right + share * len(group)
    return points


def _cut(judged: Sequence[Judged], points: Sequence[Point]) -> float:
    return len(judged) * (len(points) + 1) / STEPS
