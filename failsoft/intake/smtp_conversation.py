"""One sender's connection to the SMTP door: aiosmtpd's, with our limits, and DATA read our way."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override

logger = logging.getLogger(__name__)

MAX_BYTES = 40 * 1024 * 1024  # of a mail
MAX_RECIPIENTS = 100  # of a mail, as RFC 5321 asks for at least
MAX_CONVERSATIONS = 32
# How often one connection may say each command.
MAX_CALLS = {"MAIL": 1000, "RCPT": 10_000, "DATA": 1000, "RSET": 1000, "*": 100}
COMMAND_SECONDS = 300.0  # for each command, DATA with all its mail included
LONE_DOT = b".\r\n"
NOBODY = "<>"  # the sender of a bounce, as aiosmtpd writes it
CLOSING = "421 4.3.2 This service is closing, try again"


@dataclass(kw_only=True)
class Desk:
    """What all conversations share.

    `take` makes a mail durable and returns the reply; `recipients` are lower-case, None for anyone.
    """

    take: Callable[[bytes], Awaitable[str]]
    recipients: frozenset[str] | None
    stopping: asyncio.Event
    open: "set[Conversation]" = field(default_factory=set)
    ending: set[asyncio.Task[None]] = field(default_factory=set)  # until nothing is done any more

    def answer(self) -> asyncio.Protocol:
        """Make the counterpart of a sender that has just connected."""
        if self.stopping.is_set() or len(self.open) >= MAX_CONVERSATIONS:
            return Refusal()
        return Conversation(self)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.stopping.is_set():
            return CLOSING
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        if self.recipients is not None and address.lower() not in self.recipients:
            return "550 5.7.1 This address takes no mail here"
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        logger.error("a mail was not taken: %s", type(error).__name__, exc_info=error)
        return "451 4.3.0 The mail was not taken, try again"


class Refusal(asyncio.Protocol):
    """Tell a sender that connects to come again later."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(CLOSING.encode() + b"\r\n")
        transport.close()


class Conversation(SMTP):
    """A connection; it counts as open until it is lost."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(
            desk,
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=socket.gethostname(),
            ident="failsoft",
            timeout=COMMAND_SECONDS,
            command_call_limit=MAX_CALLS,
            loop=asyncio.get_running_loop(),
        )
        self.desk = desk

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.desk.open.add(self)
        super().connection_made(transport)
        if self._handler_coroutine is not None:
            self.desk.ending.add(self._handler_coroutine)
            self._handler_coroutine.add_done_callback(self.desk.ending.discard)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self.desk.open.discard(self)
        super().connection_lost(error)

    @property
    def idle(self) -> bool:
        """Whether no mail is in hand."""
        return self.envelope is None or self.envelope.mail_from is None

    def dismiss(self) -> None:
        """Send the sender away; what was written before still goes out."""
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(CLOSING.encode() + b"\r\n")
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection: without a reply the sender repeats the mail in hand."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    @override
    async def smtp_DATA(self, arg: str) -> None:
        """Take a mail; the reply comes after it is durable."""
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 RCPT comes first")
        elif arg:
            await self.push("501 5.5.4 DATA takes no argument")
        else:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            content = await self._content()
            reply = "552 5.3.4 The mail is too large"
            if content is not None:
                # What the last server on a mail's way notes: a bounce is known by it.
                path = b"Return-Path: <>\r\n" if self.envelope.mail_from == NOBODY else b""
                reply = await self.desk.take(path + content)
            self.envelope = self._create_envelope()
            await self.push(reply)

    async def _content(self) -> bytes | None:
        """Read a mail up to its lone dot; None when it is too large.

        In one buffer: aiosmtpd keeps an object for each line, which makes forty megabytes of empty
        lines more than a gigabyte. Only CR LF ends a line, so that nobody can smuggle in a second
        mail. A line may be of any length: it comes in pieces.
        """
        content, fits = bytearray(), True
        while content != LONE_DOT and not content.endswith(b"\r\n" + LONE_DOT):
            if len(content) > MAX_BYTES + len(LONE_DOT):
                fits = False
                del content[:-4]  # what may be the beginning of the end
            try:
                content += await self._reader.readuntil(LONE_DOT)
            except asyncio.LimitOverrunError as overrun:
                content += await self._reader.read(overrun.consumed)
        del content[-len(LONE_DOT) :]
        if not fits or len(content) > MAX_BYTES:
            return None
        if content.startswith(b"."):
            del content[:1]
        return bytes(content.replace(b"\r\n..", b"\r\n."))
