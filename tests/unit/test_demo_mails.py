"""What the demo's customers and machines send, and what our own reading makes of it."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from failsoft.cli.demo_email import EmailSalesforce
from failsoft.cli.demo_mails import (
    ANSWERS_US,
    JOINS,
    PACKAGE,
    MailSample,
    Posting,
    Thanks,
    postings_of,
    write_letters,
)
from failsoft.cli.demo_samples import read_samples
from failsoft.cli.demo_scenario import Expected, Fate
from failsoft.connectors.mail_identity import message_id_of, token_of
from failsoft.events import Event, Ignored
from failsoft.intake.mail import MailRules, read_mail

SIZES = [30, 60, 126, 127, 300]
RULES = MailRules(mailbox="inbox", own=frozenset({"support@sandbox.example"}))
TXN = "a" * 26
LISTED = {"bounce", "auto", "list", "own", "bomb"}


@pytest.fixture(autouse=True)
def our_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILSOFT_MAIL_OWN_ADDRESSES", "support@sandbox.example")


def acts(number: int, seed: int = 1) -> list[Sequence[Posting]]:
    rng = random.Random(seed)
    return postings_of(write_letters(number, rng), rng)


def sent(number: int, seed: int = 1) -> list[Posting]:
    return [posting for act in acts(number, seed) for posting in act]


def expected(number: int, seed: int = 1) -> dict[str, Expected]:
    return dict(EmailSalesforce().expected(sent(number, seed)))


def of_kind(kind: str, number: int = 126) -> list[Posting]:
    return [posting for posting in sent(number) if posting.letter.sample.kind == kind]


def read(posting: Posting) -> Event:
    event = read_mail(posting.arrived, RULES)
    assert isinstance(event, Event), posting.letter.sample.id
    return event


@pytest.mark.parametrize("number", SIZES)
def test_there_are_as_many_mails_as_asked_for(number: int) -> None:
    assert len(write_letters(number, random.Random(1))) == number


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_sample_is_sent(seed: int) -> None:
    kinds = {posting.letter.sample.kind for posting in sent(30, seed)}
    assert kinds == {sample.kind for sample in read_samples(PACKAGE, MailSample)}


def test_the_seed_decides_every_byte() -> None:
    assert [one.raw for one in sent(60, 7)] == [one.raw for one in sent(60, 7)]
    assert [one.raw for one in sent(60, 7)] != [one.raw for one in sent(60, 8)]


@pytest.mark.parametrize("number", SIZES)
def test_a_mail_has_one_key_however_often_and_by_whatever_alias_it_comes(number: int) -> None:
    readable = {key: one for key, one in expected(number).items() if one.fate is not Fate.LISTED}
    letters = {one.letter.nonce for one in sent(number) if one.letter.sample.kind not in LISTED}
    assert len(readable) == len(letters)
    assert len(sent(number)) > len(expected(number))


def test_some_mails_come_by_two_aliases() -> None:
    aliases: dict[str, set[str]] = {}
    for posting in of_kind("alias"):
        aliases.setdefault(posting.letter.nonce, set()).add(posting.alias)
    assert aliases
    assert all(len(found) == 2 for found in aliases.values())


def test_every_mail_that_becomes_an_event_has_its_nonce_and_its_subject_in_its_text() -> None:
    for posting in sent(300):
        event = read_mail(posting.arrived, RULES)
        if isinstance(event, Event):
            assert posting.letter.nonce in event.text
            assert " ".join(posting.letter.sample.subject.split()) in event.text


def test_what_machines_send_is_listed() -> None:
    fates = {posting.letter.sample.kind: read_mail(posting.arrived, RULES) for posting in sent(126)}
    assert {kind for kind, read in fates.items() if isinstance(read, Ignored)} == LISTED


def test_a_bounce_has_nobody_as_its_sender() -> None:
    assert {posting.envelope_sender for posting in of_kind("bounce")} == {""}


@pytest.mark.parametrize("kind", sorted(JOINS - ANSWERS_US))
def test_a_reply_names_the_mail_that_it_answers(kind: str) -> None:
    for posting in of_kind(kind):
        assert posting.letter.root is not None
        assert f"mail:inbox:{posting.letter.root.message_id}" in read(posting).refs


@pytest.mark.parametrize("kind", sorted(ANSWERS_US))
def test_an_answer_to_our_thanks_names_our_write(kind: str) -> None:
    thanks = Thanks(message_id=message_id_of(TXN, "sandbox.example"), text=f"Hello {token_of(TXN)}")
    for posting in of_kind(kind):
        answer = Posting(letter=posting.letter, alias=posting.alias, thanks=thanks)
        assert f"txn:{TXN}" in read(answer).refs
        assert (b"In-Reply-To" in answer.raw) is (kind == "answer")


def test_a_reply_without_thanks_of_ours_answers_the_customers_own_mail() -> None:
    for posting in of_kind("token"):
        assert posting.letter.root is not None
        assert read(posting).refs == [f"mail:inbox:{posting.letter.root.message_id}"]


def test_what_a_reply_quotes_is_no_part_of_it() -> None:
    for kind in JOINS:
        for posting in of_kind(kind):
            assert posting.letter.root is not None
            assert posting.letter.root.nonce not in str(read(posting).facts["body"])


@pytest.mark.parametrize("seed", range(5))
def test_a_reply_never_comes_before_what_it_answers(seed: int) -> None:
    seen: set[str] = set()
    for posting in sent(60, seed):
        root = posting.letter.root
        assert root is None or root.nonce in seen
        seen.add(posting.letter.nonce)


def test_what_answers_our_thanks_comes_when_all_the_rest_has_ended() -> None:
    first, second = ({one.letter.sample.kind for one in act} for act in acts(60))
    assert second == ANSWERS_US
    assert not first & ANSWERS_US


def test_two_mails_under_one_id_are_two() -> None:
    (twin, *_) = of_kind("twin")
    root = twin.letter.root
    assert root is not None
    assert twin.letter.message_id == root.message_id
    found = Counter(one.nonce for one in expected(126).values())
    assert found[twin.letter.nonce] == found[root.nonce] == 1


def test_a_mail_without_an_id_is_known_again_by_what_it_says() -> None:
    keys = {read(one).key for one in of_kind("anonymous")}
    assert len(keys) == len({one.letter.nonce for one in of_kind("anonymous")})


def test_each_kind_has_its_fate() -> None:
    found = {one.nonce: one for one in expected(126).values()}
    fates = {one.letter.sample.kind: found[one.letter.nonce] for one in sent(126)}
    joined = {kind for kind, one in fates.items() if one.fate is Fate.JOINED}
    listed = {kind for kind, one in fates.items() if one.fate is Fate.LISTED}
    silent = {kind for kind, one in fates.items() if one.silent}
    assert joined == set(JOINS)
    assert listed == LISTED
    assert silent == {*JOINS, *LISTED, "quiet"}


def test_no_header_of_a_mail_adds_another_one() -> None:
    injected = next(one for one in of_kind("injection") if "\r\n" in one.letter.sample.subject)
    assert b"\r\nBcc:" not in injected.raw
    assert "Bcc: everybody" in read(injected).text
