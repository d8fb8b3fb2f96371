"""The keyword rules: what hits, who wins, and what bad files and texts do."""

import time
from pathlib import Path

import pytest

from failsoft.errors import InvalidDataError
from failsoft.nodes.keywords import Keywords, words_of

RULES = """
outage:
  any: [is down, outage]
  all: [[checkout, error]]
billing:
  any: [invoice, "can't pay", "straße"]
"""


def rules(folder: Path, text: str = RULES) -> Keywords:
    (folder / "keywords.yaml").write_text(text, encoding="utf-8")
    return Keywords.load(folder)


def label_of(keywords: Keywords, text: str) -> str | None:
    guess = keywords.score(text)
    return guess.label if guess else None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The shop IS DOWN!", "outage"),
        ("is the shop down", None),
        ("an error since ten, in the checkout", "outage"),
        ("outages", None),
        ("myoutage", None),
        ("the invoice, please", "billing"),
        ("I can\N{RIGHT SINGLE QUOTATION MARK}t pay", "billing"),
        ("STRASSE", "billing"),
        ("", None),
        ("\x00\ufeff \n", None),
    ],
)
def test_a_rule_hits_whole_words_only(tmp_path: Path, text: str, label: str | None) -> None:
    assert label_of(rules(tmp_path), text) == label


@pytest.mark.parametrize(
    "text",
    [
        "out\N{ZERO WIDTH SPACE}age",
        "out\N{SOFT HYPHEN}age",
        "\N{RIGHT-TO-LEFT OVERRIDE}outage",
        "out\U000e0061age",
        "out\x00age",
        "out\ud800age",
        "\uff4f\uff55\uff54\uff41\uff47\uff45",  # full width
    ],
)
def test_hidden_and_wide_characters_hide_no_word(tmp_path: Path, text: str) -> None:
    assert label_of(rules(tmp_path), text) == "outage"


def test_a_line_break_separates_words() -> None:
    assert words_of("down\nnow\ttoo") == ("down", "now", "too")


def test_two_labels_that_tie_give_none(tmp_path: Path) -> None:
    assert label_of(rules(tmp_path), "outage of the invoice page") is None


def test_a_near_second_gives_none_and_a_far_one_lowers_the_score(tmp_path: Path) -> None:
    keywords = rules(tmp_path)
    alone = keywords.score("outage, checkout error, all is down")
    ahead = keywords.score("outage, checkout error, all is down, invoice")
    assert alone
    assert ahead
    assert (alone.score, ahead.score) == (1.0, 0.75)


def test_one_word_is_half_a_score(tmp_path: Path) -> None:
    guess = rules(tmp_path).score("an invoice")
    assert guess
    assert guess.score == 0.5


def test_repeating_a_word_does_not_raise_the_score(tmp_path: Path) -> None:
    guess = rules(tmp_path).score("invoice " * 50)
    assert guess
    assert guess.score == 0.5


def test_the_rules_that_hit_are_named(tmp_path: Path) -> None:
    guess = rules(tmp_path).score("checkout error: is down")
    assert guess
    assert guess.hits == ["checkout + error", "is down"]


@pytest.mark.parametrize(
    "bomb",
    [
        "a" * 1_000_000,
        "checkout " * 120_000,
        "'".join("a" * 500_000),
        "\u0344\u0315\u0331" * 330_000,  # accents, which normalising has to sort
        "\ufdfa" * 1_000_000,  # each becomes 18 characters
    ],
    ids=["one word", "a first word", "apostrophes", "accents", "expansion"],
)
def test_a_huge_text_takes_less_than_a_second(tmp_path: Path, bomb: str) -> None:
    keywords = rules(tmp_path)
    start = time.process_time()
    keywords.score(bomb)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "text",
    [
        "outage: [down]",
        "outage: {}",
        "outage: {regex: ['d.*n']}",
        "outage: {any: down}",
        "outage: {any: [503]}",
        "outage: {any: ['!!']}",
        "outage: {all: [down]}",
        "outage: {all: [[]]}",
    ],
)
def test_a_file_of_another_form_is_refused_with_its_label(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidDataError, match=r"keywords\.yaml: 'outage'"):
        rules(tmp_path, text)
