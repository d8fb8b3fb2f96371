"""A proposal for a file of keyword rules: what it would hold, and how good that would be."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from failsoft.agents.keyword_file import with_learned
from failsoft.agents.labelled import Labelled
from failsoft.agents.learning import Learned, Progress, learn
from failsoft.agents.measuring import (
    Figures,
    Point,
    cross_judged,
    curve,
    figures,
    judge,
    threshold,
)
from failsoft.nodes.keywords import Keywords

ENOUGH = 5  # texts of a label before rules are learned for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """The learned rules by label, and the text of the file with them.

    `total`, `by_label` and `curve` are measured on texts that the rules were not learned from,
    `by_hand` is what the file would do to them without rules that were learned. `least` is the
    score below which the rules abstain, None when no score is precise enough.
    """

    text: str
    learned: Mapping[str, Sequence[Learned]]
    least: float | None
    enough: bool  # at least one label has texts enough
    by_hand: Figures
    total: Figures
    by_label: Mapping[str, Figures]
    curve: Sequence[Point]


def suggest(
    text: str,
    there: Keywords,
    rows: Sequence[Labelled],
    *,
    max_rules: int,
    precision: float,
    progress: Progress = lambda _: None,
) -> Suggestion:
    """Propose rules for the labels with enough texts; `there` are the rules in `text`.

    What people wrote stays and counts; what was learned before for these labels is replaced.
    Where no score is precise enough nothing is proposed: rules without a threshold never abstain.
    A text that stands there several times is one.
    """
    rows = list(dict.fromkeys(rows))
    only = {label for label, size in Counter(row.label for row in rows).items() if size >= ENOUGH}
    base = [rule for rule in there.rules if rule.learned is None or rule.label not in only]
    judged = cross_judged(rows, base=base, only=only, max_rules=max_rules, progress=progress)
    least = threshold(judged, precision)
    progress("learning from all")
    by_label: dict[str, list[Learned]] = {}
    learned = learn(rows, base=base, only=only, max_rules=max_rules) if least is not None else []
    for each in learned:
        by_label.setdefault(each.rule.label, []).append(each)
    kept = {label: score for label, score in there.least.items() if label not in by_label}
    total, each_label = figures(judged, kept | dict.fromkeys(by_label, least or 0.0))
    return Suggestion(
        text=with_learned(text, by_label, least) if by_label else text,
        learned=by_label,
        least=least,
        enough=bool(only),
        by_hand=figures(judge(Keywords(base), rows), {})[0],
        total=total,
        by_label=each_label,
        curve=curve(judged),
    )
