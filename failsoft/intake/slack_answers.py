"""People's answers from Slack: a click under a review, a choice of a list, an edited request.

Answered is only what the click names, and only when its review allows it: the first answer wins,
and whoever comes later is told so.
"""

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.reviews import Review, Reviews, ReviewState
from failsoft.clock import Clock
from failsoft.connectors.slack import escape
from failsoft.errors import (
    FailsoftError,
    InvalidDataError,
    MissingSettingError,
    NotFoundError,
    UsageError,
)
from failsoft.intake.slack_calls import SlackCalls
from failsoft.nodes.failures import describe
from failsoft.parsing import JSON, JSONObject, parse_object
from failsoft.settings import Settings

logger = logging.getLogger(__name__)

ACTION = "failsoft_review"  # action_id is ACTION:<choice>, the value <review id>:<choice>[:<label>]
EDIT = "failsoft_edit"  # callback_id of the form; its private_metadata is the review id
REQUEST = "failsoft_request"  # block_id and action_id of the form's one field
MAX_FIELD = 3_000  # characters that Slack takes in a field

_REVIEW = re.compile(r"[a-z2-7]{12}")
_CHOICE = re.compile(r"[a-z_]{1,32}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What somebody said; an `edit` without a value asks for the form."""

    review_id: str
    choice: str
    value: JSON = None
    team: str
    user: str

    @property
    def by(self) -> str:
        """Who it is, as the audit has it."""
        return f"slack:{self.team}:{self.user}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One call of Slack's Web API."""

    method: str
    arguments: JSONObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Handled:
    """What an interaction is acknowledged with, and what is called after that.

    The answer itself is durable by now; what comes after only tells people.
    """

    body: JSONObject = field(default_factory=dict)
    step: Step | None = None


class SlackAnswers:
    """Takes interactions, whatever way Slack brings them."""

    def __init__(self, reviews: Reviews, calls: SlackCalls, reviewers: Iterable[str]) -> None:
        self.reviews = reviews
        self.calls = calls
        self.reviewers = frozenset(reviewers)

    @classmethod
    def of(cls, settings: Settings, database: Database, clock: Clock | None = None) -> Self:
        """Raise MissingSettingError when there is no bot token."""
        if settings.slack_token is None:
            raise MissingSettingError("FAILSOFT_SLACK_TOKEN", "the bot token of the Slack app")
        calls = SlackCalls(settings, database, settings.slack_token, clock)
        return cls(Reviews(database), calls, settings.slack_reviewers)

    async def close(self) -> None:
        await self.calls.close()

    async def handle(self, payload: JSONObject) -> Handled:
        """Keep the answer that an interaction gives; what is no answer is ignored.

        Acknowledge it with `body` only when this has returned, then `follow` it.

        Raises:
            UnavailableError: the database is away; nothing was kept, so acknowledge nothing.
        """
        try:
            answer = read_interaction(payload)
        except InvalidDataError as error:
            return _told(payload, str(error))
        if answer is None:
            return Handled()
        if self.reviewers and answer.user not in self.reviewers:
            logger.warning("%s may not answer review %s", answer.by, answer.review_id)
            return _told(payload, "You are not among those who may answer.")
        try:
            if answer.choice == "edit" and answer.value is None:
                return await self._form(payload, answer)
            await self.reviews.answer(
                answer.review_id, choice=answer.choice, value=answer.value, by=answer.by
            )
        except (UsageError, NotFoundError) as error:
            return _told(payload, str(error))
        return _taken(payload, answer)

    async def follow(self, handled: Handled) -> None:
        """Tell people what became of an answer; a failure of that changes no answer."""
        if handled.step is None:
            return
        try:
            await self.calls.call(handled.step.method, handled.step.arguments)
        except FailsoftError as error:
            logger.warning("what was clicked counts, but Slack shows it not: %s", describe(error))

    async def _form(self, payload: JSONObject, answer: Answer) -> Handled:
        """Open the form with the request as it stands."""
        review = await self.reviews.get(answer.review_id)
        trigger, request = payload.get("trigger_id"), review.question.get("request")
        if review.state is not ReviewState.OPEN:
            return _told(payload, _closed(review))
        if "edit" not in review.allowed or not isinstance(trigger, str):
            return _told(payload, "There is nothing here that can be edited.")
        text = json.dumps(request, indent=2, ensure_ascii=False)
        if len(text) > MAX_FIELD:
            how = f"failsoft reviews decide {review.review_id} --choice edit --value …"
            return _told(payload, f"The request is too long to be edited in Slack: {how}")
        view = _view(review.review_id, text)
        return Handled(
            step=Step(method="views.open", arguments={"trigger_id": trigger, "view": view})
        )


def read_interaction(payload: JSONObject) -> Answer | None:
    """Return the answer in an interaction, None when it is none of ours.

    Raises:
        InvalidDataError: it is meant as an answer, but cannot be read.
    """
    match payload.get("type"):
        case "block_actions":
            return _clicked(payload)
        case "view_submission":
            return _submitted(payload)
        case _:
            return None


def _clicked(payload: JSONObject) -> Answer | None:
    """Read the first of our buttons or lists that was used."""
    actions = payload.get("actions")
    for action in actions if isinstance(actions, list) else []:
        kind, _, choice = _text(action, "action_id").partition(":")
        if kind != ACTION:
            continue
        value = _text(action, "selected_option", "value") or _text(action, "value")
        review_id, _, said = value.partition(":")
        said, _, label = said.partition(":")
        if said != choice:
            raise InvalidDataError("This button cannot be read.")
        return _answer(payload, review_id, choice, label or None)
    return None


def _submitted(payload: JSONObject) -> Answer | None:
    if _at(payload, "view", "callback_id") != EDIT:
        return None
    text = _text(payload, "view", "state", "values", REQUEST, REQUEST, "value")
    review_id = _text(payload, "view", "private_metadata")
    return _answer(payload, review_id, "edit", parse_object(text))


def _answer(payload: JSONObject, review_id: str, choice: str, value: JSON) -> Answer:
    user = _text(payload, "user", "id")
    team = _text(payload, "user", "team_id") or _text(payload, "team", "id")
    if not (_REVIEW.fullmatch(review_id) and _CHOICE.fullmatch(choice)):
        raise InvalidDataError("This button cannot be read.")
    if not (_ID.fullmatch(user) and _ID.fullmatch(team)):
        raise InvalidDataError("It cannot be read who you are.")
    return Answer(review_id=review_id, choice=choice, value=value, team=team, user=user)


def _told(payload: JSONObject, text: str) -> Handled:
    """Tell whoever clicked, and nobody else; a form shows it at its field."""
    if payload.get("type") == "view_submission":
        return Handled(body={"response_action": "errors", "errors": {REQUEST: text}})
    channel, user = _text(payload, "channel", "id"), _text(payload, "user", "id")
    if not channel or not user:
        return Handled()
    arguments: JSONObject = {"channel": channel, "user": user, "text": escape(text)}
    if thread := _text(payload, "message", "thread_ts"):
        arguments["thread_ts"] = thread
    return Handled(step=Step(method="chat.postEphemeral", arguments=arguments))


def _taken(payload: JSONObject, answer: Answer) -> Handled:
    """Say that the answer counts to whoever gave it; all others see it in the changed notice."""
    if payload.get("type") == "view_submission":
        return Handled()  # the form closes
    label = f" {answer.value}" if isinstance(answer.value, str) else ""
    return _told(payload, f"Your answer counts: {answer.choice}{label}.")


def _closed(review: Review) -> str:
    if review.state is ReviewState.ANSWERED:
        return f"Review {review.review_id} was already answered by {review.answered_by}."
    return f"Review {review.review_id} has expired."


def _view(review_id: str, text: str) -> JSONObject:
    field: JSONObject = {
        "type": "plain_text_input",
        "action_id": REQUEST,
        "multiline": True,
        "initial_value": text,
    }
    return {
        "type": "modal",
        "callback_id": EDIT,
        "private_metadata": review_id,
        "title": _plain("Edit the request"),
        "submit": _plain("Write this"),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": REQUEST,
                "label": _plain("What will be written, as JSON"),
                "element": field,
            }
        ],
    }


def _plain(text: str) -> JSONObject:
    return {"type": "plain_text", "text": text}


def _text(holder: JSON, *names: str) -> str:
    """Return the string under nested names, an empty one when there is none."""
    found = _at(holder, *names)
    return found if isinstance(found, str) else ""


def _at(holder: JSON, *names: str) -> JSON:
    """Return what lies under nested names, None when nothing does."""
    for name in names:
        if not isinstance(holder, dict):
            return None
        holder = holder.get(name)
    return holder
