"""Raw mail by HTTP: what a mail server's pipe, or a gateway, posts as it is."""

import asyncio
import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from failsoft.events import Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.mail import MailRules, read_mail
from failsoft.intake.mail_limits import MAX_BYTES
from failsoft.web.bodies import body_of
from failsoft.web.endpoint import Endpoint, refused
from failsoft.web.serving import Serving


class MailWeb:
    """One endpoint for each agent; who posts shows the token of FAILSOFT_MAIL_TOKEN."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.token = serving.settings.mail_token
        self.rules = MailRules.of(serving.settings)

    @property
    def is_open(self) -> bool:
        return self.token is not None

    def routes(self) -> list[Route]:
        found = [
            Route(f"/agents/{name}/mail", self._mail(reception), methods=["POST"])
            for name, reception in self.serving.receptions.items()
        ]
        if len(found) == 1:
            (only,) = self.serving.receptions.values()
            found.append(Route("/mail", self._mail(only), methods=["POST"]))
        return found

    def _mail(self, reception: Reception) -> Endpoint:
        async def mail(request: Request) -> Response:
            if not self._known(request):
                return refused(401, "This needs `Authorization: Bearer` with the mail token.")
            raw = await body_of(request, MAX_BYTES)
            taken = await reception.admit(await asyncio.to_thread(read_mail, raw, self.rules))
            if isinstance(taken, Ignored):
                return JSONResponse({"key": taken.key, "ignored": taken.reason})
            return JSONResponse({"run_id": str(taken.run_id), "new": taken.new}, status_code=202)

        return mail

    def _known(self, request: Request) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        token = self.token.get_secret_value() if self.token else ""
        same = secrets.compare_digest(shown.strip().encode(), token.encode())
        return scheme.lower() == "bearer" and bool(token) and same
