"""The embedded server through everything that such servers are known to die of."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from failsoft.checkpoints import embedded
from failsoft.checkpoints.binaries import server_account
from failsoft.checkpoints.embedded import EmbeddedPostgres
from failsoft.errors import EmbeddedPostgresError, ForeignHomeError

pytestmark = pytest.mark.timeout(60)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
PATIENCE = 20.0  # seconds
ROOT = Path(__file__).parents[2]
Hold = Callable[[Path], subprocess.Popen[str]]

HOLDER = """
import sys
from pathlib import Path
from failsoft.checkpoints.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), fsync=False)
server.start()
print(next(server.home.glob("data-*/postmaster.pid")).read_text().split()[0], flush=True)
sys.stdin.readline()
"""
WRITER = """
import sys, psycopg
connection = psycopg.connect(sys.argv[1], autocommit=True)
for number in range(1, 1_000_000):
    connection.execute("INSERT INTO t VALUES (%s)", (number,))
    print(number, flush=True)
"""
PARENT_OF_A_FORK = """
import os, sys
from pathlib import Path
from failsoft.checkpoints.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), fsync=False)
server.start()
if os.fork() == 0:
    sys.stdin.readline()
    os._exit(0)
server.close()
print(server.running(), flush=True)
os._exit(0)
"""
CONNECT = "import sys, psycopg; psycopg.connect(sys.argv[1])"
ROUND = """
import sys
from pathlib import Path
import psycopg
from failsoft.checkpoints.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), fsync=False)
with psycopg.connect(server.start()) as connection:
    print(connection.execute("SELECT 'answered'").fetchone()[0])
server.close()
print("running" if server.running() else "stopped")
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def empty(place: Path) -> Path:
    return place / "pg"


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    with open_folder() as folder:
        server = EmbeddedPostgres(folder, fsync=False)
        server.start()
        server.close()
        yield folder


