"""The door that reads a mailbox by IMAP.

The cursor is the UID of the last mail that is durable, with the folder's UIDVALIDITY: when that
changes, all UIDs are new, so that the folder is read from its beginning; the keys tell repeats.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ParamSpec, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from typing_extensions import override

from failsoft.checkpoints.cursors import Cursor
from failsoft.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingSettingError,
    RefusedError,
    UnavailableError,
)
from failsoft.events import Event, Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.imap_mailbox import Account, Mailbox
from failsoft.intake.mail import MailRules, read_mail
from failsoft.settings import Settings, Timing

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

BATCH = 50  # mails between two stored cursors
POLLS = 30  # of ours for one question to a server: once in 30 s; IDLE makes it shorter
REFUSALS = 3  # after so many a mail is listed as one that the server does not give out
TOKEN_FILE = "token-file"  # noqa: S105  # the name of an option
PORTS = {"imap": 143, "imaps": 993}


class ImapDoor(Door):
    """A folder on an IMAP server; `pause` is in seconds, between two questions for new mail."""

    def __init__(
        self, account: Account, rules: MailRules, timing: Timing, *, pause: float | None = None
    ) -> None:
        usual = account.port == PORTS["imaps" if account.tls else "imap"]
        port = "" if usual else f":{account.port}"
        self.name = f"imap:{account.user}@{account.host}{port}/{account.folder}"
        self.account = account
        self.rules = rules
        self.timing = timing
        self.pause = POLLS * timing.poll if pause is None else pause
        self.refusals: Counter[int] = Counter()

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Set up the door that `imaps://user@host:port/FOLDER` names; nothing is opened.

        Raises:
            ConfigurationError: the spec cannot be read, holds a password, or there is none.
            MissingExtraError: imapclient is not installed.
        """
        account = account_of(spec, settings)
        if find_spec("imapclient") is None:
            raise MissingExtraError("email", "The IMAP door")
        return cls(account, MailRules.of(settings), settings.timing)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Read what is new, wait, and read again, over one connection in a thread of its own."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="failsoft-imap")
        opening = thread.submit(Mailbox.open, self.account, self.timing)
        try:
            mailbox = await asyncio.wrap_future(opening)
            visit = Visit(
                door=self,
                mailbox=mailbox,
                thread=thread,
                reception=reception,
                cursor=reception.cursor(self.name),
                stopping=stopping,
            )
            while not stopping.is_set():
                # Mail that came meanwhile was told already: IDLE would not tell it again.
                if not await visit.take_new():
                    await visit.wait()
        finally:
            closing = thread.submit(_close, opening)  # after whatever the thread still does
            thread.shutdown(wait=False)
        await asyncio.wrap_future(closing)


@dataclass(kw_only=True)
class Visit:
    """What one connection is used for; the thread is the only one that touches the mailbox."""

    door: ImapDoor
    mailbox: Mailbox
    thread: ThreadPoolExecutor
    reception: Reception
    cursor: Cursor
    stopping: asyncio.Event

    async def take_new(self) -> bool:
        """Take every mail above the cursor, move the cursor behind; False when there was none."""
        uids = await self._call(self.mailbox.uids_after, await self._last())
        for first in range(0, len(uids), BATCH):
            taken = await self._take(uids[first : first + BATCH])
            if taken:
                uid, validity = max(taken), self.mailbox.uidvalidity
                await self.cursor.store({"uidvalidity": validity, "uid": uid})
            if read := [uid for uid, was_read in taken.items() if was_read]:
                await self._call(self.mailbox.mark_seen, read)
        return bool(uids)

    async def wait(self) -> None:
        """Wait until mail came or the pause is over, and no longer than a poll for a stop."""
        until = asyncio.get_running_loop().time() + self.door.pause
        idle = await self._call(self.mailbox.listen)
        while not self.stopping.is_set() and asyncio.get_running_loop().time() < until:
            if idle and await self._call(self.mailbox.wait, self.door.timing.poll):
                break
            if not idle:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), self.door.timing.poll)
        if idle:
            await self._call(self.mailbox.listened)

    async def _take(self, uids: Sequence[int]) -> dict[int, bool]:
        """Return what was taken, and whether it could be read."""
        taken: dict[int, bool] = {}
        for uid in uids:
            if self.stopping.is_set():
                break
            taken[uid] = await self._admit(uid)
        return taken

    async def _admit(self, uid: int) -> bool:
        """Bring one mail in; False when it could not be read, so that it stays for a person."""
        try:
            raw = await self._call(self.mailbox.read, uid)
        except RefusedError as error:
            await self._give_up(uid, error)
            return False
        if raw is None:
            return False
        event = await asyncio.to_thread(read_mail, raw, self.door.rules)
        await self.reception.admit(event)
        return isinstance(event, Event) or event.raw is None

    async def _give_up(self, uid: int, error: RefusedError) -> None:
        """List a mail that the server holds back, so that it does not hold up those behind it."""
        self.door.refusals[uid] += 1
        if self.door.refusals[uid] < REFUSALS:
            raise UnavailableError(f"{self.door.account.host} refuses mail {uid}: {error}")
        key = f"{self.door.name}:{self.mailbox.uidvalidity}:{uid}"
        reason = f"the mail server does not give it out: {error}"
        await self.reception.admit(Ignored(key=key, reason=reason, raw=b""))

    async def _last(self) -> int:
        stored = await self.cursor.read()
        uid = stored.get("uid")
        same = stored.get("uidvalidity") == self.mailbox.uidvalidity
        return uid if same and isinstance(uid, int) else 0

    async def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self.thread.submit(method, *args, **kwargs))


def account_of(spec: str, settings: Settings) -> Account:
    """Read `imap(s)://user@host:port/FOLDER?token-file=/path`; the folder is INBOX without a name.

    Raises:
        ConfigurationError: it cannot be read, or it holds a password.
        MissingSettingError: neither a password nor a token is set, and no file is named.
    """
    try:
        parts = urlsplit(spec)
        host, port, has_password = parts.hostname, parts.port, parts.password is not None
    except ValueError:
        raise ConfigurationError(_form("cannot be read")) from None
    if has_password:
        raise ConfigurationError("A door's address holds a password: set FAILSOFT_IMAP_PASSWORD.")
    user, folder = unquote(parts.username or ""), unquote(parts.path.lstrip("/")) or "INBOX"
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    file = options.pop(TOKEN_FILE, None)
    if parts.scheme not in PORTS or not host or options or parts.fragment:
        raise ConfigurationError(_form("cannot be read"))
    if not user or not (user + folder).isprintable():
        raise ConfigurationError(_form("names no user" if not user else "cannot be read"))
    if not (file or settings.imap_password or settings.imap_oauth_token):
        purpose = f"the password of {user}, or FAILSOFT_IMAP_OAUTH_TOKEN instead"
        raise MissingSettingError("FAILSOFT_IMAP_PASSWORD", purpose)
    return Account(
        host=host,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "imaps",
        user=user,
        folder=folder,
        password=settings.imap_password,
        token=settings.imap_oauth_token,
        token_file=Path(file).expanduser() if file else None,
    )


def _form(fault: str) -> str:
    return f"The address of the IMAP door {fault}: write imaps://user@host/FOLDER."


def _close(opening: Future[Mailbox]) -> None:
    """Log out, if there is anything to log out from."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
