"""Rules are learned from labelled texts: few, readable, the same every time, and they abstain."""

from collections import Counter

import pytest

from failsoft.agents.labelled import Labelled
from failsoft.agents.learning import Learned, learn
from failsoft.agents.measuring import (
    Judged,
    cross_judged,
    curve,
    figures,
    fold_of,
    judge,
    threshold,
    together,
)
from failsoft.agents.suggestion import suggest
from failsoft.nodes.keywords import Keywords, Rule

WHO = ("i", "we", "they", "my boss", "a customer", "our team", "somebody here", "two people")
TEXTS = {
    "billing": ("{} got a wrong invoice for the month", "{} was charged twice for the order",
                "why was {} charged for the refund", "{} needs the invoice of the year"),
    "access": ("{} cannot log in since the reset", "the password of {} is refused",
               "{} is locked out of the account", "please reset the password for {}"),
    "outage": ("the site is down for {}", "{} sees that the api is down again",
               "nothing loads for {} on the page", "the whole shop is down says {}"),
}  # fmt: skip


def rows() -> list[Labelled]:
    return [
        Labelled(text=form.format(who), label=label)
        for label, forms in TEXTS.items()
        for form in forms
        for who in WHO
    ]


def shown(learned: list[Learned]) -> list[tuple[str, str, float]]:
    return [(each.rule.label, str(each.rule), each.rule.points) for each in learned]


def test_the_same_texts_give_the_same_rules_in_any_order() -> None:
    assert shown(learn(rows())) == shown(learn(list(reversed(rows()))))


@pytest.mark.parametrize("most", [1, 4])
def test_no_label_gets_more_rules_than_were_asked_for(most: int) -> None:
    counted = Counter(each.rule.label for each in learn(rows(), max_rules=most))
    assert set(counted) == set(TEXTS)
    assert max(counted.values()) <= most


def test_a_rule_is_a_word_a_short_phrase_or_a_pair_of_words() -> None:
    for each in learn(rows()):
        assert len(each.rule.words) <= (3 if each.rule.in_order else 2)
        assert each.rule.points > 0


def test_words_that_are_spread_over_all_labels_are_no_rules() -> None:
    alone = {rule for _, rule, _ in shown(learn(rows())) if " " not in rule}
    assert alone
    assert not alone & {"the", "i", "we", "they", "customer", "somebody"}


def test_the_evidence_of_a_rule_is_how_often_it_hits_and_is_right() -> None:
    down = next(each for each in learn(rows()) if str(each.rule) == "down")
    assert (down.hits, down.right) == (24, 24)


def test_learned_rules_know_texts_that_they_have_not_seen() -> None:
    judged = cross_judged(rows(), base=(), only=set(TEXTS), max_rules=5)
    total, _ = figures(judged, {})
    assert len(judged) == len(rows())
    assert total.precision is not None
    assert total.precision > 0.95


def test_what_a_person_wrote_counts_and_is_not_learned_again() -> None:
    base = [Rule(label="outage", words=("down",), in_order=True)]
    learned = learn(rows(), base=base)
    assert ("outage", "down") not in {(label, rule) for label, rule, _ in shown(learned)}
    guess = together(base, learned).score("it is down")
    assert guess
    assert guess.label == "outage"


def test_texts_of_one_label_teach_nothing() -> None:
    assert learn([row for row in rows() if row.label == "billing"]) == []


def test_a_label_with_few_texts_gets_no_rules_and_keeps_what_it_has() -> None:
    few = [*rows(), *(Labelled(text=f"print the badge {n}", label="badge") for n in range(4))]
    text = "badge:\n  learned:\n    badge: 1.5\n"
    there = Keywords([Rule(label="badge", words=("badge",), in_order=True, learned=1.5)])
    found = suggest(text, there, few, max_rules=5, precision=0.9)
    assert found.text.startswith(text)
    assert set(found.learned) == set(TEXTS)


def test_a_word_longer_than_a_person_would_read_is_no_rule() -> None:
    long = "x" * 500
    strange = [Labelled(text=f"{long} {who}", label="odd") for who in WHO]
    assert not any("x" * 41 in rule for _, rule, _ in shown(learn([*rows(), *strange])))


def test_a_long_text_is_learned_from_in_bounded_time() -> None:
    words = " ".join(f"w{n % 900}" for n in range(2_000))
    long = [Labelled(text=f"{words} {n}", label="long") for n in range(20)]
    assert all(len(each.rule.words) <= 3 for each in learn([*rows(), *long], max_rules=2))


def test_below_the_threshold_the_rules_abstain() -> None:
    rule = Rule(label="outage", words=("down",), in_order=True, learned=0.4)
    assert Keywords([rule]).score("it is down")
    assert Keywords([rule], least={"outage": 0.3}).score("it is down") is None
    assert Keywords([rule], least={"billing": 0.3}).score("it is down")


def answers(*scored: tuple[float, bool]) -> list[Judged]:
    return [
        Judged(label="a", guess="a" if right else "b", score=score, lead=1.0)
        for score, right in scored
    ]


def test_the_threshold_is_the_lowest_score_that_is_precise_enough() -> None:
    judged = answers(*[(0.9, True)] * 30, *[(0.5, True)] * 9, (0.5, False), *[(0.1, False)] * 20)
    assert threshold(judged, 0.9) == 0.5
    assert threshold(judged, 0.96) == 0.9


def test_a_handful_of_right_answers_proves_nothing() -> None:
    assert threshold(answers(*[(0.9, True)] * 5), 0.95) is None


def test_coverage_counts_a_labels_texts_and_precision_the_answers_that_name_it() -> None:
    judged = [
        Judged(label="a", guess="a", score=0.9, lead=1.0),
        Judged(label="a", guess="b", score=0.9, lead=1.0),
        Judged(label="a", guess="a", score=0.9, lead=0.1),  # too near to the second
        Judged(label="b", guess=None),
    ]
    total, by_label = figures(judged, {})
    assert (total.rows, total.coverage, total.precision) == (4, 0.5, 0.5)
    assert (by_label["a"].coverage, by_label["a"].precision) == (2 / 3, 1.0)
    assert (by_label["b"].coverage, by_label["b"].precision) == (0.0, 0.0)


def test_the_curve_shares_a_cut_among_equal_scores() -> None:
    judged = answers(*[(0.5, True), (0.5, False)] * 5)
    assert [point.precision for point in curve(judged)] == [0.5] * 10


def test_the_curve_ends_where_no_rule_hits() -> None:
    judged = [*answers(*[(0.5, True)] * 3), *[Judged(label="a", guess=None)] * 7]
    assert [point.coverage for point in curve(judged)] == [0.1, 0.2, 0.3]


def test_equal_texts_are_in_one_fold() -> None:
    assert fold_of("same", 5) == fold_of("same", 5)
    assert {fold_of(str(number), 5) for number in range(50)} == set(range(5))


def test_judging_ignores_the_threshold_so_that_the_curve_is_whole() -> None:
    rule = Rule(label="outage", words=("down",), in_order=True)
    [judged] = judge(
        Keywords([rule], least={"outage": 1.0}), [Labelled(text="down", label="outage")]
    )
    assert judged.right
    assert not judged.given({"outage": 1.0})


def test_a_text_that_was_pasted_five_times_is_one_text() -> None:
    pasted = [Labelled(text="the gizmo is dead", label="outage", line=n) for n in range(1, 6)]
    assert len(set(pasted)) == 1
    rest = [Labelled(text=f"where is order {n}", label="order", line=9 + n) for n in range(5)]
    assert [each for each in learn([*pasted, *rest]) if each.rule.label == "outage"] == []