@pytest.fixture
def home(initialised: Path) -> Iterator[Path]:
    """The home of a server that does not run, for tests that leave its data whole."""
    yield initialised
    kill_servers(initialised)


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start processes that hold the server of a home until their input ends."""
    holders: list[subprocess.Popen[str]] = []

    def start(home: Path) -> subprocess.Popen[str]:
        holders.append(python(HOLDER, str(home)))
        return holders[-1]

    yield start
    for holder in holders:
        holder.communicate()


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that the server may pass through; pytest's own are closed when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="failsoft-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        kill_servers(folder)
        shutil.rmtree(folder)


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def python_as(name: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code as another user, with an interpreter that this user may use."""
    account = pwd.getpwnam(name)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    places = f"{ROOT}{os.pathsep}{sysconfig.get_path('purelib')}"
    for interpreter in filter(None, (sys.executable, shutil.which(version, path=os.defpath))):
        with contextlib.suppress(PermissionError):
            done = subprocess.run(
                [interpreter, "-c", code, *arguments],
                user=account.pw_uid, group=account.pw_gid, extra_groups=(), cwd="/",
                env={"PYTHONPATH": places, "LC_ALL": "C"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if "ModuleNotFoundError" not in done.stderr:
                return done
    pytest.skip(f"{name} may use no such interpreter, or may not read this checkout")


def pid_in(file: Path) -> int | None:
    with contextlib.suppress(OSError, IndexError):
        return int(file.read_text().split()[0])
    return None


def pid_of(server: EmbeddedPostgres) -> int:
    pid = pid_in(next(server.home.glob("data-*/postmaster.pid")))
    assert pid
    return pid


def kill_servers(folder: Path) -> None:
    for pid in filter(None, map(pid_in, folder.rglob("postmaster.pid"))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_a_cold_start_answers_and_the_last_close_stops_it(empty: Path) -> None:
    server = EmbeddedPostgres(empty)
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    server.close()
    assert not server.running()


def test_asking_whether_it_runs_writes_nothing(empty: Path) -> None:
    assert not EmbeddedPostgres(empty).running()
    assert not empty.exists()


def test_a_second_start_joins_the_same_server(home: Path) -> None:
    one, two = EmbeddedPostgres(home, fsync=False), EmbeddedPostgres(home, fsync=False)
    assert one.start() == two.start()
    one.close()
    assert two.running()
    two.close()
    assert not two.running()


def test_processes_that_start_at_once_share_one_server(empty: Path, hold: Hold) -> None:
    holders = [hold(empty) for _ in range(4)]
    pids = [line(holder) for holder in holders]
    assert len(set(pids)) == 1
    assert pids[0]


def test_the_server_of_a_killed_user_is_adopted_and_stopped(home: Path, hold: Hold) -> None:
    holder = hold(home)
    orphan = line(holder)
    holder.kill()
    holder.wait()
    server = EmbeddedPostgres(home, fsync=False)
    assert server.running()
    server.start()
    assert str(pid_of(server)) == orphan
    server.close()
    assert not server.running()


def test_rows_acknowledged_before_a_kill_of_the_server_are_there(empty: Path) -> None:
    server = EmbeddedPostgres(empty)
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (i bigint PRIMARY KEY)")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, server.dsn],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    for _ in range(50):
        line(writer)
    kill_servers(server.home)
    acknowledged = int(("50 " + writer.communicate()[0]).split()[-1])
    with psycopg.connect(server.start()) as connection:
        rows = connection.execute("SELECT count(*), max(i) FROM t").fetchone()
    server.close()
    assert rows
    assert rows[0] == rows[1] >= acknowledged >= 50


def test_a_kill_in_the_middle_of_initdb_leaves_nothing_in_the_way(empty: Path, hold: Hold) -> None:
    holder = hold(empty)
    until(lambda: any(empty.glob(".init-*/base")))
    holder.kill()
    holder.wait()
    assert not [*empty.glob("data-*")]
    server = EmbeddedPostgres(empty, fsync=False)
    server.start()
    assert not [*empty.glob(".init-*")]
    server.close()


def test_a_stranger_with_the_number_of_a_dead_server_is_left_alone(home: Path) -> None:
    server = EmbeddedPostgres(home, fsync=False)
    server.start()
    kill_servers(home)
    until(lambda: not server.running())
    file = next(home.glob("data-*/postmaster.pid"))
    # of the server's own account: anybody else's number would be no riddle for postgres
    with subprocess.Popen(["/bin/sleep", "20"], user=server_account().uid) as stranger:
        file.write_text("\n".join([str(stranger.pid), *file.read_text().split("\n")[1:]]))
        server.start()
        assert pid_of(server) != stranger.pid
        server.close()
        assert stranger.poll() is None
        stranger.kill()


def test_a_kill_before_the_database_was_made_is_mended_by_the_next_start(home: Path) -> None:
    server = EmbeddedPostgres(home, fsync=False)
    other = server.start().replace("@/failsoft?", "@/postgres?")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("DROP DATABASE failsoft")
    with psycopg.connect(server.start()):
        pass
    server.close()


def test_stop_refuses_while_somebody_else_holds_the_server(home: Path) -> None:
    holder = EmbeddedPostgres(home, fsync=False)
    holder.start()
    with pytest.raises(EmbeddedPostgresError, match="another failsoft process"):
        EmbeddedPostgres(home).stop()
    assert holder.running()
    holder.close()


def test_stop_refuses_while_somebody_is_connected(home: Path) -> None:
    server = EmbeddedPostgres(home, fsync=False)
    with psycopg.connect(server.start()) as guest:
        with pytest.raises(EmbeddedPostgresError, match="connections: 1"):
            server.stop()
        assert guest.execute("SELECT 1").fetchone() == (1,)


def test_stop_ends_an_unused_server_and_is_content_without_one(home: Path) -> None:
    server = EmbeddedPostgres(home, fsync=False)
    server.start()
    server.stop()
    assert not server.running()
    server.stop()


def test_a_guest_by_dsn_keeps_the_server_up(home: Path) -> None:
    server = EmbeddedPostgres(home, fsync=False)
    with psycopg.connect(server.start()) as guest:
        server.close()
        assert guest.execute("SELECT 1").fetchone() == (1,)


def test_a_forked_child_that_lives_on_keeps_the_server_up(home: Path) -> None:
    with python(PARENT_OF_A_FORK, str(home)) as parent:
        assert line(parent) == "True"


def test_a_path_too_long_for_a_socket_works(place: Path) -> None:
    server = EmbeddedPostgres(place / ("long" * 30), fsync=False)
    with psycopg.connect(server.start()):
        pass
    server.close()
    shutil.rmtree(server._postmaster.sockets)


def test_data_of_another_major_version_are_refused(empty: Path) -> None:
    (empty / "data-9").mkdir(parents=True)
    (empty / "data-9" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match=r"data-9 but .* dump and restore"):
        EmbeddedPostgres(empty).start()


def test_a_long_log_is_cut_at_the_next_start(home: Path) -> None:
    os.truncate(home / "server.log", 10_000_001)
    server = EmbeddedPostgres(home, fsync=False)
    server.start()
    assert (home / "server.log").stat().st_size < 100_000
    server.close()


def test_without_programs_the_way_out_is_named(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILSOFT_PG_BINDIR", str(empty))
    with pytest.raises(EmbeddedPostgresError, match="FAILSOFT_DSN="):
        EmbeddedPostgres(empty).start()


def test_the_folder_of_another_user_is_refused_by_name(empty: Path) -> None:
    foreign, owner = Path("/"), "root"
    if os.geteuid() == 0:
        empty.mkdir()
        foreign, owner = empty, "nobody"
        os.chown(empty, pwd.getpwnam(owner).pw_uid, -1)
    with pytest.raises(
        ForeignHomeError, match=f"belongs to {owner}: chown it or set FAILSOFT_HOME"
    ):
        EmbeddedPostgres(foreign)


@as_root
@pytest.mark.parametrize("who", ["server", "stranger"])
def test_no_other_user_of_the_machine_may_connect(home: Path, who: str) -> None:
    own = server_account().uid
    other = next(user for user in pwd.getpwall() if user.pw_uid not in {0, own})
    name = pwd.getpwuid(own).pw_name if who == "server" else other.pw_name
    server = EmbeddedPostgres(home, fsync=False)
    refused = python_as(name, CONNECT, server.start())
    server.close()
    assert ("Peer authentication failed" if who == "server" else "denied") in refused.stderr


@as_root
def test_an_ordinary_user_has_a_server_too(empty: Path) -> None:
    empty.mkdir(mode=0o700)
    os.chown(empty, pwd.getpwnam("nobody").pw_uid, -1)
    done = python_as("nobody", ROUND, str(empty))
    assert (done.stdout.split(), done.stderr) == (["answered", "stopped"], "")


@as_root
def test_for_root_a_closed_folder_stays_closed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "FOR_ROOT", place / "elsewhere")
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "pg", fsync=False)
    with psycopg.connect(server.start()):
        pass
    server.close()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert server.home.parent == place / "elsewhere"
