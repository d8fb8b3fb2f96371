"""Slack by HTTP: its Events API, and what people click. Each is signed over its raw bytes.

Slack repeats a delivery that got no 2xx within three seconds. A repeat is taken like a first
delivery, for the first one may be the one that failed; the event's key tells them apart.
"""

from urllib.parse import parse_qs

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from failsoft.errors import InvalidDataError
from failsoft.intake.admission import Reception
from failsoft.intake.slack_answers import SlackAnswers
from failsoft.intake.slack_events import read_event
from failsoft.intake.slack_signature import Answered, verify
from failsoft.parsing import parse_object
from failsoft.web.bodies import body_of
from failsoft.web.endpoint import Endpoint
from failsoft.web.serving import Serving

MAX_BODY = 2 * 1024 * 1024  # bytes; Slack's own are far smaller
MAX_FIELDS = 10  # of a form; Slack's has one


class SlackWeb:
    """Both endpoints. `answered` is shared, so that a signature counts once for all of them."""

    def __init__(self, serving: Serving) -> None:
        settings = serving.settings
        self.serving = serving
        self.secrets = [
            secret
            for secret in (settings.slack_signing_secret, settings.slack_old_signing_secret)
            if secret is not None
        ]
        self.answered = Answered()
        self.answers = (
            SlackAnswers.of(settings, serving.database, serving.clock)
            if settings.slack_token is not None
            else None
        )

    @property
    def is_open(self) -> bool:
        return bool(self.secrets)

    async def close(self) -> None:
        if self.answers is not None:
            await self.answers.close()

    def routes(self) -> list[Route]:
        found = [
            Route(f"/agents/{name}/slack/events", self._events(reception), methods=["POST"])
            for name, reception in self.serving.receptions.items()
        ]
        if len(found) == 1:
            (only,) = self.serving.receptions.values()
            found.append(Route("/slack/events", self._events(only), methods=["POST"]))
        if self.answers is not None:
            found.append(Route("/slack/interactive", self.interact, methods=["POST"]))
        return found

    def _events(self, reception: Reception) -> Endpoint:
        async def events(request: Request) -> Response:
            body, signature = await self._signed(request)
            if (challenge := _challenge(body)) is not None:
                return JSONResponse({"challenge": challenge})
            await reception.admit(read_event(body, self.serving.settings.slack_bot_id))
            self.answered.add(signature, self.serving.clock.now())
            return Response()

        return events

    async def interact(self, request: Request) -> Response:
        """Keep what somebody clicked; telling people about it comes after the answer to Slack."""
        body, signature = await self._signed(request)
        try:
            form = parse_qs(body.decode(errors="replace"), max_num_fields=MAX_FIELDS)
            payload = parse_object("".join(form.get("payload", [])), max_bytes=MAX_BODY)
        except (ValueError, InvalidDataError):
            return Response(status_code=400)
        assert self.answers is not None  # or there is no such route  # noqa: S101
        handled = await self.answers.handle(payload)
        self.answered.add(signature, self.serving.clock.now())
        after = BackgroundTask(self.answers.follow, handled)
        if not handled.body:
            return Response(background=after)
        return JSONResponse(handled.body, background=after)

    async def _signed(self, request: Request) -> tuple[bytes, str]:
        """Return the raw body and its signature; raises SignatureError, TooLargeError."""
        body, now = await body_of(request, MAX_BODY), self.serving.clock.now()
        signature = verify(request.headers, body, self.secrets, now)
        self.answered.check(signature, now)
        return body, signature


def _challenge(body: bytes) -> str | None:
    """Return what Slack wants to hear back when the address is set up."""
    try:
        said = parse_object(body)
    except InvalidDataError:
        return None
    challenge = said.get("challenge")
    return (
        challenge if said.get("type") == "url_verification" and isinstance(challenge, str) else None
    )
