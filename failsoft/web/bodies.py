"""The body of a request, read no further than its limit, and no longer."""

import asyncio

from starlette.requests import Request

from failsoft.errors import UsageError

SECONDS = 60.0  # that a body may take: who sends a byte a minute would hold a place for ever


class TooSlowError(UsageError):
    """A body did not come in time: answer it with 408."""

    def __str__(self) -> str:
        return f"The body took longer than {SECONDS:g} s."


class TooLargeError(UsageError):
    """A body is larger than its door takes: answer it with 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"The body is larger than {self.limit} bytes."


async def body_of(request: Request, limit: int) -> bytes:
    """Return the raw bytes, at most `limit` of them.

    Raises:
        TooLargeError: there are more; what was announced as too large is not read at all.
        TooSlowError: they did not come in time.
        ClientDisconnect: whoever sent it hung up in the middle.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLargeError(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise TooLargeError(limit)
    except TimeoutError:
        raise TooSlowError from None
    return bytes(body)
