"""The one module that speaks HTTP: one host, one attempt, finite time-outs, no redirect followed.

Every failure is sorted here, once, by the only question that matters for a write: was the request
surely not sent, or can nobody know? Proxy and certificate variables of the environment are obeyed
(companies need them), except for loopback, which no proxy can reach.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Self

import httpx2
from pydantic import SecretStr

from failsoft.errors import ConfigurationError, RefusedError, TransientError
from failsoft.parsing import JSON, JSONObject, parse_json, parse_object
from failsoft.settings import Timing

MAX_ANSWER = 8 * 1024 * 1024  # bytes
MAX_RETRY_AFTER = 24 * 3600.0  # seconds

# Raised before the first byte of a request can have left. Names, because the providers' SDKs use
# httpx and httpx2, whose classes of one name mean the same.
NOT_SENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "LocalProtocolError",
        "UnsupportedProtocol",
        "InvalidURL",
        "CookieConflict",
    }
)

Parameters = Mapping[str, str | int | bool]


class NotSentError(TransientError):
    """The request surely did not leave: the same call may be made again."""


class OutcomeUnknownError(TransientError):
    """The request may have been executed: look before making the same call again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One answer, read to its end; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> JSON:
        """Read the body.

        Raises:
            InvalidDataError: it is no JSON within the limits of `failsoft.parsing`.
        """
        return parse_json(self.body, max_bytes=MAX_ANSWER)

    def object(self) -> JSONObject:
        """Read the body, which must be one JSON object; raises InvalidDataError too."""
        return parse_object(self.body, max_bytes=MAX_ANSWER)

    def retry_after(self, now: float) -> float:
        return retry_after(self.headers, now)


class Http:
    """Calls to one host, with the headers that prove who we are."""

    def __init__(
        self,
        base_url: str,
        *,
        timing: Timing,
        headers: Mapping[str, SecretStr] | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        """Raise ConfigurationError when `base_url` is not the plain address of a host."""
        self.host = _address(base_url).host
        self._max_answer = max_answer
        self._secrets = dict(headers or {})
        self._client = async_client(base_url, connect=timing.connect, read=timing.read)

    def __repr__(self) -> str:
        return f"Http({self.host!r})"

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: JSON = None,
        form: Parameters | None = None,
        content: bytes | None = None,
        params: Parameters | None = None,
        headers: Mapping[str, str] | None = None,
        within: float,
    ) -> Response:
        """Make one attempt, and give up after `within` seconds in all.

        Any status is an answer, a redirect too. `content` are bytes that are sent as they are.

        Raises:
            NotSentError: it surely did not leave.
            OutcomeUnknownError: it may have been executed.
            RefusedError: the address is not on the one allowed host.
        """
        what = f"{method} {self.host} {path}"
        if within <= 0:
            raise NotSentError(f"{what}: no time was left to send it")
        secrets = {name: value.get_secret_value() for name, value in self._secrets.items()}
        try:
            request = self._client.build_request(
                method, path, json=json, data=form, content=content, params=params,
                headers={**secrets, **(headers or {})},
            )  # fmt: skip
            async with asyncio.timeout(within):
                return await self._exchange(request)
        except TransientError:
            raise
        except TimeoutError:
            raise OutcomeUnknownError(f"{what}: no answer within {within:g} s") from None
        except (httpx2.HTTPError, httpx2.StreamError, *_OUTSIDE, OSError) as error:
            raise _sort(error, what) from None

    async def _exchange(self, request: httpx2.Request) -> Response:
        answer = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer:
                    raise OutcomeUnknownError(
                        f"{request.method} {self.host}: the answer is longer than"
                        f" {self._max_answer} bytes"
                    )
        finally:
            await answer.aclose()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(status=answer.status_code, headers=headers, body=bytes(body))

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def async_client(base_url: str, *, connect: float, read: float) -> httpx2.AsyncClient:
    """Return a client for an SDK that brings its own calls: it reaches `base_url`'s host only.

    `connect` and `read` are in seconds. The caller closes it.
    """
    allowed = _address(base_url)

    async def guard(request: httpx2.Request) -> None:
        target = request.url
        if (target.scheme, target.host, target.port) != (
            allowed.scheme,
            allowed.host,
            allowed.port,
        ):
            raise RefusedError(f"{target.host} is not the host that may be called: {allowed.host}")

    return httpx2.AsyncClient(
        base_url=allowed,
        timeout=httpx2.Timeout(read, connect=connect, pool=connect),
        follow_redirects=False,
        trust_env=not _is_loopback(allowed.host),
        event_hooks={"request": [guard]},
        headers={"User-Agent": "failsoft", "Accept-Encoding": "identity"},  # no zip bombs
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # each call stands alone
    )


def was_not_sent(error: BaseException) -> bool:
    """Say whether an exception of httpx or httpx2 proves that nothing left."""
    return any(
        kind.__name__ in NOT_SENT and kind.__module__.partition(".")[0] in {"httpx", "httpx2"}
        for kind in type(error).__mro__
    )


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds that a Retry-After header asks for (a number or a date), else 0.

    `headers` must find lower-case names; `now` is in seconds since 1970.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, now)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else 0.0


_OUTSIDE = (httpx2.InvalidURL, httpx2.CookieConflict)  # not below HTTPError


def _sort(error: Exception, what: str) -> TransientError:
    """Name the class only: the text of a protocol error can quote a header, and so a secret."""
    if not was_not_sent(error):
        return OutcomeUnknownError(f"{what}: {type(error).__name__}")
    detail = f" ({error})" if isinstance(error, httpx2.ConnectError) else ""
    return NotSentError(f"{what}: {type(error).__name__}{detail}")


def _seconds_until(date: str, now: float) -> float:
    try:
        moment = parsedate_to_datetime(date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0


def _address(base_url: str) -> httpx2.URL:
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        raise ConfigurationError(
            "A base URL cannot be read: https://host/path is needed."
        ) from None
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query:
        raise ConfigurationError("A base URL is http(s)://host/path, without a user or a query.")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
