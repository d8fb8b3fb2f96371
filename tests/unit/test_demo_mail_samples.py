"""The sample mails that come with email-salesforce, and what its keyword rules make of them."""

from collections import Counter
from pathlib import Path

import pytest

import failsoft.agents.email_salesforce
from failsoft.agents.email_salesforce.requests import ROUTES
from failsoft.cli.demo_mails import JOINS, PACKAGE, MailSample
from failsoft.cli.demo_samples import FEWEST, read_samples
from failsoft.nodes.keywords import Keywords

HERE = Path(failsoft.agents.email_salesforce.__path__[0])
LISTED = {"bounce", "auto", "list", "own", "bomb"}
CASES = {
    "normal", "unclear", "language", "html", "injection", "stray", "quiet", "anonymous", "alias",
    "twin", "huge", "attachment", "charset",
}  # fmt: skip
SAMPLES = read_samples(PACKAGE, MailSample)
NORMAL = [sample for sample in SAMPLES if sample.kind == "normal"]


@pytest.fixture(scope="module")
def keywords() -> Keywords:
    return Keywords.load(HERE)


def guessed(keywords: Keywords, sample: MailSample) -> str | None:
    guess = keywords.score(f"{sample.subject}\n\n{sample.text}" * sample.repeat)
    return guess.label if guess else None


def test_every_kind_has_its_samples() -> None:
    found = Counter(sample.kind for sample in SAMPLES)
    assert found.keys() == CASES | JOINS | LISTED
    assert len(SAMPLES) >= 120
    assert len(NORMAL) >= 60


def test_one_of_each_kind_and_what_it_answers_fits_into_the_smallest_demo() -> None:
    kinds = {sample.kind for sample in SAMPLES}
    answering = {sample.kind for sample in SAMPLES if sample.first}
    assert len(kinds) + len(answering) <= FEWEST


def test_every_id_and_every_text_is_there_once() -> None:
    assert len({sample.id for sample in SAMPLES}) == len(SAMPLES)
    assert len({sample.text for sample in SAMPLES}) == len(SAMPLES)


def test_every_kind_expects_what_it_must() -> None:
    expects = dict.fromkeys(CASES, "case") | dict.fromkeys(JOINS, "joined")
    expects |= dict.fromkeys(LISTED, "listed")
    assert all(sample.expect == expects[sample.kind] for sample in SAMPLES)


def test_what_answers_another_mail_names_a_normal_sample() -> None:
    normal = {sample.id for sample in NORMAL}
    answering = {*JOINS, "twin"}
    assert all((sample.of in normal) == (sample.kind in answering) for sample in SAMPLES)


def test_the_nonce_stands_once_in_every_text() -> None:
    assert {sample.text.count("{nonce}") for sample in SAMPLES} == {1}


def test_every_label_has_its_route_and_its_normal_samples() -> None:
    found = Counter(sample.label for sample in NORMAL)
    assert {*found, "unclassified"} == ROUTES.by_label.keys()
    assert min(found.values()) >= 12
    assert {sample.label for sample in SAMPLES} <= {*found, None}


def test_no_sample_names_a_real_address() -> None:
    addresses = [sample.sender for sample in SAMPLES if sample.sender]
    assert all(address.endswith(".example") for address in addresses)


def test_the_keyword_rules_label_most_normal_samples(keywords: Keywords) -> None:
    right = sum(guessed(keywords, sample) == sample.label for sample in NORMAL)
    assert right / len(NORMAL) >= 0.7


def test_the_keyword_rules_rather_say_nothing_than_something_wrong(keywords: Keywords) -> None:
    wrong = [one.id for one in NORMAL if guessed(keywords, one) not in {one.label, None}]
    assert len(wrong) / len(NORMAL) <= 0.05


def test_the_keyword_rules_say_nothing_where_nothing_is_said(keywords: Keywords) -> None:
    assert not any(guessed(keywords, sample) for sample in SAMPLES if sample.kind == "unclear")


def test_an_injection_gets_no_label_that_it_asks_for(keywords: Keywords) -> None:
    injections = [sample for sample in SAMPLES if sample.kind == "injection" and sample.label]
    assert all(guessed(keywords, sample) in {sample.label, None} for sample in injections)
