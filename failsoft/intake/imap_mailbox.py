"""A folder on an IMAP server, as one thread at a time reads it."""

import ipaddress
import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from imaplib import IMAP4
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from failsoft.errors import ConfigurationError, RefusedError, UnavailableError
from failsoft.parsing import clean_text
from failsoft.settings import Timing

if TYPE_CHECKING:  # it comes with an extra
    from imapclient import IMAPClient  # type: ignore[import-untyped]  # it ships no types

logger = logging.getLogger(__name__)

MAX_BYTES = 40 * 1024 * 1024  # of a mail; one byte more is asked for, which says that it is larger
MAX_TOKEN = 16 * 1024  # bytes
MAX_SAID = 200  # characters of what a server says
SEEN = rb"\Seen"
# RFC 5530, and what Google and Microsoft say besides: the server is in trouble, and it will pass.
PASSING = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[THROTTLED]")
SERVERBUG = "[SERVERBUG]"  # so too of a login; of one mail some servers say it for ever


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Where mail lies and who may read it; `token` (XOAUTH2) goes before `password`.

    A token that somebody renews lies in `token_file`, and is read at each login.
    """

    host: str
    port: int
    tls: bool
    user: str
    folder: str
    password: SecretStr | None
    token: SecretStr | None
    token_file: Path | None = None

    def renewed(self) -> Self:
        """Return the account with the token that lies in its file now.

        Raises:
            ConfigurationError: the file cannot be read, or holds no token.
        """
        if self.token_file is None:
            return self
        try:
            with self.token_file.open("rb") as file:
                token = file.read(MAX_TOKEN).decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not token or not token.isprintable():
            raise ConfigurationError(f"{self.token_file} holds no token in one line.")
        return replace(self, token=SecretStr(token))

    @property
    def secret(self) -> str:
        given = self.token or self.password
        return given.get_secret_value() if given else ""

    @property
    def origin(self) -> str:
        """Where the secret came from."""
        if self.token_file:
            return str(self.token_file)
        return "FAILSOFT_IMAP_OAUTH_TOKEN" if self.token else "FAILSOFT_IMAP_PASSWORD"


class Mailbox:
    """An open folder. Its methods block; UIDs grow within one `uidvalidity`."""

    def __init__(self, client: "IMAPClient", account: Account) -> None:
        self.client = client
        self.account = account
        self.uidvalidity = 0
        self.writable = True

    @classmethod
    def open(cls, account: Account, timing: Timing) -> Self:
        """Connect, log in and select the folder.

        Raises:
            ConfigurationError: no safe connection, no such login, or no such folder.
            UnavailableError: the server is away, or takes the token no more that is being renewed.
        """
        account = account.renewed()
        # Only here: it comes with an extra.
        from imapclient import IMAPClient, SocketTimeout  # noqa: PLC0415

        with _reaching(account):
            timeout = SocketTimeout(timing.connect, timing.read)
            client = IMAPClient(account.host, account.port, ssl=account.tls, timeout=timeout)
        mailbox = cls(client, account)
        try:
            with _reaching(account):
                mailbox._secure()
                mailbox._log_in()
                mailbox._select()
        except BaseException:
            with suppress(OSError):
                client.shutdown()
            raise
        return mailbox

    def uids_after(self, uid: int) -> list[int]:
        """Return the UIDs above `uid`, the oldest mail first."""
        with _reaching(self.account):
            self.client.noop()  # so that the server looks for what is new
            # "5:*" names the last mail even where its UID is below 5.
            found = [int(each) for each in self.client.search(["UID", f"{uid + 1}:*"])]
        return sorted(each for each in found if each > uid)

    def read(self, uid: int) -> bytes | None:
        """Return a mail without marking it, None when it is gone.

        Raises:
            RefusedError: the server does not give out this one.
            UnavailableError: the server is away.
        """
        with _reaching(self.account):
            try:
                answer = self.client.fetch([uid], [f"BODY.PEEK[]<0.{MAX_BYTES + 1}>"])
            except IMAP4.abort:
                raise
            except IMAP4.error as error:
                said = _said(error, self.account)
                if _is_passing(said):
                    raise
                raise RefusedError(said) from None
        parts = answer.get(uid, {})
        raw = [value for name, value in parts.items() if name.startswith(b"BODY[]")]
        if raw and raw[0] is not None:
            return bytes(raw[0])
        if uid in self.uids_after(uid - 1):
            raise RefusedError("it lies there, and its content is left out")
        return None

    def mark_seen(self, uids: Sequence[int]) -> None:
        """Mark mails as read, which tells people only: nothing depends on it."""
        if not self.writable:
            return
        with _reaching(self.account):
            try:
                self.client.add_flags(uids, [SEEN], silent=True)
            except IMAP4.abort:
                raise
            except IMAP4.error as error:
                self.writable = False
                logger.warning("mails are not marked as read: %s", _said(error, self.account))

    def wait(self, seconds: float) -> bool:
        """Wait until the server says that something came; False when it said nothing.

        Only a server that can IDLE, and between `listen` and `listened`, which reads what it said:
        IMAPClient would read without blocking, and break at half a line. A connection that ended
        comes back as True too, and `listened` fails on it.
        """
        with _reaching(self.account), DefaultSelector() as watched:
            connection = self.client.socket()
            if isinstance(connection, ssl.SSLSocket) and connection.pending():
                return True
            watched.register(connection, EVENT_READ)
            return bool(watched.select(seconds))

    def listen(self) -> bool:
        """Begin to IDLE; False when the server cannot."""
        with _reaching(self.account):
            able = bool(self.client.has_capability("IDLE"))
            if able:
                self.client.idle()
            return able

    def listened(self) -> None:
        with _reaching(self.account):
            self.client.idle_done()

    def close(self) -> None:
        try:
            self.client.logout()
        except (OSError, IMAP4.error):  # no answer: the socket would stay open
            with suppress(OSError):
                self.client.shutdown()

    def _secure(self) -> None:
        """Go over to TLS, without which a password goes to this machine only."""
        if self.account.tls or is_loopback(self.account.host):
            return
        if not self.client.has_capability("STARTTLS"):
            raise ConfigurationError(
                f"{self.account.host} offers no encryption at port {self.account.port}: use imaps://"
            )
        self.client.starttls()

    def _log_in(self) -> None:
        account = self.account
        try:
            if account.token:
                secret = f"user={account.user}\1auth=Bearer {account.secret}\1\1".encode()
                # A refusal comes as a challenge, which is answered with nothing.
                self.client.sasl_login("XOAUTH2", lambda said: b"" if said else secret)
            else:
                self.client.login(account.user, account.secret)
        except IMAP4.abort:
            raise
        except IMAP4.error as error:
            said = _said(error, account)
            if account.token_file or _is_passing(said) or SERVERBUG in said.upper():
                raise UnavailableError(
                    f"{account.host} puts off the login with {account.origin}: {said}"
                ) from None
            raise ConfigurationError(
                f"{account.host} refuses the login of {account.user} with {account.origin}: {said}"
            ) from None

    def _select(self) -> None:
        folder = self.account.folder
        try:
            try:
                selected = self.client.select_folder(folder)
            except IMAP4.readonly:
                self.writable = False
                selected = self.client.select_folder(folder, readonly=True)
        except IMAP4.abort:
            raise
        except IMAP4.error as error:
            said = _said(error, self.account)
            raise ConfigurationError(f"The folder {folder!r} cannot be opened: {said}") from None
        self.uidvalidity = int(selected.get(b"UIDVALIDITY", 0))


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _reaching(account: Account) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"The certificate of {account.host} is not valid: {error.verify_message}"
        ) from None
    except (OSError, IMAP4.error, ValueError) as error:
        raise UnavailableError(f"{account.host}: {_said(error, account)}") from None


def _is_passing(said: str) -> bool:
    return any(code in said.upper() for code in PASSING)


def _said(error: Exception, account: Account) -> str:
    """Return what went wrong in one short line, without the secret."""
    text = clean_text(str(error)).replace(account.secret, "[…]") if account.secret else str(error)
    return " ".join(text.split())[:MAX_SAID]
