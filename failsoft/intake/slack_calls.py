"""Slack's Web API as the doors call it: one attempt each, through the gate that all share."""

import json

from pydantic import SecretStr

from failsoft.checkpoints.database import Database
from failsoft.clock import Clock
from failsoft.connectors.answers import read
from failsoft.connectors.slack import RATE_LIMITED, REFUSED
from failsoft.errors import RateLimitedError, RefusedError, TransientError
from failsoft.http import Http
from failsoft.limits.gate import Gate
from failsoft.parsing import JSON, JSONObject
from failsoft.settings import Settings


class SlackCalls:
    """One workspace, with the token of the bot or of the app."""

    def __init__(
        self, settings: Settings, database: Database, token: SecretStr, clock: Clock | None = None
    ) -> None:
        self.timing = settings.timing
        self.gate = Gate(database, settings.limit)
        self.clock = clock or Clock()
        authorization = SecretStr(f"Bearer {token.get_secret_value()}")
        self.http = Http(
            settings.slack_base_url,
            timing=settings.timing,
            headers={"Authorization": authorization},
        )

    async def close(self) -> None:
        await self.http.close()

    async def call(self, method: str, arguments: JSONObject) -> JSONObject:
        """Call a method once, and return what it answered.

        Raises:
            RateLimitedError: too many calls; everybody is kept away for as long as Slack says.
            RefusedError: Slack says no, and will again.
            TransientError: no answer, or one of an error that passes.
            UnavailableError: the database, and so the gate, is away.
        """
        key, within = f"slack:{method}", self.timing.send
        async with self.gate.passing(key, lease=within, clock=self.clock):
            try:
                return await self._call(method, arguments, within)
            except RateLimitedError as error:
                await self.gate.cool(key, error.retry_after)
                raise

    async def _call(self, method: str, arguments: JSONObject, within: float) -> JSONObject:
        what, form = f"Slack {method}", {name: _field(one) for name, one in arguments.items()}
        response = await self.http.request("POST", method, form=form, within=within)
        answer = read(response, what, "", now=self.clock.now())
        if answer.get("ok") is True:
            return answer
        code = str(answer.get("error"))[:80]
        if code in RATE_LIMITED:
            raise RateLimitedError(f"{what}: {code}", response.retry_after(self.clock.now()))
        kind = RefusedError if code in REFUSED else TransientError
        raise kind(f"{what}: {code}")


def _field(value: JSON) -> str:
    """Return an argument as a form has it: structures are JSON."""
    return value if isinstance(value, str) else json.dumps(value)
