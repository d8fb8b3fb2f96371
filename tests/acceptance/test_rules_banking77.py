"""Rules that `failsoft rules suggest` learned, on questions that it has not seen."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from failsoft.agents.measuring import fold_of
from failsoft.nodes.keywords import Keywords

DATA = Path(__file__).parents[1] / "data" / "banking77" / "train.csv.gz"
ELSEWHERE = "FAILSOFT_BANKING77"  # another copy: a plain CSV
FIFTHS = 5
MOST = 15  # rules of a label


def source() -> str:
    """Return the train split; it stands in the repository, but not in every copy of it."""
    if other := os.environ.get(ELSEWHERE):
        return Path(other).read_text("utf-8")
    if not DATA.exists():
        missing = f"no {DATA.name}, and {ELSEWHERE} is not set"
        if os.environ.get("FAILSOFT_REQUIRE_SERVICES"):
            pytest.fail(missing)
        pytest.skip(missing)
    return gzip.decompress(DATA.read_bytes()).decode()


def failsoft(*arguments: str, home: Path) -> str:
    done = subprocess.run(
        [Path(sys.executable).parent / "failsoft", "rules", *arguments],
        env={"PATH": os.environ["PATH"], "FAILSOFT_HOME": str(home), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fifth of the questions, held out, and rules learned from the others."""
    made = tmp_path_factory.mktemp("banking77")
    rows = list(csv.DictReader(io.StringIO(source())))
    for name in ("train", "held-out"):
        with (made / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "category"])
            writer.writeheader()
            held = name == "held-out"
            writer.writerows(row for row in rows if (fold_of(row["text"], FIFTHS) == 0) == held)
    failsoft("suggest", str(made), "--from", str(made / "train.csv"), "--accept", home=made)
    return made


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, object]:
    arguments = ("evaluate", str(folder), "--from", str(folder / "held-out.csv"), "--json")
    facts: dict[str, object] = json.loads(failsoft(*arguments, home=folder))
    return facts


def test_half_of_unseen_questions_are_answered_with_94_percent_precision(
    measured: dict[str, object],
) -> None:
    curve = measured["curve"]
    assert isinstance(curve, list)
    half = next(point for point in curve if point["coverage"] == 0.5)
    assert half["precision"] >= 0.94


def test_below_the_threshold_the_rules_abstain_and_above_it_they_hold(
    measured: dict[str, object],
) -> None:
    total = measured["total"]
    assert isinstance(total, dict)
    assert 0.5 < total["coverage"] < 0.75
    assert total["precision"] > 0.92  # 0.95 is what was asked for, on other questions


def test_each_label_has_at_most_fifteen_rules_that_a_person_can_read(folder: Path) -> None:
    rules = Keywords.load(folder).rules
    labels = {rule.label for rule in rules}
    assert len(labels) == 77
    assert all(sum(rule.label == label for rule in rules) <= MOST for label in labels)
    assert all(len(rule.words) <= (3 if rule.in_order else 2) for rule in rules)
