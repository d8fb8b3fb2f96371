"""A bound on the wait for Postgres that holds even when the network swallows everything."""

import asyncio
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import DictRow


class Watch:
    """Cuts a connection whose use takes longer than `seconds`; `cut` says that it did.

    Whoever waits gets an error at once, and the pool throws the connection away. Cancelling the
    statement instead would ask the server, which is just what does not answer.
    """

    def __init__(self, connection: AsyncConnection[DictRow], seconds: float) -> None:
        self.connection = connection
        self.seconds = seconds
        self.cut = False

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self.seconds), self._cut)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        """Shut the socket, but leave it to its owner to close: the loop still watches it."""
        self.cut = True
        with (
            suppress(OSError, OperationalError),  # it is broken already
            socket.fromfd(self.connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as own,
        ):
            own.shutdown(socket.SHUT_RDWR)
