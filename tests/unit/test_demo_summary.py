"""How the demo counts."""

import random
from dataclasses import replace
from typing import Any

import pytest

from failsoft.cli.demo_account import Ledger
from failsoft.cli.demo_email import EmailSalesforce
from failsoft.cli.demo_faults import ISSUE
from failsoft.cli.demo_mails import postings_of, write_letters
from failsoft.cli.demo_scenario import Expected, Fate
from failsoft.cli.demo_slack import SlackJira
from failsoft.cli.demo_tally import Tally, tally
from failsoft.intake.mail import MailRules

ONE, TWO = "zq0000000001", "zq0000000002"
KEY = "slack:T1:C1:1.1"


def state(*texts: str, **more: Any) -> dict[str, Any]:
    issues = [{"fields": {"summary": text}, "labels": []} for text in texts]
    empty = {"slack": {"messages": []}, "requests": [], "faults": {}}
    return {"jira": {"issues": issues}, **empty, **more}


def ledger(**given: Any) -> Ledger:
    nothing: dict[str, Any] = {
        "runs": {}, "ignored": set(), "joined": set(), "reviews": {}, "states": {}, "resent": 0,
        "traces": {}, "verified": 0,
    }  # fmt: skip
    return Ledger(**{**nothing, **given})


def event(nonce: str = ONE, fate: Fate = Fate.OWN, *, silent: bool = False) -> Expected:
    return Expected(nonce=nonce, fate=fate, place="C1 1.1", silent=silent)


def counted(state: dict[str, Any], *events: Expected) -> Tally:
    return tally(SlackJira(), state, {f"k{place}": one for place, one in enumerate(events)}, [])


def test_two_tickets_with_one_nonce_are_one_duplicate() -> None:
    found = counted(state(f"a {ONE}", f"b {ONE}", f"c {TWO}"), event(ONE), event(TWO))
    assert found.duplicates == 1
    assert found.figures()["tickets"] == 3


def test_a_nonce_that_stands_twice_in_one_ticket_is_one_ticket() -> None:
    assert counted(state(f"{ONE} {ONE}"), event()).duplicates == 0


def test_a_nonce_that_nobody_sent_counts_nothing() -> None:
    assert counted(state(f"a {TWO}"), event()).figures()["tickets"] == 0


@pytest.mark.parametrize("fate", [Fate.JOINED, Fate.LISTED])
def test_a_ticket_for_what_must_have_none_is_a_duplicate(fate: Fate) -> None:
    assert counted(state(f"a {ONE}"), event(ONE, fate)).duplicates == 1


def test_two_answers_in_one_thread_are_a_duplicate() -> None:
    answers = [{"channel": "C1", "thread_ts": "1.1"}, {"channel": "C1", "thread_ts": "1.1"}]
    found = counted(state(slack={"messages": answers}), event())
    assert found.figures()["duplicate_answers"] == 1


def test_an_answer_to_a_machine_is_a_wrong_one() -> None:
    answers = {"messages": [{"channel": "C1", "thread_ts": "1.1"}]}
    assert counted(state(slack=answers), event(silent=True)).wrong_answers == 1
    assert counted(state(slack=answers), event(silent=False)).wrong_answers == 0


@pytest.mark.parametrize("match", [ISSUE, "POST /jira/rest/api/3/*"], ids=["exact", "prefix"])
def test_a_fault_for_a_call_that_never_came_is_missed(match: str) -> None:
    method, _, path = ISSUE.partition(" ")
    requests = [{"method": method, "path": path, "faults": ["drop_after"]}]
    found = tally(SlackJira(), state(requests=requests), {}, [{"match": match, "nth": [1, 2]}])
    assert found.faults_missed == 1


def lost(kept: Ledger, one: Expected, *texts: str) -> list[str]:
    return kept.lost({KEY: one}, tally(SlackJira(), state(*texts), {KEY: one}, []))


def test_an_event_without_any_mark_is_lost() -> None:
    assert lost(ledger(), event()) == [KEY]


def test_a_listed_deletion_excuses_no_lost_event() -> None:
    assert lost(ledger(ignored={KEY}), event()) == [KEY]


def test_an_answer_with_a_ticket_of_its_own_is_lost_to_its_thread() -> None:
    assert lost(ledger(), event(fate=Fate.JOINED), f"a {ONE}") == [KEY]


def test_an_answer_that_joined_is_not_lost() -> None:
    assert lost(ledger(joined={KEY}), event(fate=Fate.JOINED)) == []


def test_an_event_about_which_a_person_is_asked_is_not_lost() -> None:
    asked = ledger(runs={KEY: {"run_id": 1}}, reviews={1: object()})
    assert lost(asked, event()) == []


def test_an_event_with_a_ticket_is_not_lost() -> None:
    assert lost(ledger(), event(), f"a {ONE}") == []


def test_what_has_no_words_must_be_listed() -> None:
    assert lost(ledger(), event(fate=Fate.LISTED)) == [KEY]
    assert lost(ledger(ignored={KEY}), event(fate=Fate.LISTED)) == []


def test_a_case_that_nobody_could_sort_is_unclassified_and_told() -> None:
    event = {"text": "as discussed"}
    states = {KEY: {"classification": {"source": "nobody"}, "event": event}}
    figures = ledger(states=states).figures()
    assert figures["unclassified"] == 1
    assert [(one["how"], one["text"]) for one in figures["told"]] == [
        ("unclassified", "as discussed")
    ]


