"""An answer that does not fit the question is refused before it is stored."""

import shlex
from datetime import UTC, datetime
from uuid import UUID

import pytest

from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.cli.reviews import answers, value_of
from failsoft.errors import UsageError
from failsoft.parsing import JSON, JSONObject

LABELS: JSONObject = {"text": "?", "labels": ["bug", "billing"]}


def review(question: JSONObject, *, transaction_id: str | None = None) -> Review:
    return Review(
        review_id="abc", run_id=UUID(int=1), run_no=1, node="classify", state=ReviewState.OPEN,
        question=question, allowed=["respond", "edit", "retry", "ignore"], answer=None,
        answered_by=None, created_at=datetime(2026, 1, 1, tzinfo=UTC), escalate_at=None, level=0,
        transaction_id=transaction_id,
    )  # fmt: skip


def test_a_label_must_be_one_that_the_question_lists() -> None:
    assert value_of(review(LABELS), "respond", "billing") == "billing"
    with pytest.raises(UsageError, match="one of bug, billing"):
        value_of(review(LABELS), "respond", "urgent")


@pytest.mark.parametrize("given", ["{", "[1]", "text", '{"a": 1, "a": 2}', "NaN"])
def test_an_edit_must_be_a_json_object(given: str) -> None:
    with pytest.raises(UsageError, match="the edited request"):
        value_of(review({}), "edit", given)


def test_an_edit_is_the_object_that_was_given() -> None:
    assert value_of(review({}), "edit", '{"summary": "x"}') == {"summary": "x"}


def test_the_id_of_a_write_that_was_found_stays_a_text() -> None:
    assert value_of(review({}, transaction_id="t"), "respond", "12") == "12"


@pytest.mark.parametrize(("given", "value"), [("12", 12), ("plain words", "plain words")])
def test_the_result_of_a_tool_is_json_or_text(given: str, value: JSON) -> None:
    assert value_of(review({}), "respond", given) == value


@pytest.mark.parametrize("choice", ["respond", "edit"])
def test_an_answer_that_says_something_needs_a_value(choice: str) -> None:
    with pytest.raises(UsageError, match="needs --value"):
        value_of(review({}), choice, None)


@pytest.mark.parametrize("choice", ["accept", "retry", "undo", "ignore"])
def test_an_answer_that_says_nothing_takes_no_value(choice: str) -> None:
    assert value_of(review({}), choice, None) is None
    with pytest.raises(UsageError, match="takes no --value"):
        value_of(review({}), choice, "x")


def test_the_command_for_an_edit_can_be_pasted_into_a_shell() -> None:
    request: JSONObject = {"summary": "it's $HOME; rm"}
    line = answers(review({"request": request}))["edit"]
    assert value_of(review({}), "edit", shlex.split(line)[-1]) == request
