"""Socket Mode: a WebSocket for each connection, envelopes that come again until acknowledged."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import WSMsgType, web

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, parse_object
from failsoft.sandbox.call import Call
from failsoft.sandbox.messages import APP
from failsoft.sandbox.slack_arguments import Arguments

PATH = "/slack/socket"
INTERACTIVE = "interactive"


@dataclass(eq=False)
class Connection:
    """One open WebSocket."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(kw_only=True, slots=True)
class Envelope:
    """One thing on its way to the app."""

    kind: str
    payload: JSONObject
    envelope_id: str = field(default_factory=lambda: str(uuid4()))
    attempts: list[JSONObject] = field(default_factory=list)
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    answer: JSON = None  # what the acknowledgement carried

    def as_wire(self, reason: str) -> JSONObject:
        wire: JSONObject = {
            "type": self.kind,
            "envelope_id": self.envelope_id,
            "payload": self.payload,
            "accepts_response_payload": self.kind == INTERACTIVE,
        }
        if self.kind != INTERACTIVE:
            wire |= {"retry_attempt": len(self.attempts), "retry_reason": reason}
        return wire

    def as_json(self) -> JSONObject:
        return {
            "envelope_id": self.envelope_id,
            "type": self.kind,
            "delivered": self.acked.is_set(),
            "attempts": [*self.attempts],
            "answer": self.answer,
        }


class SocketStore:
    """The connections of the app and all envelopes."""

    def __init__(self) -> None:
        self.tickets: set[str] = set()
        self.connections: list[Connection] = []
        self.envelopes: list[Envelope] = []
        self._opened = asyncio.Condition()
        self._closing: set[asyncio.Task[bool]] = set()

    async def deliver(
        self, kind: str, payload: JSONObject, *, seconds: float, repeats: int, patience: float
    ) -> Envelope:
        """Send an envelope until it is acknowledged, each time to the newest connection.

        It is sent again when no acknowledgement comes within `seconds` or its connection ends.
        With nobody connected it waits, at most `patience`.
        """
        envelope, reason = Envelope(kind=kind, payload=payload), ""
        self.envelopes.append(envelope)
        while len(envelope.attempts) <= repeats and not envelope.acked.is_set():
            connection = await self._connection(patience)
            if connection is None:
                break
            reason = await self._send(envelope, connection, seconds, reason)
            envelope.attempts.append({"acked": not reason, "reason": reason or None})
        return envelope

    async def _send(
        self, envelope: Envelope, connection: Connection, seconds: float, reason: str
    ) -> str:
        """Send once; return why it was not acknowledged, nothing when it was."""
        with contextlib.suppress(ConnectionError):
            await connection.socket.send_json(envelope.as_wire(reason))
        waits = [asyncio.create_task(each.wait()) for each in (envelope.acked, connection.gone)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if envelope.acked.is_set():
            return ""
        return "connection_failed" if connection.gone.is_set() else "timeout"

    async def _connection(self, patience: float) -> Connection | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience), self._opened:
                await self._opened.wait_for(lambda: bool(self.connections))
        return self.connections[-1] if self.connections else None

    async def serve(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        """Serve one connection to its end."""
        connection = Connection(socket, request.transport)
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self.connections) + 1,
                "connection_info": {"app_id": APP},
                "debug_info": {"host": "sandbox", "approximate_connection_time": 18060},
            }
        )
        async with self._opened:
            self.connections.append(connection)
            self._opened.notify_all()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledged(message.data)
        finally:
            self.connections.remove(connection)
            connection.gone.set()

    async def disconnect(self, reason: str, *, abrupt: bool) -> int:
        """End all connections: after Slack's word for it, or as a network does."""
        ended = list(self.connections)
        for connection in ended:
            if not abrupt:
                await connection.socket.send_json({"type": "disconnect", "reason": reason})
            elif connection.transport is not None:
                connection.transport.abort()
        return len(ended)

    def close(self) -> None:
        """Leave nobody connected to a world that has ended."""
        for connection in self.connections:
            task = asyncio.create_task(connection.socket.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def as_json(self) -> JSONObject:
        return {
            "connections": len(self.connections),
            "envelopes": [envelope.as_json() for envelope in self.envelopes],
        }

    def _acknowledged(self, text: str) -> None:
        try:
            said = parse_object(text)
        except InvalidDataError:
            return
        for envelope in self.envelopes:
            if envelope.envelope_id == said.get("envelope_id") and not envelope.acked.is_set():
                envelope.answer = said.get("payload")
                envelope.acked.set()


def open_connection(call: Call, _given: Arguments) -> JSONObject:
    """Give out the address of a WebSocket, good for one connection."""
    ticket = uuid4().hex
    call.world.sockets.tickets.add(ticket)
    return {"url": f"{call.origin.replace('http', 'ws', 1)}{PATH}?ticket={ticket}"}
