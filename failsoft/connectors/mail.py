"""Mail out: one mail to one recipient by SMTP.

SMTP keeps no key and lets nobody look, so a mail of which nobody knows whether it went out is
never sent again: a person is asked. Its Message-ID follows from the transaction id.
"""

from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar, Self

from typing_extensions import override

from failsoft.clock import Clock
from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Finding,
    Found,
    Operation,
    Outcome,
)
from failsoft.connectors.mail_message import Sender, message_of, recipient_of
from failsoft.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingSettingError,
    RefusedError,
)
from failsoft.parsing import JSONObject
from failsoft.settings import Settings

if TYPE_CHECKING:  # aiosmtplib comes with an extra
    from failsoft.connectors.smtp import Server


class Send(Operation["Mail"]):
    """Send a mail: `to` (one address), `subject`, `text`.

    It may have `in_reply_to` (a Message-ID) and `kind`: `auto-generated`, or `auto-replied` for
    the answer to a mail.
    """

    connector = "mail"
    name = "send"
    consistency = Consistency.NONE
    settle_seconds = 0.0

    @override
    async def send(
        self, client: "Mail", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        return await client.deliver(request, transaction_id, within=within)

    @override
    async def find(
        self, client: "Mail", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return Absent(certain=False)  # nobody can look


class Mail:
    """The client: one server, one sender."""

    send: ClassVar[Send] = Send()

    def __init__(self, server: "Server", sender: Sender, clock: Clock | None = None) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock or Clock()

    def __repr__(self) -> str:
        return f"Mail({self._server.host!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it; nothing is sent.

        Raises:
            MissingSettingError: the server or the sender is not set.
            ConfigurationError: a password would leave this machine in clear.
            MissingExtraError: aiosmtplib is not installed.
        """
        host, mail_from = settings.smtp_host, settings.mail_from
        if not host:
            raise MissingSettingError("FAILSOFT_SMTP_HOST", "the server that takes our mail")
        if not mail_from:
            raise MissingSettingError("FAILSOFT_MAIL_FROM", "whom our own mail comes from")
        if settings.smtp_password and settings.smtp_security == "none" and not _is_loopback(host):
            raise ConfigurationError(
                "FAILSOFT_SMTP_SECURITY is none: FAILSOFT_SMTP_PASSWORD would be sent in clear."
            )
        try:
            # Only here: it comes with an extra.
            from failsoft.connectors.smtp import Server  # noqa: PLC0415
        except ModuleNotFoundError:
            raise MissingExtraError("email", "Mail by SMTP") from None
        sender = Sender.of(mail_from)
        server = Server(
            host=host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.smtp_password,
            own_name=sender.domain,
            timing=settings.timing,
        )
        return cls(server, sender)

    async def close(self) -> None:
        """Do nothing: each mail has a connection of its own."""

    async def examine(self) -> list[Finding]:
        """Connect, encrypt, log in; raises as `Server.greet` does."""
        await self._server.greet()
        host, security = f"{self._server.host}:{self._server.port}", self._server.security
        how = f"as {self._server.user}" if self._server.user else "without a login"
        return [
            Finding(name="server", detail=f"{host} takes us, {how}; encryption: {security}"),
            Finding(name="sender", detail=self._sender.address),
        ]

    async def deliver(self, request: JSONObject, transaction_id: str, *, within: float) -> Outcome:
        """Send the mail of a request, once."""
        try:
            message = message_of(request, transaction_id, self._sender, now=self._clock.now())
            to = recipient_of(request)
        except RefusedError as error:
            return Failed(reason=str(error))
        raw = message.as_bytes()
        outcome = await self._server.deliver(self._sender.address, to, raw, within=within)
        if outcome is not None:
            return outcome
        message_id = str(message["Message-ID"])
        return Done(external_id=message_id, response={"message_id": message_id, "to": to})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
