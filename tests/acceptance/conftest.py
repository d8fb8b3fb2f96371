"""Real workers as processes, a real Postgres with fsync, sandboxes: what the crash proofs need."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.embedded import EmbeddedPostgres
from failsoft.checkpoints.migrate import migrate
from failsoft.checkpoints.store import Store
from failsoft.cli.private_sandbox import Place, place_of, variables
from failsoft.events import Event

STATIONS = 4  # side by side; each has its own database, sandbox and worker
BUG = "The Save address button does nothing in Firefox 140, it works in Chrome."
TICK = 0.05  # seconds between two looks
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the machine's certificates takes long


@dataclass(kw_only=True)
class Zygote:
    """The process that forks workers."""

    process: subprocess.Popen[str]

    def fork(self, **order: Any) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@dataclass(kw_only=True)
class Station:
    """One database and one sandbox, and what a test does to the workers on them."""

    place: Place
    dsn: str
    folder: Path
    zygote: Zygote
    http: httpx2.AsyncClient
    database: Database
    agents: list[str] = field(default_factory=lambda: ["slack-jira"])
    options: dict[str, str] = field(default_factory=dict)
    workers: list[int] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store.of(self.database)

    @property
    def environment(self) -> dict[str, str]:
        own = {"FAILSOFT_DSN": self.dsn, "FAILSOFT_HOME": str(self.folder)}
        return variables(self.place.url, self.place.smtp) | own | self.options

    def fork_worker(self) -> int:
        """Start a worker that has its imports behind it."""
        pid = self.zygote.fork(
            environment=self.environment,
            agents=self.agents,
            folder=str(self.folder),
            log=str(self.folder / "worker.log"),
        )
        self.workers.append(pid)
        return pid

    @contextlib.contextmanager
    def cli_worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start a worker as a user does: `failsoft worker AGENT`."""
        command = [sys.executable, "-m", "failsoft.cli.main", "worker", *self.agents]
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | self.environment, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def kill(self, pid: int) -> None:
        """Kill -9, and wait until the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        while alive(pid):  # noqa: ASYNC110 - the zygote's child: nobody tells us
            await asyncio.sleep(0.001)
        self.workers = [other for other in self.workers if other != pid]

    def forget_dead_workers(self) -> int:
        """Return how many workers have died by themselves since the last look."""
        dead = [pid for pid in self.workers if not alive(pid)]
        self.workers = [pid for pid in self.workers if pid not in dead]
        return len(dead)

    async def admit(self, text: str = BUG, *, lane: str | None = None) -> tuple[UUID, str]:
        """Take a Slack message in; its text carries a nonce, which is returned too."""
        nonce = uuid4().hex[:12]
        ts = f"{int(nonce[:8], 16)}.{int(nonce[8:], 16):06d}"
        event = Event(
            key=f"slack:T0SANDBOX:C0TRIAGE:{ts}",
            source="slack",
            text=f"{text} {nonce}",
            facts={"channel": "C0TRIAGE", "ts": ts},
        )
        lane = lane or load_graph(self.agents[0]).lane
        admission = await self.store.runs.admit(lane.split("@")[0], lane, event)
        await self.store.runs.ring()
        return admission.run_id, nonce

    async def row(self, run_id: UUID) -> DictRow:
        return await self.store.runs.get(run_id)

    async def states(self) -> dict[str, int]:
        return await self.store.runs.counts()

    async def query(self, statement: str, *values: object) -> list[DictRow]:
        async with self.database.transaction() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()

    async def reset(self, *faults: dict[str, Any]) -> None:
        (await self.http.post("/_sim/reset", json={})).raise_for_status()
        await self.faults(*faults)

    async def faults(self, *faults: dict[str, Any]) -> None:
        (await self.http.post("/_sim/faults", json=faults)).raise_for_status()

    async def world(self) -> dict[str, Any]:
        """Return the sandbox's own state."""
        state: dict[str, Any] = (await self.http.get("/_sim/state")).json()
        return state

    async def tickets(self, nonce: str = "") -> list[dict[str, Any]]:
        issues = (await self.world())["jira"]["issues"]
        return [issue for issue in issues if nonce in json.dumps(issue["fields"]["description"])]

    async def executed(self, match: str, count: int, seconds: float = 30.0) -> bool:
        """Wait until the sandbox has executed so many matching requests."""
        asked: dict[str, str | float] = {"match": match, "executed": count, "timeout": seconds}
        answer = await self.http.get("/_sim/wait", params=asked, timeout=seconds + 5)
        return bool(answer.json()["reached"])

    async def until(
        self, look: Callable[[], Awaitable[bool]], what: str, seconds: float = 30.0
    ) -> None:
        """Look again and again until it is so."""
        try:
            async with asyncio.timeout(seconds):
                while not await look():  # noqa: ASYNC110 - other processes ring no bell here
                    await asyncio.sleep(TICK)
        except TimeoutError:
            log = self.folder / "worker.log"
            said = log.read_text()[-3000:] if log.exists() else ""
            pytest.fail(f"not within {seconds:g} s: {what}\n{await self.states()}\n{said}")

    async def all_rest(self, seconds: float = 40.0) -> None:
        """Wait until no run is queued, running or parked for a time."""

        async def rest() -> bool:
            busy = "SELECT 1 FROM runs WHERE state IN ('queued', 'running') OR due_at IS NOT NULL"
            return not await self.query(busy)

        await self.until(rest, "all runs at rest", seconds)

    async def chains_verify(self) -> None:
        for row in await self.store.runs.list(limit=1000):
            assert await self.store.audit.verify(row["run_id"]), row["event_key"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def created(server: str, template: str) -> Iterator[str]:
    """Create a database for as long as the block runs, and give its DSN."""
    name = f"failsoft_test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        copy = SQL("CREATE DATABASE {} TEMPLATE {}")
        admin.execute(copy.format(Identifier(name), Identifier(template)))
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a real server that keeps its promises: fsync is on."""
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("pg"))
    try:
        yield embedded.start()
    finally:
        embedded.close()


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    with created(server, "template1") as dsn:
        asyncio.run(migrate(dsn))
        yield psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]  # type: ignore[misc]  # a str


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    command = [sys.executable, str(Path(__file__).with_name("zygote.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Zygote(process=process)


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[list[Place]]:
    """Some sandboxes; they start side by side and end with this process."""
    command = [sys.executable, "-m", "failsoft.sandbox", "--with-parent"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(STATIONS)
        ]
        yield [place_of(process.stdout.readline().decode()) for process in processes]  # type: ignore[union-attr]  # a pipe
        for process in processes:
            process.terminate()


@pytest.fixture
def station_at(
    server: str, template: str, zygote: Zygote, sandboxes: list[Place], tmp_path: Path
) -> Callable[[int], contextlib.AbstractAsyncContextManager[Station]]:
    @asynccontextmanager
    async def station(number: int) -> AsyncIterator[Station]:
        place, folder = sandboxes[number], tmp_path / str(number)
        folder.mkdir()
        async with AsyncExitStack() as stack:
            dsn = stack.enter_context(created(server, template))
            http = httpx2.AsyncClient(base_url=place.url, timeout=10, verify=NO_TLS)
            await stack.enter_async_context(http)
            database = await stack.enter_async_context(Database(dsn, lease=20.0, size=3))
            made = Station(
                place=place, dsn=dsn, folder=folder, zygote=zygote, http=http, database=database
            )
            await made.reset()
            try:
                yield made
            finally:
                for pid in list(made.workers):
                    await made.kill(pid)

    return station


@pytest.fixture
async def station(
    station_at: Callable[[int], contextlib.AbstractAsyncContextManager[Station]],
) -> AsyncIterator[Station]:
    async with station_at(0) as made:
        yield made


@pytest.fixture
async def stations(
    station_at: Callable[[int], contextlib.AbstractAsyncContextManager[Station]],
) -> AsyncIterator[list[Station]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(station_at(n)) for n in range(STATIONS)]
