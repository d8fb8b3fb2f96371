"""The application: the doors whose secret is set, and how errors are told to whoever called."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from failsoft.errors import ConfigurationError, UnavailableError
from failsoft.intake.slack_signature import SignatureError
from failsoft.web.answers import AnswersWeb
from failsoft.web.bodies import TooLargeError, TooSlowError
from failsoft.web.endpoint import refused
from failsoft.web.health import Health
from failsoft.web.mail import MailWeb
from failsoft.web.serving import Serving
from failsoft.web.slack import SlackWeb

SECRETS = (  # of which at least one must be set
    "FAILSOFT_SLACK_SIGNING_SECRET (Slack), FAILSOFT_MAIL_TOKEN (raw mail) or "
    "FAILSOFT_ANSWER_SECRET (answers of people)"
)


def build_app(serving: Serving) -> Starlette:
    """Open every door whose secret is set: one without would take anything from anybody.

    Raises:
        ConfigurationError: none is set.
    """
    slack, mail = SlackWeb(serving), MailWeb(serving)
    answers = AnswersWeb(serving=serving)
    routes = [route for door in (slack, mail, answers) if door.is_open for route in door.routes()]
    if not routes:
        raise ConfigurationError(f"There is nothing to serve: set {SECRETS}.")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await slack.close()

    health = Health(serving, [route.path for route in routes])
    return Starlette(
        routes=[*routes, *health.routes()],
        exception_handlers={
            SignatureError: _not_signed,
            TooLargeError: _too_large,
            TooSlowError: _too_slow,
            UnavailableError: _away,
            ClientDisconnect: _gone,
        },
        lifespan=lifespan,
    )


async def _not_signed(_request: Request, _error: Exception) -> Response:
    return refused(401, "The signature is not good.")  # why is nobody's business


async def _too_large(_request: Request, error: Exception) -> Response:
    return refused(413, str(error))


async def _too_slow(_request: Request, error: Exception) -> Response:
    return refused(408, str(error))


async def _away(_request: Request, _error: Exception) -> Response:
    return refused(503, "The database is away: bring it again.")


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody hears it
