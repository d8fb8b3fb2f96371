"""What people click in Slack, read as answers."""

from typing import Any

import pytest

from failsoft.errors import InvalidDataError
from failsoft.intake.slack_answers import ACTION, EDIT, REQUEST, Answer, read_interaction

REVIEW = "abcdefghij23"
PERSON: dict[str, Any] = {"user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T2"}}


def click(**action: Any) -> dict[str, Any]:
    return {"type": "block_actions", **PERSON, "actions": [action]}


def button(choice: str, value: str) -> dict[str, Any]:
    return click(type="button", action_id=f"{ACTION}:{choice}", value=value)


def submission(text: object, **view: Any) -> dict[str, Any]:
    values = {REQUEST: {REQUEST: {"type": "plain_text_input", "value": text}}}
    shown = {"callback_id": EDIT, "private_metadata": REVIEW, "state": {"values": values}}
    return {"type": "view_submission", **PERSON, "view": shown | view}


def test_a_button_gives_its_choice_and_who_clicked() -> None:
    answer = read_interaction(button("accept", f"{REVIEW}:accept"))

    assert answer == Answer(review_id=REVIEW, choice="accept", team="T1", user="U1")
    assert answer.by == "slack:T1:U1"


@pytest.mark.parametrize("label", ["billing", "a:b", "with spaces"])
def test_an_option_of_the_list_gives_its_label(label: str) -> None:
    option = {"value": f"{REVIEW}:respond:{label}"}
    chosen = click(type="static_select", action_id=f"{ACTION}:respond", selected_option=option)

    answer = read_interaction(chosen)

    assert answer is not None
    assert (answer.choice, answer.value) == ("respond", label)


def test_a_form_gives_the_edited_request() -> None:
    answer = read_interaction(submission('{"summary": "better"}'))

    assert answer is not None
    assert (answer.review_id, answer.choice) == (REVIEW, "edit")
    assert answer.value == {"summary": "better"}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"type": "shortcut"}, id="another type"),
        pytest.param(click(action_id="another_app"), id="another button"),
        pytest.param({"type": "block_actions", "actions": "no list"}, id="no list"),
        pytest.param({"type": "block_actions", "actions": [None, 1]}, id="no objects"),
        pytest.param(submission("{}", callback_id="another"), id="another form"),
        pytest.param({"type": "view_submission", "view": None}, id="no form"),
    ],
)
def test_what_is_not_ours_is_no_answer(payload: dict[str, Any]) -> None:
    assert read_interaction(payload) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(button("accept", f"{REVIEW}:ignore"), id="another choice in the value"),
        pytest.param(button("accept", "../../etc:accept"), id="no review id"),
        pytest.param(button("acc ept", f"{REVIEW}:acc ept"), id="no choice"),
        pytest.param(click(action_id=f"{ACTION}:accept"), id="no value"),
        pytest.param(button("accept", f"{REVIEW}:accept") | {"user": {}, "team": {}}, id="nobody"),
        pytest.param(
            button("accept", f"{REVIEW}:accept") | {"user": {"id": "U1\nfoo", "team_id": "T"}},
            id="a forged line",
        ),
        pytest.param(submission("{"), id="no JSON"),
        pytest.param(submission("[1]"), id="no object"),
        pytest.param(submission(None), id="an empty field"),
        pytest.param(submission("[" * 100_000), id="without end"),
        pytest.param(submission("{}", private_metadata="x"), id="a form of no review"),
    ],
)
def test_what_is_ours_but_cannot_be_read_says_so(payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError):
        read_interaction(payload)
