"""The simulated outside world: a separate program with real wire formats and seeded faults.

One port stands in for Slack (`/slack/api/`), Jira Cloud (`/jira`) and an OpenAI-compatible model
(`/v1`); `/_sim` sets faults and tells what the outside world really did.
"""

import asyncio
from enum import StrEnum

from failsoft.errors import MissingExtraError


class Until(StrEnum):
    """What ends the sandbox."""

    SIGNAL = "signal"  # SIGTERM or SIGINT
    PARENT = "parent"  # a signal, or its standard input is closed: a killed parent leaves no orphan


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    seed: int = 0,
    lag: float = 0.0,
    until: Until = Until.SIGNAL,
) -> None:
    """Run the sandbox in this process until it is told to end; port 0 takes a free one.

    When it takes calls it writes one line `{"url": …, "pid": …}` to standard output. `lag` is how
    many seconds Jira's search index stays behind.

    Raises:
        UsageError: `host` is not a loopback address.
        UnavailableError: the port is taken.
        MissingExtraError: aiohttp is not installed.
    """
    try:
        from failsoft.sandbox.app import run  # noqa: PLC0415 - aiohttp comes with an extra
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        raise MissingExtraError("sandbox", "The sandbox") from None
    asyncio.run(run(host, port, seed=seed, lag=lag, until=until))
