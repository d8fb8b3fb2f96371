"""What every endpoint is and how it says no: one sentence as JSON, with nothing of ours in it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Endpoint = Callable[[Request], Awaitable[Response]]


def refused(status: int, why: str) -> Response:
    """Return a refusal; 503 asks for the same again a little later."""
    headers = {"Retry-After": "5"} if status == 503 else None
    return JSONResponse({"error": why}, status_code=status, headers=headers)
