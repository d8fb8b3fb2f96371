"""Webhooks out: one signed POST to a receiver that is named in the settings.

Every delivery carries the transaction id, as `Idempotency-Key` and in the signed body, so that a
receiver that keeps it takes each write once. Its answer says only that it was taken.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import override

from failsoft.clock import Clock
from failsoft.connectors.answers import attempt, judge
from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Finding,
    Found,
    NotSent,
    Operation,
    Outcome,
    Unknown,
)
from failsoft.connectors.signature import HEADER, sign
from failsoft.errors import ConfigurationError, MissingSettingError, TransientError
from failsoft.http import Http, Response
from failsoft.parsing import JSONObject
from failsoft.settings import Settings, Timing
from failsoft.settings import Webhook as Target

MAX_ANSWER = 64 * 1024  # bytes; nothing in them is needed
MIN_SECRET = 16  # characters
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Post(Operation["Webhook"]):
    """Post a JSON object: `name` (of a webhook in the settings), `body`."""

    connector = "webhook"
    name = "post"
    consistency = Consistency.IDEMPOTENCY_KEY
    settle_seconds = 0.0

    @override
    def gate_key(self, request: JSONObject) -> str:
        return f"webhook:{request.get('name')}"

    @override
    async def send(
        self, client: "Webhook", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        name, body = request.get("name"), request.get("body")
        if not isinstance(name, str) or not isinstance(body, dict):
            return Failed(reason="A post needs `name` and an object `body`.")
        return await client.send(name, body, transaction_id, within=within)

    @override
    async def find(
        self, client: "Webhook", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return Absent(certain=True)  # the key makes sending it again harmless


class Receiver:
    """One receiver. Its path may be all that guards it, so no error shows it."""

    def __init__(self, name: str, target: Target, timing: Timing) -> None:
        """Raise ConfigurationError when the URL is not the address of a host."""
        variable = f"FAILSOFT_WEBHOOKS__{name.upper()}__URL"
        try:
            url = urlsplit(target.url)
            address = f"{url.scheme}://{url.netloc}"
            self.http = Http(address, timing=timing, max_answer=MAX_ANSWER)
        except ConfigurationError as error:
            raise ConfigurationError(f"{variable}: {error}") from None
        except ValueError:  # urlsplit's: a bracket that is not closed, and the like
            raise ConfigurationError(f"{variable}: it is no address.") from None
        self.name, self.what = name, f"webhook {name}"
        self.path = url.path + (f"?{url.query}" if url.query else "")
        self.in_clear = url.scheme == "http" and url.hostname not in LOOPBACK
        self.secret = SecretStr(target.secret.get_secret_value().strip())  # a file ends a line

    async def post(
        self, raw: bytes, transaction_id: str, *, now: float, within: float
    ) -> Response | NotSent | Unknown | Failed:
        """Sign and post once; any status is an answer. `now` is in seconds since 1970."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": transaction_id,
            HEADER: sign(self.secret, raw, now=now),
        }
        sent = await attempt(
            self.http.request("POST", self.path, content=raw, headers=headers, within=within)
        )
        if isinstance(sent, Response):
            return sent
        shown = sent.reason.replace(f" {self.path}", "") if self.path else sent.reason
        return replace(sent, reason=f"{self.what}: {shown}")

    async def examine(self, *, within: float) -> Finding:
        """Ask its host for anything but the hook: to call the hook would be a delivery."""
        host, mend = self.http.host, ""
        detail = f"{host} answers; that it takes our signature shows only with the first delivery"
        if self.in_clear:
            mend = "use https: what is posted can be read on its way"
        elif len(self.secret.get_secret_value()) < MIN_SECRET:
            mend = f"use a secret of at least {MIN_SECRET} characters: a short one can be guessed"
        try:
            await self.http.request("HEAD", "/", within=within)
        except TransientError as error:
            detail, mend = f"{host} does not answer", str(error)
        return Finding(name=self.name, detail=detail, mend=mend)


class Webhook:
    """The client: every receiver in the settings."""

    post: ClassVar[Post] = Post()

    def __init__(
        self, targets: Mapping[str, Target], *, timing: Timing, clock: Clock | None = None
    ) -> None:
        """Raise ConfigurationError when a URL is not the address of a host."""
        self._receivers = {name: Receiver(name, target, timing) for name, target in targets.items()}
        self._timing = timing
        self._clock = clock or Clock()

    def __repr__(self) -> str:
        return f"Webhook({[*self._receivers]!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Raise MissingSettingError when there is no receiver, ConfigurationError for its URL."""
        if not settings.webhooks:
            raise MissingSettingError(
                "FAILSOFT_WEBHOOKS__NAME__URL", "where posts to the webhook NAME go"
            )
        return cls(settings.webhooks, timing=settings.timing)

    async def close(self) -> None:
        for receiver in self._receivers.values():
            await receiver.http.close()

    async def examine(self) -> list[Finding]:
        """Ask each receiver's host; nothing is posted, so nothing else can be known."""
        within = self._timing.send
        return [await receiver.examine(within=within) for receiver in self._receivers.values()]

    async def send(self, name: str, body: JSONObject, key: str, *, within: float) -> Outcome:
        """Post `body` to the receiver `name`, once, with `key` as its transaction id."""
        receiver = self._receivers.get(name)
        if receiver is None:
            known = ", ".join(self._receivers)
            return Failed(reason=f"There is no webhook {name!r} in the settings, only {known}.")
        raw = json.dumps({**body, "transaction_id": key}).encode()
        now = self._clock.now()
        sent = await receiver.post(raw, key, now=now, within=within)
        if not isinstance(sent, Response):
            return sent
        if 200 <= sent.status < 300:
            return Done(external_id=key, response={"webhook": name, "status": sent.status})
        if sent.status == 409:  # an earlier delivery under the same key may still be at work
            return Unknown(reason=f"{receiver.what}: status 409")
        return judge(sent, receiver.what, "", now=now)
