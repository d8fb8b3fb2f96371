"""The door that mail is sent to: an SMTP server, which says 250 after the mail is durable."""

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from typing_extensions import override

from failsoft.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingSettingError,
    UnavailableError,
)
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.mail import MailRules, read_mail
from failsoft.settings import Settings

if TYPE_CHECKING:  # aiosmtpd comes with an extra
    from failsoft.intake.smtp_conversation import Desk

logger = logging.getLogger(__name__)

TAKEN = "250 2.0.0 The mail is stored"
TRY_AGAIN = "451 4.3.0 The mail could not be stored, try again"
LOOK_SECONDS = 0.05  # between two looks at what is still in hand


class SmtpDoor(Door):
    """A server at `host` and `port`; port 0 takes a free one, which `port` names afterwards.

    `recipients` are the addresses that it takes mail for; with none it takes mail for any, and
    listens on a loopback address only. `patience` is in seconds: how long a mail may take to become
    durable, and how long a stop waits for the mails in hand.
    """

    def __init__(
        self, host: str, port: int, rules: MailRules, *, recipients: list[str], patience: float
    ) -> None:
        """Check the binding; nothing is opened.

        Raises:
            MissingSettingError: anybody could reach it, and it would take mail for any address.
            MissingExtraError: aiosmtpd is not installed.
        """
        if not recipients and not _is_loopback(host):
            purpose = f"the addresses that the SMTP door on {host} takes mail for, with commas"
            raise MissingSettingError("FAILSOFT_MAIL_RECIPIENTS", purpose)
        try:
            # Only here: it comes with an extra.
            from failsoft.intake.smtp_conversation import Desk  # noqa: PLC0415
        except ImportError:
            raise MissingExtraError("email", "The SMTP door") from None
        self.name = f"smtp:{host}:{port}"
        self.host = host
        self.port = port
        self.rules = rules
        self.recipients = frozenset(address.lower() for address in recipients) or None
        self.patience = patience
        self._desk = Desk

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Set up the door that `smtp:HOST:PORT` names.

        Raises:
            ConfigurationError: the spec cannot be read, or the door would stand open to everybody.
            MissingExtraError: aiosmtpd is not installed.
        """
        host, port = _address(spec)
        return cls(
            host,
            port,
            MailRules.of(settings),
            recipients=settings.mail_recipients,
            patience=settings.timing.send,
        )

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set; then end the mails in hand and send everybody away."""

        async def take(content: bytes) -> str:
            return await self.take(content, reception)

        desk = self._desk(take=take, recipients=self.recipients, stopping=stopping)
        server = await self._listen(desk)
        try:
            await stopping.wait()
            server.close()
            await self._drain(desk)
        finally:
            server.close()
            for conversation in list(desk.open):
                conversation.abort()
            await asyncio.gather(*desk.ending, return_exceptions=True)
            await server.wait_closed()

    async def take(self, content: bytes, reception: Reception) -> str:
        """Make a mail durable and return the reply: 250 when it is, 451 when nobody can know.

        What cannot be read is listed, and so is taken too: nothing is ever sent back.
        """
        try:
            async with asyncio.timeout(self.patience):
                event = await asyncio.to_thread(read_mail, content, self.rules)
                await reception.admit(event)
        except (UnavailableError, TimeoutError) as error:
            logger.warning("a mail is put off: %s", str(error) or "storing it takes too long")
            return TRY_AGAIN
        return TAKEN

    async def _listen(self, desk: "Desk") -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(desk.answer, self.host, self.port)
        except socket.gaierror as error:
            raise ConfigurationError(f"{self.name}: {error.strerror}.") from None
        except OSError as error:
            said = f"{self.name} cannot be opened: {os.strerror(error.errno or 0)}"
            if error.errno == errno.EADDRINUSE:  # by our own predecessor, more often than not
                raise UnavailableError(said) from None
            raise ConfigurationError(said) from None
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _drain(self, desk: "Desk") -> None:
        """Let the mails in hand become durable and be answered, as long as patience lasts."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.patience
        while desk.open and loop.time() < until:
            for conversation in list(desk.open):
                if conversation.idle:
                    conversation.dismiss()
            await asyncio.sleep(LOOK_SECONDS)


def _address(spec: str) -> tuple[str, int]:
    try:
        parts = urlsplit("//" + spec.removeprefix("smtp:"))
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise ConfigurationError(f"{spec!r} is no address: write smtp:HOST:PORT.")
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
