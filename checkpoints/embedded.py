"""A private Postgres that the processes of one user share and that ends with the last of them.

Users hold kernel locks instead of counters, because `kill -9` of anybody must leave no trace.
"""

import atexit
import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from failsoft.checkpoints.binaries import (
    FOR_ROOT,
    advice,
    find_binaries,
    reachable_binaries,
    server_account,
)
from failsoft.errors import EmbeddedPostgresError, ForeignHomeError

if sys.platform == "win32":  # the modules below are not there
    raise EmbeddedPostgresError(advice(sys.platform, "", ""))

import fcntl
import pwd

from failsoft.checkpoints.postmaster import Postmaster

DATABASE = "failsoft"
SOCKET_LIMIT = 100  # bytes; 103 on macOS, 107 on Linux


class EmbeddedPostgres:
    """The server that belongs to `home`; it stops when its last user is gone.

    `home` is where the data are, except for root when the server may not enter that folder.
    With `fsync` off a crash of the machine may lose everything: for tests.
    """

    def __init__(self, home: Path, *, fsync: bool = True) -> None:
        """Nothing is started or written yet.

        Raises:
            ForeignHomeError: `home` belongs to another user.
            EmbeddedPostgresError: the server could not run here; the message says what to do.
        """
        _refuse_foreign(home)
        self._account = server_account()
        self.home = self._place(home.resolve())
        self._postmaster = Postmaster(
            home=self.home, sockets=_socket_folder(self.home), account=self._account, fsync=fsync
        )
        self._lease: int | None = None
        self._owner = 0  # the process that took the lease; a fork inherits the handle

    @property
    def dsn(self) -> str:
        """There is no password in it: safe to print."""
        return self._postmaster.dsn(DATABASE)

    def running(self) -> bool:
        """Say whether the server answers. Starts and writes nothing."""
        return self._postmaster.serving() is not None

    def start(self) -> str:
        """Start the server or join it, hold it until `close`, and return its DSN.

        Raises:
            ForeignHomeError: `home` cannot be written.
            EmbeddedPostgresError: it cannot be started; the message says what to do.
        """
        self._make_home()
        with self._lock():
            if not self.running():
                self._postmaster.launch(reachable_binaries(find_binaries(), self._account))
            self._postmaster.ensure_database()
            if not self._holds():
                self._lease = self._open("users")
                _flock(self._lease, fcntl.LOCK_SH)  # the kernel drops it on kill -9
                self._owner = os.getpid()
                atexit.register(self.close)
        return self.dsn

    def close(self) -> None:
        """Give the server back; the last user stops it, unless others came by its DSN."""
        if not self._holds():
            return
        self._give_back()
        # The server or the whole home may be gone by now: then there is nothing to stop.
        with contextlib.suppress(FileNotFoundError, psycopg.OperationalError), self._lock():
            if not self._others():
                self._postmaster.shut_down()

    def stop(self) -> None:
        """Give the server back and stop it, if it runs.

        Raises:
            EmbeddedPostgresError: others use it, so it goes on.
        """
        if self._holds():
            self._give_back()
        if not self.running():
            return
        with self._lock():
            if others := self._others():
                raise EmbeddedPostgresError(f"the embedded Postgres goes on: {others}.")
            self._postmaster.shut_down()

    def _holds(self) -> bool:
        return self._lease is not None and self._owner == os.getpid()

    def _give_back(self) -> None:
        atexit.unregister(self.close)
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    def _others(self) -> str | None:
        """Say who else uses the server, if anybody does."""
        # A new handle: one that a forked child shares would grant us its own lock.
        users = self._open("users")
        try:
            _flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another failsoft process uses it; end that first"
        finally:
            _release(users)
        guests = self._postmaster.guests()
        return f"its open connections: {guests}; end those programs first" if guests else None

    def _place(self, home: Path) -> Path:
        """Choose where the data are: nobody's folders are opened up for the server's account.

        Raises:
            EmbeddedPostgresError: there are data in a folder that is closed to the server by now.
        """
        if self._account.is_me:
            return home
        elsewhere = FOR_ROOT / hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        if elsewhere.exists():  # even if `home` has been opened since: the data are here
            return elsewhere
        if self._account.may_enter(home):
            return home
        if any(home.glob("data-*")):
            raise EmbeddedPostgresError(
                f"{home} holds a database, but its server, which never runs as root, may not enter "
                "that folder: chmod a+x it and the folders above, or set FAILSOFT_HOME."
            )
        return elsewhere

    def _make_home(self) -> None:
        sockets = self._postmaster.sockets
        try:
            self._make(self.home)
            self._make(sockets.parent)
            _refuse_foreign(sockets.parent)
            sockets.mkdir(mode=0o700, exist_ok=True)
            self._account.give(sockets)
        except PermissionError as error:
            raise _closed(error) from error
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{error.filename} cannot be used: {error.strerror}. Set FAILSOFT_HOME."
            ) from error
        if sockets.stat().st_mode & 0o777 != 0o700:
            raise _no_local_disk(self.home)

    def _make(self, folder: Path) -> None:
        """Make the folders that are missing; the server's account may pass through them."""
        for path in (*reversed(folder.parents), folder):
            if not path.exists():
                path.mkdir(exist_ok=True)
                if not self._account.is_me:
                    path.chmod(0o711)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Held around start and stop only, never while a user's code runs."""
        handle = self._open("lock")
        try:
            _flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            _release(handle)

    def _open(self, name: str) -> int:
        try:
            return os.open(self.home / name, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise _closed(error) from error


def _flock(handle: int, operation: int) -> None:
    try:
        fcntl.flock(handle, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        raise _no_local_disk("its home") from error


def _release(handle: int) -> None:
    """Unlock, then close: closing alone would leave the lock with a child forked meanwhile."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder of another user.

    Raises:
        ForeignHomeError: it is one.
    """
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise _closed(error) from error
    if owner != os.geteuid():
        name = str(owner)
        with contextlib.suppress(KeyError):
            name = pwd.getpwuid(owner).pw_name
        raise ForeignHomeError(f"{folder} belongs to {name}: chown it or set FAILSOFT_HOME.")


def _closed(error: PermissionError) -> ForeignHomeError:
    return ForeignHomeError(f"{error.filename} is closed to us: chown it or set FAILSOFT_HOME.")


def _no_local_disk(home: Path | str) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        f"the file system of {home} keeps no permissions or no locks (a network or Windows "
        "drive?): set FAILSOFT_HOME to a folder on a local disk, or set FAILSOFT_DSN."
    )


def _socket_folder(home: Path) -> Path:
    folder = home / "run"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_LIMIT:
        return folder
    # not tempfile.gettempdir(), which is long on macOS: a socket's path must stay short
    base = Path(os.sep, "tmp", f"failsoft-{os.geteuid()}")
    return base / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
