"""How the demo counts."""

from typing import Any

import pytest

from failsoft.cli.demo_account import Ledger
from failsoft.cli.demo_faults import ISSUE
from failsoft.cli.demo_summary import tally

ONE, TWO = "zq0000000001", "zq0000000002"
KEY = "slack:T1:C1:1.1"


def state(*texts: str, **more: Any) -> dict[str, Any]:
    issues = [{"fields": {"summary": text}} for text in texts]
    empty = {"slack": {"messages": []}, "requests": [], "faults": {}}
    return {"jira": {"issues": issues}, **empty, **more}


def ledger(**given: Any) -> Ledger:
    nothing: dict[str, Any] = {
        "runs": {}, "ignored": set(), "joined": set(), "reviews": {}, "states": {}, "resent": 0,
        "traces": {}, "verified": 0,
    }  # fmt: skip
    return Ledger(**{**nothing, **given})


def test_two_tickets_with_one_nonce_are_one_duplicate() -> None:
    found = tally(state(f"a {ONE}", f"b {ONE}", f"c {TWO}"), {ONE, TWO}, [])
    assert found.duplicates == 1
    assert found.figures()["tickets"] == 3


def test_a_nonce_that_stands_twice_in_one_ticket_is_one_ticket() -> None:
    assert tally(state(f"{ONE} {ONE}"), {ONE}, []).duplicates == 0


def test_a_nonce_that_nobody_sent_counts_nothing() -> None:
    assert tally(state(f"a {TWO}"), {ONE}, []).figures()["tickets"] == 0


def test_two_answers_in_one_thread_are_a_duplicate() -> None:
    answers = [{"channel": "C1", "thread_ts": "1.1"}, {"channel": "C1", "thread_ts": "1.1"}]
    found = tally(state(slack={"messages": answers}), set(), [])
    assert found.figures()["duplicate_answers"] == 1


def test_a_fault_for_a_call_that_never_came_is_missed() -> None:
    method, _, path = ISSUE.partition(" ")
    requests = [{"method": method, "path": path, "faults": ["drop_after"]}]
    found = tally(state(requests=requests), set(), [{"match": ISSUE, "nth": [1, 2]}])
    assert found.faults_missed == 1


def test_an_event_without_any_mark_is_lost() -> None:
    assert ledger().lost({KEY: ONE}, {}) == [KEY]


def test_a_listed_deletion_excuses_no_lost_event() -> None:
    assert ledger(ignored={KEY}).lost({KEY: ONE}, {}) == [KEY]


@pytest.mark.parametrize(
    "kept",
    [
        ledger(joined={KEY}),
        ledger(runs={KEY: {"run_id": 1}}, reviews={1: object()}),
    ],
    ids=["joined", "asked"],
)
def test_an_event_that_joined_or_waits_for_a_person_is_not_lost(kept: Ledger) -> None:
    assert kept.lost({KEY: ONE}, {}) == []


def test_an_event_with_a_ticket_is_not_lost() -> None:
    assert ledger().lost({KEY: ONE}, {ONE: 1}) == []


def test_what_has_no_words_must_be_listed() -> None:
    assert ledger().lost({KEY: ""}, {}) == [KEY]
    assert ledger(ignored={KEY}).lost({KEY: ""}, {}) == []
