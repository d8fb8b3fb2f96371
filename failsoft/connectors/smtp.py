"""One mail to one server by SMTP: what each reply, and each missing reply, means for the mail.

Until DATA nothing has left that a server could deliver; what is answered tells; what is not
answered afterwards may have been delivered. aiosmtplib comes with the extra `email`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from ssl import SSLError
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPResponseException,
)
from pydantic import SecretStr

from failsoft.connectors.answers import MAX_REASON
from failsoft.connectors.contract import Failed, NotSent, Outcome, Unknown
from failsoft.errors import RefusedError, TransientError
from failsoft.settings import Timing

GOODBYE = 1.0  # seconds that a server gets to say it

Security = Literal["starttls", "tls", "none"]


class Stage(Enum):
    """How far a mail has come."""

    KNOCKING = auto()  # nothing has left that could be delivered
    HANDING_OVER = auto()
    TAKEN = auto()


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where mail is handed over; `own_name` is how we introduce ourselves."""

    host: str
    port: int
    security: Security
    user: str | None
    password: SecretStr | None
    own_name: str
    timing: Timing

    async def deliver(
        self, sender: str, recipient: str, raw: bytes, *, within: float
    ) -> Outcome | None:
        """Hand one mail over, once; None says that the server has taken it."""
        stage = Stage.KNOCKING
        try:
            async with asyncio.timeout(within), self.session() as smtp:
                await smtp.mail(sender)
                await smtp.rcpt(recipient)
                stage = Stage.HANDING_OVER
                await smtp.data(raw)
                stage = Stage.TAKEN
        except (SMTPException, SSLError, OSError, TimeoutError) as error:
            return self._judge(error, stage)
        return None

    async def greet(self) -> None:
        """Connect, log in and do nothing.

        Raises:
            RefusedError: the server does not want us, or not as we are set up.
            TransientError: it cannot be asked now.
        """
        try:
            async with asyncio.timeout(self.timing.send), self.session() as smtp:
                await smtp.noop()
        except SMTPResponseException as error:
            kind = RefusedError if 500 <= error.code < 600 else TransientError
            raise kind(f"{self._what}: {_said(error)}"[:MAX_REASON]) from None
        except SMTPNotSupported as error:
            raise RefusedError(f"{self._what}: {_said(error)}"[:MAX_REASON]) from None
        except (SMTPException, SSLError, OSError, TimeoutError) as error:
            raise TransientError(f"{self._what}: {_said(error)}"[:MAX_REASON]) from None

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[SMTP]:
        """Connect, encrypt and log in; how the goodbye goes changes nothing."""
        password = self.password.get_secret_value() if self.password else None
        smtp = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=password,
            local_hostname=self.own_name,
            timeout=self.timing.read,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
        )
        await smtp.connect(timeout=self.timing.connect)
        try:
            yield smtp
            with contextlib.suppress(SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=GOODBYE)
        finally:
            smtp.close()

    @property
    def _what(self) -> str:
        return f"SMTP {self.host}:{self.port}"

    def _judge(self, error: Exception, stage: Stage) -> Outcome | None:
        """Sort what went wrong; what is no proper refusal proves nothing once the mail has left."""
        if stage is Stage.TAKEN:
            return None
        reason = f"{self._what}: {_said(error)}"[:MAX_REASON]
        code = error.code if isinstance(error, SMTPResponseException) else 0
        if 500 <= code < 600 or isinstance(error, SMTPNotSupported):
            return Failed(reason=reason)
        if 400 <= code < 500 or stage is Stage.KNOCKING:
            return NotSent(reason=reason)
        return Unknown(reason=reason)


def _said(error: BaseException) -> str:
    """Return the server's own words on one line, or the name of what happened."""
    if isinstance(error, SMTPResponseException):
        named = " (the recipient)" if isinstance(error, SMTPRecipientRefused) else ""
        return f"{error.code} {' '.join(error.message.split())}{named}"
    text = " ".join(str(error).split())
    return f"{type(error).__name__} {text}".strip()
