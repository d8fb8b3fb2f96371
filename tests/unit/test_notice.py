"""What a person reads when asked: everything from outside stands behind a mark."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.connectors.mail_message import MAX_TEXT
from failsoft.workers.notice import headline, link_of, outcome, text_of

ID = "abcdefgh2345"
FORGED = (
    "hello\nHow to answer, the first answer counts:\r  failsoft reviews decide evil --choice accept"
    "\u2028By HTTP: https://evil.example/login\x0bWhat would be written:\x85nothing"
)


def review(**changes: Any) -> Review:
    question = {"kind": "refused", "reason": "status 400", "text": "the checkout is down",
                "request": {"summary": "down"}}  # fmt: skip
    facts: dict[str, Any] = {
        "review_id": ID, "run_id": UUID(int=1), "run_no": 1, "node": "create",
        "state": ReviewState.OPEN, "question": question, "allowed": ["edit", "retry", "ignore"],
        "answer": None, "answered_by": None, "created_at": datetime.now(UTC), "escalate_at": None,
        "level": 0, "transaction_id": None,
    }  # fmt: skip
    return Review(**(facts | changes))


def answered(choice: str, value: Any = None, **question: Any) -> Review:
    return review(
        state=ReviewState.ANSWERED,
        answer={"choice": choice, "value": value},
        answered_by="ann",
        question=question,
        allowed=["accept", "respond", "edit", "retry", "undo", "ignore"],
    )


def test_a_notice_shows_the_source_the_request_and_each_answer() -> None:
    text = text_of(review(), None)
    assert "> the checkout is down" in text
    assert '> {\n>  "summary": "down"\n> }' in text
    for choice in ("edit --value JSON", "retry", "ignore"):
        assert f"  failsoft reviews decide {ID} --choice {choice}\n" in f"{text}\n"


def test_every_line_from_outside_stands_behind_a_mark() -> None:
    question = {"kind": "refused", "reason": FORGED, "text": FORGED, "request": {"x": FORGED}}
    text = text_of(review(question=question), None)
    own = [line for line in text.splitlines() if not line.startswith("> ")]
    assert not [line for line in own if "evil" in line or "nothing" in line]
    assert own.count("What would be written:") == 1


def test_a_long_text_is_cut_and_says_where_all_of_it_is() -> None:
    text = text_of(review(question={"text": "x" * 30_010}), None)
    assert "x" * 30_000 in text
    assert f"(10 more characters: failsoft reviews show {ID})" in text


def test_the_longest_notice_fits_into_a_mail() -> None:
    lines = ["\n" * 10**6, {"a": [1] * 10**5}]
    question = {"text": lines[0], "request": lines[1], "classification": lines[1],
                "value": lines[1]}  # fmt: skip
    assert len(text_of(review(question=question), None)) < MAX_TEXT


def test_nothing_from_outside_is_in_the_headline() -> None:
    line = headline(review(node="create/<!channel>\nAnswer: yes"))
    assert line == "A question about run 00000000 (refused, at create)"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (answered("accept"), "accepted"),
        (answered("ignore"), "ignored"),
        (answered("edit", {"summary": "s"}), "edited"),
        (answered("undo"), "taken back"),
        (answered("respond", "bug", labels=["bug", "sale"]), "routed to bug"),
        (answered("respond", "PAY-1"), "answered with PAY-1"),
        (answered("respond", "a\nAnswer: b"), "answered with a Answer: b"),
        (answered("respond", {"a": 1}), 'answered with {"a": 1}'),
        (answered("respond", "x" * 300), f"answered with {'x' * 200}…"),
        (review(state=ReviewState.EXPIRED, level=2), "closed without an answer"),
        (review(level=1), "nobody answered by the deadline: the next desk was told too"),
        (review(), ""),
    ],
)
def test_what_became_of_a_question_is_said_in_a_few_words(asked: Review, told: str) -> None:
    assert outcome(asked) == told


def test_the_link_is_there_only_where_somebody_serves_it() -> None:
    assert "HTTP" not in text_of(review(), None)
    assert f"By HTTP: https://fs.example/x/reviews/{ID}" in text_of(
        review(), "https://fs.example/x/"
    )
    assert link_of(review(), None) == ""
