"""How good rules are, on a terminal and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from failsoft.agents.measuring import Figures, Point
from failsoft.agents.suggestion import ENOUGH, Suggestion
from failsoft.cli.table import escaped, show_table
from failsoft.parsing import JSONObject

COLUMNS = ("label", "texts", "coverage", "precision")


def show_suggestion(found: Suggestion, diff: str) -> None:
    """Print the figures, then the change."""
    if not found.enough:
        click.echo(f"No label has {ENOUGH} texts that tell it from others: nothing is proposed.")
        return
    show_measures(found.total, found.by_label, found.curve)
    by_hand = found.by_hand
    if by_hand.named:
        covered, precise = _percent(by_hand.coverage), _percent(by_hand.precision)
        click.echo(f"\nWithout what is learned: coverage {covered}, precision {precise}.")
    if found.least is None:
        click.echo("\nNo score is proven to be precise enough: nothing is proposed.")
        return
    click.echo(f"\nBelow a score of {found.least:g} the rules abstain.")
    click.echo()
    for line in diff.splitlines() or ["The file would not change."]:
        click.echo(escaped(line))


def show_measures(total: Figures, by_label: Mapping[str, Figures], points: Sequence[Point]) -> None:
    rows = [_columns(label, counts) for label, counts in by_label.items()]
    show_table(COLUMNS, [*rows, _columns("all", total)], empty="")
    click.echo()
    show_table(
        ("of the texts, by score", "precision", "lowest score"),
        [(_percent(each.coverage), _percent(each.precision), each.score) for each in points],
        empty="No rule hits any text.",
    )


def measures(
    total: Figures, by_label: Mapping[str, Figures], points: Sequence[Point]
) -> JSONObject:
    return {
        "total": _facts(total),
        "labels": {label: _facts(counts) for label, counts in by_label.items()},
        "curve": [asdict(point) for point in points],
    }


def facts_of(found: Suggestion) -> JSONObject:
    rules: JSONObject = {
        label: [
            {"rule": str(each.rule), "points": each.rule.points, "hits": each.hits,
             "right": each.right, "precision": round(each.right / each.hits, 4)}
            for each in learned
        ]
        for label, learned in found.learned.items()
    }  # fmt: skip
    measured = measures(found.total, found.by_label, found.curve)
    return {**measured, "rules": rules, "least": found.least, "by_hand": _facts(found.by_hand)}


def _facts(counts: Figures) -> JSONObject:
    return {**asdict(counts), "coverage": counts.coverage, "precision": counts.precision}


def _columns(label: str, counts: Figures) -> tuple[object, ...]:
    return label, counts.rows, _percent(counts.coverage), _percent(counts.precision)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
