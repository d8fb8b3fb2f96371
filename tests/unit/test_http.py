"""One host, one attempt, and every failure sorted by whether the request can have left."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from pydantic import SecretStr

from failsoft.errors import ConfigurationError, RefusedError
from failsoft.http import (
    Http,
    NotSentError,
    OutcomeUnknownError,
    async_client,
    retry_after,
    was_not_sent,
)
from failsoft.settings import Timing

TIMING = Timing(connect=1.0, read=0.5)

# True: raised before the first byte of a request can have left.
PROVES_NOT_SENT = {
    "CloseError": False,
    "ConnectError": True,
    "ConnectTimeout": True,
    "CookieConflict": True,
    "DecodingError": False,
    "HTTPError": False,
    "HTTPStatusError": False,
    "InvalidURL": True,
    "LocalProtocolError": True,
    "NetworkError": False,
    "PoolTimeout": True,
    "ProtocolError": False,
    "ProxyError": True,
    "ReadError": False,
    "ReadTimeout": False,
    "RemoteProtocolError": False,
    "RequestError": False,
    "RequestNotRead": False,
    "ResponseNotRead": False,
    "SSEError": False,
    "StreamClosed": False,
    "StreamConsumed": False,
    "StreamError": False,
    "TimeoutException": False,
    "TooManyRedirects": False,
    "TransportError": False,
    "UnsupportedProtocol": True,
    "WriteError": False,
    "WriteTimeout": False,
}

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def exceptions() -> dict[str, type[Exception]]:
    everything = {name: getattr(httpx2, name) for name in dir(httpx2)}
    return {
        name: kind
        for name, kind in everything.items()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    }


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server on loopback that hands the head of each request to `handler`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(await reader.readuntil(b"\r\n\r\n"), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def raw(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_every_exception_of_the_library_is_in_the_table() -> None:
    assert exceptions().keys() == PROVES_NOT_SENT.keys()


@pytest.mark.parametrize(("name", "expected"), PROVES_NOT_SENT.items())
def test_an_exception_proves_that_nothing_left_only_if_the_table_says_so(
    name: str,
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    kind = exceptions()[name]
    assert was_not_sent(kind.__new__(kind)) is expected


async def test_a_refused_connection_was_not_sent() -> None:
    async with serving(lambda *_: asyncio.sleep(0)) as url:
        pass
    async with Http(url, timing=TIMING) as http:
        with pytest.raises(NotSentError, match="ConnectError"):
            await http.request("GET", "x", within=2)


async def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() -> None:
    async def close(_head: bytes, _writer: asyncio.StreamWriter) -> None: ...

    async with serving(close) as url, Http(url, timing=TIMING) as http:
        with pytest.raises(OutcomeUnknownError, match="RemoteProtocolError"):
            await http.request("POST", "x", json={}, within=2)


async def test_an_answer_that_trickles_in_forever_ends_with_the_total_time_out() -> None:
    async def trickle(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(trickle) as url, Http(url, timing=TIMING) as http:
        started = time.monotonic()
        with pytest.raises(OutcomeUnknownError, match=r"within 0\.6 s"):
            await http.request("GET", "x", within=0.6)
        assert time.monotonic() - started < 2


async def test_nothing_is_sent_when_no_time_is_left() -> None:
    seen: list[bytes] = []

    async def note(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        writer.write(raw(b"{}"))

    async with serving(note) as url, Http(url, timing=TIMING) as http:
        with pytest.raises(NotSentError):
            await http.request("POST", "x", json={}, within=0)
    assert not seen


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    seen: list[bytes] = []

    async def redirect(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        writer.write(raw(b"", "302 Found", Location="/elsewhere"))

    async with serving(redirect) as url, Http(url, timing=TIMING) as http:
        answer = await http.request("GET", "x", within=2)
    assert answer.status == 302
    assert len(seen) == 1


async def test_an_answer_over_the_size_cap_is_not_read_to_its_end() -> None:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw(b"x" * 100_000))

    async with serving(answer) as url, Http(url, timing=TIMING, max_answer=1000) as http:
        with pytest.raises(OutcomeUnknownError, match="longer than 1000 bytes"):
            await http.request("GET", "x", within=2)


async def test_the_path_cannot_lead_to_another_host() -> None:
    seen: list[bytes] = []

    async def note(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        writer.write(raw(b"{}"))

    async with serving(note) as other, Http("http://127.0.0.1:9", timing=TIMING) as http:
        with pytest.raises(RefusedError, match=r"127\.0\.0\.1"):
            await http.request("GET", f"{other}/x", within=2)
    assert not seen


async def test_the_client_for_sdks_refuses_another_host_too() -> None:
    async with async_client("http://127.0.0.1:9", connect=1, read=1) as client:
        with pytest.raises(RefusedError):
            await client.get("http://127.0.0.2:9/")


async def test_cookies_are_not_kept_between_calls() -> None:
    seen: list[bytes] = []

    async def bake(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head.lower())
        writer.write(raw(b"{}", Set_Cookie="session=1; Path=/"))

    async with serving(bake) as url, Http(url, timing=TIMING) as http:
        await http.request("GET", "x", within=2)
        await http.request("GET", "x", within=2)
    assert len(seen) == 2
    assert b"cookie:" not in seen[1]


async def test_the_path_is_joined_to_the_path_of_the_base_url() -> None:
    seen: list[bytes] = []

    async def note(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head.split(b"\r\n")[0])
        writer.write(raw(b'{"a": 1}'))

    async with serving(note) as url, Http(f"{url}/ex/jira/", timing=TIMING) as http:
        answer = await http.request("GET", "rest/x", params={"q": "a b"}, within=2)
    assert seen[0] in {
        b"GET /ex/jira/rest/x?q=a+b HTTP/1.1",
        b"GET /ex/jira/rest/x?q=a%20b HTTP/1.1",
    }
    assert answer.object() == {"a": 1}


async def test_a_secret_that_breaks_the_protocol_is_not_quoted() -> None:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw(b"{}"))

    headers = {"Authorization": SecretStr("canary\nvalue")}
    async with serving(answer) as url, Http(url, timing=TIMING, headers=headers) as http:
        with pytest.raises(NotSentError, match="LocalProtocolError") as raised:
            await http.request("GET", "x", within=2)
        assert "canary" not in f"{raised.value!r} {raised.value} {http!r}"


@pytest.mark.parametrize(
    "base_url",
    ["", "example.com", "ftp://example.com", "https://user:canary@example.com", "http://a/?q=1"],
)
def test_a_base_url_is_a_plain_address(base_url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Http(base_url, timing=TIMING)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("-3", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e300", 86_400.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}, now=10.0) == seconds
