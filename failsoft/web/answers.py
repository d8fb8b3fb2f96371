"""People's answers to reviews by HTTP, signed with FAILSOFT_ANSWER_SECRET."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.connectors.signature import HEADER, verify
from failsoft.errors import InvalidDataError, NotFoundError, UsageError
from failsoft.parsing import parse_object
from failsoft.web.bodies import body_of
from failsoft.web.endpoint import refused
from failsoft.web.serving import Serving

MAX_BODY = 256 * 1024  # bytes
MAX_NAME = 200  # characters of who answers


class Given(BaseModel):
    """An answer. The review stands in what is signed: the address alone could be changed."""

    model_config = ConfigDict(extra="forbid")

    review_id: str
    choice: str
    value: JsonValue = None
    by: str = Field(min_length=1, max_length=MAX_NAME)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswersWeb:
    """One endpoint: `POST /reviews/{review_id}`."""

    serving: Serving

    @property
    def secret(self) -> SecretStr | None:
        return self.serving.settings.answer_secret

    @property
    def is_open(self) -> bool:
        return self.secret is not None

    def routes(self) -> list[Route]:
        return [Route("/reviews/{review_id}", self.answer, methods=["POST"])]

    async def answer(self, request: Request) -> Response:
        """Keep the answer; the first one counts, and a repeat of it is told that it stands."""
        body = await body_of(request, MAX_BODY)
        if self.secret is None or not verify(
            request.headers.get(HEADER, ""), body, [self.secret], now=self.serving.clock.now()
        ):
            return refused(401, f"This needs a fresh {HEADER}, made with the answer secret.")
        try:
            given = Given.model_validate(parse_object(body))
        except (InvalidDataError, ValidationError):
            return refused(400, "The body must be an object of review_id, choice, value and by.")
        if given.review_id != request.path_params["review_id"]:
            return refused(400, "The signed `review_id` is not the one of the address.")
        return await self._kept(given)

    async def _kept(self, given: Given) -> Response:
        reviews = self.serving.reviews
        try:
            kept = await reviews.answer(
                given.review_id, choice=given.choice, value=given.value, by=f"http:{given.by}"
            )
        except NotFoundError as error:
            return refused(404, str(error))
        except UsageError as error:
            now = await reviews.get(given.review_id)
            return refused(422 if now.state is ReviewState.OPEN else 409, str(error))
        return JSONResponse(_shown(kept))


def _shown(review: Review) -> dict[str, object]:
    return {
        "review_id": review.review_id,
        "run_id": str(review.run_id),
        "state": review.state,
        "answer": review.answer,
        "answered_by": review.answered_by,
    }
