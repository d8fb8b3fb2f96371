"""The simulated outside world: a separate program with real wire formats and seeded faults.

One port stands in for Slack (`/slack/api/`), Jira (`/jira`, `/jira-dc`), webhooks and PagerDuty
(`/hooks`) and an OpenAI-compatible model (`/v1`), another one for a mail server; `/_sim` sets
faults and tells what the outside world really did.
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

    When it takes calls it writes one line `{"url": …, "pid": …, "smtp": port}` to standard output.
    `lag` is how many seconds Jira's search index stays behind.

    Raises:
        UsageError: `host` is not a loopback address.
        UnavailableError: the port is taken.
        MissingExtraError: aiohttp or aiosmtpd is not installed.
    """
    try:
        from failsoft.sandbox.app import run  # noqa: PLC0415 - they come with an extra
    except ModuleNotFoundError as error:
        if error.name not in {"aiohttp", "aiosmtpd"}:
            raise
        raise MissingExtraError("sandbox", "The sandbox") from None
    asyncio.run(run(host, port, seed=seed, lag=lag, until=until))
