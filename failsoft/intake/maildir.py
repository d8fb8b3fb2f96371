"""The door for mail in a folder: a Maildir, or a plain folder of .eml files.

A file leaves the place where it was found only after its mail is durable. Killed in between, the
door finds it again, and the mail is known. Nothing is ever deleted or written over.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from typing_extensions import override

from failsoft.errors import ConfigurationError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.mail import MailRules, read_mail
from failsoft.settings import Settings

logger = logging.getLogger(__name__)

MAX_BYTES = 40 * 1024 * 1024  # of a file; more is read by nobody, and one byte more says so
UNFINISHED = (".tmp", ".part")  # so programs name what they still write
HANDLED = "handled"  # the subfolder for what was taken out of a plain folder
SEEN = "S"  # the Maildir flag


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it lay there; `mark` changes with whatever is done to it."""

    path: Path
    mark: tuple[int, int, int, int]
    written: int


class MaildirDoor(Door):
    """Mail that lies in `folder`; `poll` is in seconds."""

    def __init__(self, folder: Path, rules: MailRules, *, poll: float) -> None:
        """Tell a Maildir, which has new/ and cur/, from a plain folder.

        Raises:
            ConfigurationError: there is no such folder, or it cannot be read and written.
        """
        self.name = f"maildir:{folder}"
        self.folder = folder
        self.rules = rules
        self.poll = poll
        self.maildir = (folder / "new").is_dir() and (folder / "cur").is_dir()
        self.source = folder / "new" if self.maildir else folder
        self.target = folder / ("cur" if self.maildir else HANDLED)
        self._before: set[Found] = set()
        self._left: set[Found] = set()
        self._make_ready()

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Open the folder that `maildir:/path` names.

        Raises:
            ConfigurationError: there is no such folder, or it cannot be read and written.
        """
        path = spec.removeprefix("maildir:")
        if not path:
            raise ConfigurationError(f"{spec!r} names no folder: write maildir:/path/of/it.")
        folder = Path(path).expanduser().absolute()
        return cls(folder, MailRules.of(settings), poll=settings.timing.poll)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Take what lies there, the oldest first, and look again each poll."""
        while not stopping.is_set():
            for found in await asyncio.to_thread(self.waiting):
                if stopping.is_set():
                    return
                await self.take(found, reception)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self.poll)

    async def take(self, found: Found, reception: Reception) -> None:
        """Bring one mail in; only then put its file away.

        Raises:
            UnavailableError: the database or the disk is away; the file stays.
        """
        raw = await asyncio.to_thread(self.read, found)
        if raw is None:
            return
        await reception.admit(await asyncio.to_thread(read_mail, raw, self.rules))
        await asyncio.to_thread(self.put_away, found)

    def waiting(self) -> list[Found]:
        """Return what is to be taken, the oldest first.

        A plain folder says of no file that it is whole: there a file is taken once it looks the
        same at two polls.

        Raises:
            UnavailableError: the folder cannot be read.
        """
        try:
            found = set(self._files())
        except OSError as error:
            raise UnavailableError(f"{self.source} cannot be read: {error.strerror}") from None
        self._left &= found
        whole = found if self.maildir else found & self._before
        self._before = found
        return sorted(whole - self._left, key=lambda file: (file.written, file.path.name))

    def read(self, found: Found) -> bytes | None:
        """Return the mail, None when it is gone or cannot be read (said once).

        Raises:
            UnavailableError: the disk is away.
        """
        # A link that was put in its place is not followed; a pipe does not hold the door up.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            with os.fdopen(os.open(found.path, flags), "rb") as file:
                if _mark(os.fstat(file.fileno())) != found.mark:
                    return None  # another one by now: it is looked at again
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None  # another process took it
        except PermissionError as error:
            self._leave(found, error)
            return None
        except OSError as error:
            raise UnavailableError(f"{found.path} cannot be read: {error.strerror}") from None

    def put_away(self, found: Found) -> None:
        """Move the file of a mail that is durable; a file that was changed since then stays.

        Raises:
            UnavailableError: the disk is away.
        """
        try:
            if _mark(found.path.lstat()) == found.mark:
                found.path.rename(self._place_for(found.path.name))
        except FileNotFoundError:
            return  # another process took it, or somebody did
        except PermissionError as error:
            self._leave(found, error)
        except OSError as error:
            raise UnavailableError(f"{found.path} cannot be moved: {error.strerror}") from None

    def _files(self) -> Iterator[Found]:
        with os.scandir(self.source) as entries:
            for entry in entries:
                if self._wanted(entry):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield Found(Path(entry.path), _mark(status), status.st_mtime_ns)

    def _wanted(self, entry: os.DirEntry[str]) -> bool:
        name = entry.name.lower()
        if name.startswith(".") or not entry.is_file(follow_symlinks=False):
            return False
        return self.maildir or (name.endswith(".eml") and not name.endswith(UNFINISHED))

    def _place_for(self, name: str) -> Path:
        """Return where a file goes, under a name that nothing has there yet."""
        if self.maildir:
            name, _, flags = name.partition(":2,")
            return self.target / f"{name}:2,{''.join(sorted({*flags, SEEN}))}"
        place, number = self.target / name, 1
        while place.exists():
            number += 1
            place = self.target / f"{Path(name).stem}.{number}{Path(name).suffix}"
        return place

    def _leave(self, found: Found, error: OSError) -> None:
        """Say once that a file cannot be taken; it is tried again when something changes it."""
        self._left.add(found)
        logger.warning("%s is left where it is: %s", found.path, error.strerror)

    def _make_ready(self) -> None:
        try:
            if not self.maildir and self.folder.is_dir():
                self.target.mkdir(exist_ok=True)
            usable = all(os.access(each, os.R_OK | os.W_OK | os.X_OK) for each in self._folders)
        except OSError:
            usable = False
        if not usable:
            raise ConfigurationError(
                f"{self.folder} is no folder that can be read and written: the door for mail needs"
                " a Maildir, or a folder of .eml files."
            )

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.source, self.target


def _mark(status: os.stat_result) -> tuple[int, int, int, int]:
    if not stat.S_ISREG(status.st_mode):
        return (0, 0, 0, 0)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
