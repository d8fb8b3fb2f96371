"""One WebSocket to Slack, through slack_sdk's client. The one module that imports that."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from typing_extensions import override

from failsoft.errors import TransientError, UnavailableError
from failsoft.parsing import JSONObject

# What the library says may quote the address of a socket, which holds a ticket.
SILENT = logging.getLogger("failsoft.intake.slack_connection.library")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
CLOSED = "Slack's socket closed before the acknowledgement"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Listener = Callable[[str, JSONObject], Awaitable[None]]


class Connection(SocketModeClient):
    """A connection that is used once: the door opens the next one, and so sees when it cannot."""

    def __init__(self, url: str, listener: Listener) -> None:
        super().__init__(app_token="", logger=SILENT, auto_reconnect_enabled=False)
        self.wss_uri = url
        if urlsplit(url).hostname in LOOPBACK:
            self.proxy = None  # no proxy of the environment can reach it
        self._listener = listener
        self.message_listeners.append(self._received)

    async def open(self, seconds: float) -> None:
        """Connect.

        Raises:
            UnavailableError: Slack does not take the connection in time.
        """
        try:
            await asyncio.wait_for(self.connect(), seconds)  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise UnavailableError(f"Slack's socket does not open within {seconds:g} s") from None

    async def acknowledge(self, envelope_id: str, body: JSONObject) -> None:
        """Tell Slack that an envelope is taken.

        Raises:
            TransientError: the connection has ended: the envelope comes again.
        """
        answer = {"envelope_id": envelope_id} | ({"payload": body} if body else {})
        session = self.current_session
        if session is None or session.closed:
            raise TransientError(CLOSED)
        try:
            await session.send_str(json.dumps(answer))
        except (ConnectionError, RuntimeError):
            raise TransientError(CLOSED) from None

    async def end(self) -> None:
        """Close it, and wait until nothing of it runs any more."""
        running = (self.message_processor, self.current_session_monitor, self.message_receiver)
        await self.close()  # type: ignore[no-untyped-call]
        tasks = [task for task in running if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    @override
    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        """End this connection, as Slack asks from time to time."""
        await self.disconnect()  # type: ignore[no-untyped-call]

    async def _received(self, _client: object, message: dict[str, Any], _raw: str | None) -> None:
        envelope_id = message.get("envelope_id")
        if isinstance(envelope_id, str):
            await self._listener(envelope_id, message)
