"""One logged-in conversation with a Salesforce organisation: a write is sent once, a token renewed.

A 401 was not executed, so the call is made once more with a new token.
"""

import asyncio

from pydantic import SecretStr

from failsoft.clock import Clock
from failsoft.connectors.answers import attempt
from failsoft.connectors.contract import Failed, NotSent, Outcome, Unknown
from failsoft.connectors.salesforce_errors import outcome_of, record_of
from failsoft.connectors.salesforce_login import Login, LoginRefusedError
from failsoft.errors import TransientError
from failsoft.http import Http, Parameters, Response
from failsoft.parsing import JSONObject
from failsoft.settings import Timing

NO_ASSIGNMENT = {"Sforce-Auto-Assign": "FALSE"}  # else the org's rules take the owner away
REFUSED_TOKEN = 401  # it was not executed, so that it may be sent with a new token
LOGINS = 2  # that one call is worth
USAGE = "sforce-limit-info"  # a header: api-usage=18/15000


class Session:
    """Calls to one organisation's REST API; `usage` is what the last answer said of its limit."""

    def __init__(
        self,
        instance_url: str,
        login: Login,
        *,
        version: str,
        timing: Timing,
        clock: Clock | None = None,
    ) -> None:
        """Raise ConfigurationError when `instance_url` is no address."""
        self.login = login
        self.usage = ""
        self._http = Http(instance_url, timing=timing)
        self._api = f"services/data/v{version}/"
        self._timing = timing
        self.clock = clock or Clock()

    async def close(self) -> None:
        await self._http.close()
        await self.login.close()

    async def attempt(
        self, method: str, path: str, body: JSONObject, *, within: float
    ) -> Response | NotSent | Unknown | Failed:
        """Write once; a login that fails means that nothing was sent."""
        ends = self.clock.monotonic() + within
        token: SecretStr | None = None
        sent: Response | NotSent | Unknown | Failed
        for _ in range(LOGINS):
            try:
                async with asyncio.timeout(ends - self.clock.monotonic()):
                    token = await self.login.token(refused=token)
            except TimeoutError:
                return NotSent(reason="Salesforce login: no answer in time")
            except TransientError as error:
                return NotSent(reason=str(error), retry_after=error.retry_after)
            except LoginRefusedError as error:
                return NotSent(reason=str(error))
            left = ends - self.clock.monotonic()
            sent = await attempt(self._call(method, path, token, body, within=left))
            if not isinstance(sent, Response) or sent.status != REFUSED_TOKEN:
                break
        return sent

    async def query(self, soql: str) -> list[JSONObject]:
        """Return the first page of what a query finds; raises as `describe` does."""
        found, _ = await self.page(soql)
        return found

    async def page(self, soql: str) -> tuple[list[JSONObject], bool]:
        """Return the first page of what a query finds, and whether that is all."""
        answer = await self.ask("query", params={"q": soql})
        said = self.object(answer, "Salesforce query")
        records = said.get("records")
        if not isinstance(records, list):
            raise TransientError("Salesforce answered a query without `records`")
        found = [record for record in records if isinstance(record, dict)]
        return found, said.get("done") is not False

    async def describe(self, kind: str) -> JSONObject:
        """Return what an object consists of.

        Raises:
            TransientError: it cannot be read now.
            PermanentError: it can never be read.
        """
        answer = await self.ask(f"sobjects/{kind}/describe")
        return self.object(answer, f"Salesforce describe {kind}")

    async def ask(
        self, path: str, *, params: Parameters | None = None, within: float | None = None
    ) -> Response:
        """Read; raises TransientError where there is no answer, RefusedError at the login."""
        within = self._timing.send if within is None else within
        token = await self.login.token()
        answer = await self._call("GET", path, token, None, params=params, within=within)
        if answer.status == REFUSED_TOKEN:
            token = await self.login.token(refused=token)
            answer = await self._call("GET", path, token, None, params=params, within=within)
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        token: SecretStr,
        body: JSONObject | None,
        *,
        params: Parameters | None = None,
        within: float,
    ) -> Response:
        headers = {"Authorization": f"Bearer {token.get_secret_value()}", **NO_ASSIGNMENT}
        response = await self._http.request(
            method, self._api + path, json=body, params=params, headers=headers, within=within
        )
        self.usage = response.headers.get(USAGE, self.usage)
        return response

    def object(self, response: Response, what: str) -> JSONObject:
        """Return what a reading answered; raises as `describe` does."""
        return record_of(response, what, cap=self._timing.retry_cap, now=self.clock.now())

    def sorted(self, sent: Response, what: str) -> Outcome:
        """Say what an answer that is no success means for a write."""
        return outcome_of(sent, what, cap=self._timing.retry_cap, now=self.clock.now())