MAIL = "writer1@example.com <1@example.com>"


def in_salesforce(cases: list[str], emails: dict[str, str] | None = None) -> dict[str, Any]:
    """The sandbox's state; `emails` are texts and the cases that they are parts of."""
    made = [{"Id": text, "Description": text} for text in cases]
    parts = [{"TextBody": text, "ParentId": case} for text, case in (emails or {}).items()]
    return state(salesforce={"cases": made, "emails": parts}, mail=[])


def in_cases(state: dict[str, Any], *events: Expected) -> Tally:
    named = {f"k{place}": one for place, one in enumerate(events)}
    return tally(EmailSalesforce(), state, named, [])


def mailed(nonce: str, fate: Fate = Fate.OWN, *, root: str = "", silent: bool = False) -> Expected:
    return Expected(nonce=nonce, fate=fate, place=MAIL, silent=silent, root=root)


def test_a_scenario_counts_what_it_makes_and_nothing_else() -> None:
    figures = in_cases(in_salesforce([ONE, TWO]), mailed(ONE), mailed(TWO)).figures()
    assert (figures["cases"], figures["tickets"], figures["duplicates"]) == (2, 0, 0)


def test_two_cases_of_one_mail_are_a_duplicate() -> None:
    assert in_cases(in_salesforce([ONE, f"again {ONE}"]), mailed(ONE)).duplicates == 1


def test_a_mail_that_is_two_parts_of_its_case_is_a_duplicate() -> None:
    twice = in_salesforce([ONE], {f"{ONE} a": ONE, f"{ONE} b": ONE})
    assert in_cases(twice, mailed(ONE)).duplicates == 1


def test_a_reply_belongs_to_the_case_of_what_it_answers_and_no_other() -> None:
    reply, other = mailed(TWO, Fate.JOINED, root=ONE), mailed("zq0000000003")
    right = in_salesforce([ONE], {TWO: ONE})
    wrong = in_salesforce([ONE, other.nonce], {TWO: other.nonce})
    assert in_cases(right, mailed(ONE), reply).joined == {TWO}
    assert in_cases(wrong, mailed(ONE), other, reply).joined == set()


def test_two_thanks_for_one_mail_are_a_duplicate_answer() -> None:
    thanks = {"to": ["writer1@example.com"], "headers": {"in-reply-to": "<1@example.com>"}}
    found = in_cases({**in_salesforce([ONE]), "mail": [thanks, thanks]}, mailed(ONE))
    assert (found.answers, found.duplicate_answers, found.wrong_answers) == (2, 1, 0)


def test_thanks_to_a_machine_are_a_wrong_answer() -> None:
    thanks = {"to": ["writer1@example.com"], "headers": {"in-reply-to": "<1@example.com>"}}
    listed = mailed(ONE, Fate.LISTED, silent=True)
    assert in_cases({**in_salesforce([]), "mail": [thanks]}, listed).wrong_answers == 1


def test_a_mail_that_does_not_stand_on_its_own_case_is_lost() -> None:
    own = mailed(ONE, root=ONE)
    bare, whole = in_salesforce([ONE]), in_salesforce([ONE], {ONE: ONE})
    assert ledger().lost({KEY: own}, in_cases(bare, own)) == [KEY]
    assert ledger().lost({KEY: own}, in_cases(whole, own)) == []


def misrouted(queue: str, label: str | None, recorded: str, source: str) -> int:
    case = {"Id": ONE, "Description": ONE, "queue": queue, "Priority": "High"}
    own = replace(mailed(ONE), label=label)
    seen = in_cases(state(salesforce={"cases": [case], "emails": []}, mail=[]), own)
    kept = ledger(states={"k0": {"classification": {"label": recorded, "source": source}}})
    return kept.misrouted({"k0": own}, seen, EmailSalesforce().route)


def test_a_case_elsewhere_than_its_label_leads_is_misrouted() -> None:
    assert misrouted("Billing", None, "billing", "model") == 0
    assert misrouted("Technical", None, "billing", "model") == 1
    assert misrouted("Sales", None, "sales", "model") == 1  # the queue, but not the priority


def test_the_label_of_the_sample_holds_where_the_model_decided() -> None:
    assert misrouted("Billing", "technical", "billing", "model") == 1
    assert misrouted("Billing", "technical", "billing", "keywords") == 0


@pytest.mark.parametrize("kind", ["bounce", "auto", "list", "own"])
def test_a_machines_mail_that_opens_a_case_shows(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_objection(*_given: object) -> None:
        return

    monkeypatch.setattr(MailRules, "objection", no_objection)
    rng = random.Random(1)
    sent = [one for act in postings_of(write_letters(60, rng), rng) for one in act]
    letter = next(one for one in sent if one.letter.sample.kind == kind).letter
    expected = EmailSalesforce().expected(sent)
    (key,) = {key for key, one in expected.items() if one.nonce == letter.nonce}
    whom, _, what = letter.place.partition(" ")
    thanks = {"to": [whom], "headers": {"in-reply-to": what}}
    opened = {**in_salesforce([letter.nonce], {letter.nonce: letter.nonce}), "mail": [thanks]}
    found = tally(EmailSalesforce(), opened, expected, [])
    assert found.duplicates == 2  # the case, and the mail on it
    assert found.wrong_answers == 1
    assert key in ledger(runs={key: {"run_id": 1}}).lost(expected, found)
