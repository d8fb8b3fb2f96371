"""The shipped agent's sample messages, and what its keyword rules make of them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import failsoft.agents.slack_jira
from failsoft.agents.routes import Routes
from failsoft.connectors.jira_routes import JiraRoute
from failsoft.nodes.keywords import Keywords

HERE = Path(failsoft.agents.slack_jira.__path__[0])
EXPECTED = {
    "normal": "ticket", "paraphrase": "ticket", "edit": "ignored", "reply": "joined",
    "thanks": "ignored", "bot": "ignored", "ambiguous": "person_or_ticket",
    "injection": "person_or_ticket", "empty": "ignored", "huge": "person_or_ticket",
    "language": "person_or_ticket", "emoji": "person_or_ticket", "join": "ignored",
    "deleted": "ignored",
}  # fmt: skip
ANSWERS = {"edit", "reply", "thanks", "paraphrase", "deleted"}  # kinds that name another sample
WITHOUT_NONCE = {"empty", "join", "deleted"}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One line of the file; a field that is missing or unknown fails the construction."""

    id: str
    kind: str
    of: str | None
    text: str
    expect: str
    label: str | None
    repeat: int = 1


SAMPLES = [
    Sample(**json.loads(line))
    for line in (HERE / "samples.jsonl").read_text(encoding="utf-8").splitlines()
]
NORMAL = [sample for sample in SAMPLES if sample.kind == "normal"]


@pytest.fixture(scope="module")
def keywords() -> Keywords:
    return Keywords.load(HERE)


def guessed(keywords: Keywords, sample: Sample) -> str | None:
    guess = keywords.score(sample.text.replace("{nonce}", "n0nce7f3a") * sample.repeat)
    return guess.label if guess else None


def test_every_kind_has_its_samples() -> None:
    found = Counter(sample.kind for sample in SAMPLES)
    assert found.keys() == EXPECTED.keys()
    assert 110 <= len(SAMPLES) <= 140
    assert len(NORMAL) >= 60


def test_every_id_is_unique() -> None:
    assert len({sample.id for sample in SAMPLES}) == len(SAMPLES)


def test_every_kind_expects_what_it_must() -> None:
    assert all(sample.expect == EXPECTED[sample.kind] for sample in SAMPLES)


def test_what_answers_or_edits_names_a_normal_sample() -> None:
    normal = {sample.id for sample in NORMAL}
    assert all(
        (sample.of in normal) if sample.kind in ANSWERS else sample.of is None for sample in SAMPLES
    )


def test_a_paraphrase_has_the_label_of_what_it_says_again() -> None:
    labels = {sample.id: sample.label for sample in NORMAL}
    paraphrases = [sample for sample in SAMPLES if sample.kind == "paraphrase"]
    assert all(sample.label == labels[str(sample.of)] for sample in paraphrases)


def test_the_nonce_stands_where_a_ticket_must_carry_it() -> None:
    assert all(
        ("{nonce}" in sample.text) == (sample.kind not in WITHOUT_NONCE) for sample in SAMPLES
    )


def test_every_label_has_its_route_and_its_normal_samples() -> None:
    found = Counter(sample.label for sample in NORMAL)
    assert found.keys() == Routes.load(HERE, JiraRoute).by_label.keys()
    assert min(found.values()) >= 10
    assert {sample.label for sample in SAMPLES} <= {*found, None}


def test_a_huge_sample_is_within_an_event() -> None:
    sizes = [len(sample.text) * sample.repeat for sample in SAMPLES if sample.kind == "huge"]
    assert min(sizes) > 100_000
    assert max(sizes) <= 1024 * 1024


def test_the_keyword_rules_label_most_normal_samples(keywords: Keywords) -> None:
    right = sum(guessed(keywords, sample) == sample.label for sample in NORMAL)
    assert right / len(NORMAL) >= 0.7  # 0.89 when the rules were written


def test_the_keyword_rules_rather_say_nothing_than_something_wrong(keywords: Keywords) -> None:
    wrong = sum(guessed(keywords, sample) not in {sample.label, None} for sample in NORMAL)
    assert wrong / len(NORMAL) <= 0.05  # 0.03 when the rules were written


@pytest.mark.parametrize("kind", ["ambiguous", "emoji", "empty", "thanks"])
def test_the_keyword_rules_say_nothing_where_nothing_is_said(keywords: Keywords, kind: str) -> None:
    assert not any(guessed(keywords, sample) for sample in SAMPLES if sample.kind == kind)


def test_an_injection_gets_no_label_that_it_asks_for(keywords: Keywords) -> None:
    injections = [sample for sample in SAMPLES if sample.kind == "injection"]
    assert all(guessed(keywords, sample) in {sample.label, None} for sample in injections)
