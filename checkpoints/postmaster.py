"""The server process of one home: bring it up, ask it, shut it down; its users are no concern here.

Alive means "answers and serves our folder", never "there is a process of that number".
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from failsoft.checkpoints.binaries import Account, Binaries
from failsoft.checkpoints.dsn import CONNECT_SECONDS
from failsoft.checkpoints.queries import load
from failsoft.errors import EmbeddedPostgresError

SQL = load("embedded")
ROLE = "failsoft"
START_TIMEOUT = 120.0  # seconds; crash recovery can take a while
ANSWER_TIMEOUT = 30.0  # seconds for a server that is up but still starting or stopping
LOG_LIMIT = 10_000_000  # bytes
SETTINGS = (
    "listen_addresses=",
    "port=5432",
    "shared_buffers=32MB",
    "max_wal_senders=0",
    "wal_level=minimal",
    "max_wal_size=128MB",
    "min_wal_size=16MB",
    "max_parallel_workers_per_gather=0",  # a container's /dev/shm has 64 MB
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
    "cluster_name=failsoft",
)
THROW_AWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, kw_only=True)
class Postmaster:
    """The server of the data in `home`, reached through the folder `sockets`."""

    home: Path
    sockets: Path
    account: Account
    fsync: bool

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def dsn(self, database: str) -> str:
        """Return where to connect; the port is named because PGPORT may say something else."""
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self.sockets), safe='')}&port=5432"

    def serving(self) -> Path | None:
        """Return the data folder of the server that answers, if it is one of ours."""
        try:
            with self._connection() as connection:
                row = connection.execute(SQL["folder"]).fetchone()
        except psycopg.OperationalError:
            return None
        data = Path(row[0]) if row else None
        return data if data and data.parent == self.home else None

    def guests(self) -> int:
        """Count the open connections."""
        with self._connection() as connection:
            row = connection.execute(SQL["guests"]).fetchone()
        return row[0] if row else 0

    def ensure_database(self) -> None:
        with self._connection() as connection:
            if connection.execute(SQL["has_database"]).fetchone() == (0,):
                connection.execute(SQL["create_database"])

    def launch(self, binaries: Binaries) -> None:
        """Return when the server answers.

        Raises:
            EmbeddedPostgresError: it does not; the message says why.
        """
        data = self.home / f"data-{binaries.major}"
        if not (data / "PG_VERSION").exists():
            self._initialise(binaries, data)
        if (pid := _pid_in_file(data)) and self._comes_up(pid, data):
            return
        self._admit_only_me()
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            os.truncate(self.log, 0)
        # The name of a stale pid file's process makes postgres pass over that file, while it still
        # checks the old shared memory; without the file two servers could write the same data.
        stale = _pid_in_file(data)
        told = {"PG_GRANDPARENT_PID": str(stale)} if stale else {}
        self._spawn([*self._command(binaries, data)], told)

    def shut_down(self) -> None:
        """End the server's connections and stop it.

        Raises:
            EmbeddedPostgresError: it goes on.
        """
        data = self.serving()
        pid = _pid_in_file(data) if data else None
        if not data or not pid or not _serves(pid, data):
            return
        os.kill(pid, signal.SIGINT)  # what `pg_ctl -m fast` sends; the programs may be gone by now
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while _serves(pid, data):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"postgres (process {pid}) does not stop; see {self.log}"
                )
            _pause(0.005)

    def _initialise(self, binaries: Binaries, data: Path) -> None:
        """Make the data folder: elsewhere first, so that a kill leaves no half of one."""
        if others := [path.parent.name for path in self.home.glob("data-*/PG_VERSION")]:
            raise EmbeddedPostgresError(
                f"{self.home} holds {', '.join(others)} but the programs found are Postgres "
                f"{binaries.major}: dump and restore, or install the old version again."
            )
        for leftover in self.home.glob(".init-*"):
            _remove(leftover)
        unfinished = self.home / f".init-{os.getpid()}"
        unfinished.mkdir(mode=0o700)
        self.account.give(unfinished)
        # --locale=C: no upgrade of the machine can change the order of an index
        done = self.account.run(
            binaries.folder / "initdb", "-D", unfinished, "-U", ROLE, "-A", "peer", "-E", "UTF8",
            "--locale=C", "--no-instructions", "--wal-segsize=4", *(() if self.fsync else ("-N",)),
        )  # fmt: skip
        if done.returncode:
            raise EmbeddedPostgresError(f"initdb failed: {done.stderr.strip()}")
        unfinished.rename(data)

    def _admit_only_me(self) -> None:
        """Write who may connect; at every start, because `home` may have changed hands.

        Not in the data folder: there the server's account could put a link in root's way.

        Raises:
            EmbeddedPostgresError: we are a user without a name, as in some containers.
        """
        try:
            me = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            raise EmbeddedPostgresError(
                f"user {os.geteuid()} has no name on this machine and Postgres demands one: "
                "add it to /etc/passwd or set FAILSOFT_DSN."
            ) from None
        for name, text in (
            ("pg_hba.conf", "local all all peer map=failsoft\n"),
            ("pg_ident.conf", f'failsoft "{me}" {ROLE}\n'),
        ):
            (self.home / name).write_text(text)
            (self.home / name).chmod(0o644)

    def _command(self, binaries: Binaries, data: Path) -> Iterator[str]:
        yield from (str(binaries.folder / "postgres"), "-D", str(data), "-k", str(self.sockets))
        yield from ("-c", f"hba_file={self.home / 'pg_hba.conf'}")
        yield from ("-c", f"ident_file={self.home / 'pg_ident.conf'}")
        for setting in (*SETTINGS, *(() if self.fsync else THROW_AWAY)):
            yield from ("-c", setting)
        if binaries.major >= 18:
            yield from ("-c", "io_method=sync")  # no worker processes: less idle memory

    def _comes_up(self, pid: int, data: Path) -> bool:
        """Wait for a server that is starting, recovering or stopping; say whether it came up."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while _serves(pid, data):
            if self.serving():
                return True
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"postgres (process {pid}) does not answer; see {self.log}"
                )
            _pause(0.05)
        return False

    def _spawn(self, command: list[str], told: dict[str, str]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        offset, process = 0, None
        while not self.serving():
            if process is not None and process.poll() is not None:
                tail = self._log_from(offset)
                # A killed server left a busy backend: it ends by itself, and until then postgres
                # rightly refuses.
                if "pre-existing shared memory block" not in tail or time.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"postgres ended: {tail[-2000:].strip()}")
                _pause(0.5)
                process = None
            if process is None:
                offset = self.log.stat().st_size if self.log.exists() else 0
                process = self._start_process(command, told)
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"postgres is not ready after {START_TIMEOUT:g} s; see {self.log}"
                )
            _pause(0.01)

    def _start_process(self, command: list[str], told: dict[str, str]) -> subprocess.Popen[bytes]:
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # it quotes rows
        try:
            process = self.account.start(command, log=log, told=told)
        finally:
            os.close(log)
        # Reaped when it ends: a zombie has a number and would look alive to the next server.
        threading.Thread(target=process.wait, name="postgres", daemon=True).start()
        return process

    def _log_from(self, offset: int) -> str:
        with self.log.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(
            self.dsn("postgres"), autocommit=True, connect_timeout=CONNECT_SECONDS
        ) as connection:
            yield connection


def _pid_in_file(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _serves(pid: int, data: Path) -> bool:
    """Say whether process `pid` is a server of `data`; a zombie is not."""
    try:
        status = Path(f"/proc/{pid}/stat")
        if not Path("/proc/self").exists():  # macOS
            command = ("/bin/ps", "-o", "command=", "-p", str(pid))
            listing = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
            return str(data) in listing.stdout
        if status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return str(data) in arguments.split("\0")


def _remove(folder: Path) -> None:
    """Remove what a killed initdb left, even while that initdb, now an orphan, still writes."""
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            _pause(0.05)


def _pause(seconds: float) -> None:
    """Let the server get on: this module is synchronous and runs in a thread."""
    threading.Event().wait(seconds)
