"""`failsoft listen` and `failsoft serve` as processes: what they open, how they end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from failsoft.checkpoints.store import Store
from failsoft.settings import Settings
from tests.conftest import Sandbox
from tests.integration.served import SECRETS, SLACK, TOKEN, message
from tests.slack_side import tell

MAIL = (
    b"From: ann@customer.example\nMessage-ID: <1@customer.example>\nSubject: Help\n\nIt is down.\n"
)


@dataclass
class Command:
    """A command that is running, and the line in which it said what it has opened."""

    process: asyncio.subprocess.Process
    line: str

    async def end(self, number: int = signal.SIGTERM) -> int | None:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    @property
    def port(self) -> int:
        return int(self.line.partition("http://127.0.0.1:")[2].partition(":")[0])


@pytest.fixture
def environment(
    settings: Settings, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    del settings  # it has set the environment
    for name, value in {"FAILSOFT_DSN": dsn, "FAILSOFT_HOME": str(tmp_path), **SECRETS}.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


async def start(environment: dict[str, str], *command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "failsoft.cli.main", *command, env=environment,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def running(environment: dict[str, str], *command: str) -> AsyncIterator[Command]:
    process = await start(environment, *command)
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    try:
        yield Command(process, line)
    finally:
        if process.returncode is None:
            process.kill()
        _, said = await process.communicate()
    assert b"Traceback" not in said, said.decode()


async def failing(environment: dict[str, str], *command: str) -> tuple[int | None, str]:
    """Run a command that ends by itself; return its exit code and what it said."""
    process = await start(environment, *command)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_listen_brings_what_slack_sends_and_drains_at_a_signal(
    environment: dict[str, str], sandbox: Sandbox, store: Store, number: int
) -> None:
    async with running(environment, "listen", "slack-jira", "--door", "slack-socket") as command:
        assert "listening for slack-jira at slack-socket" in command.line
        report = await tell(sandbox, "events", socket=True, payload=message(), patience=20)
        assert report["deliveries"][0]["delivered"]
        assert [row["event_key"] for row in await store.runs.list()] == ["slack:T1:C1:1.000001"]
        assert await command.end(number) == 0


async def test_listen_opens_the_doors_of_the_settings_side_by_side(
    environment: dict[str, str], store: Store, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    doors = ",".join(f"maildir:{folder}" for folder in folders)
    async with running(environment | {"FAILSOFT_DOORS": doors}, "listen", "slack-jira") as command:
        for number, folder in enumerate(folders):
            (folder / "a.eml").write_bytes(MAIL.replace(b"<1@", b"<%d@" % number))
        async with asyncio.timeout(20):
            while len(await store.runs.list()) < 2:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
        assert await command.end() == 0


async def test_listen_ends_with_its_parent(environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "failsoft.cli.main", "listen", "slack-jira", "--door",
        "slack-socket", "--with-parent", env=environment, stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), 30)
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_door_that_can_never_work_ends_the_process_as_a_wrong_configuration(
    environment: dict[str, str],
) -> None:
    mine = environment | {"FAILSOFT_MAIL_RECIPIENTS": "support@sandbox.example"}
    doors = ("--door", "slack-socket", "--door", "smtp:192.0.2.1:2525")  # nobody's address
    code, said = await failing(mine, "listen", "slack-jira", *doors)
    assert (code, "Traceback" in said) == (3, False)
    assert said.splitlines()[-1].startswith("failsoft: smtp:192.0.2.1:2525 cannot be opened")


async def test_without_the_database_both_say_so(environment: dict[str, str]) -> None:
    away = environment | {"FAILSOFT_DSN": "postgresql://ann:s3cret@127.0.0.1:1/none"}
    for command in (["listen", "slack-jira", "--door", "slack-socket"], ["serve", "slack-jira"]):
        code, said = await failing(away, *command)
        assert (code, "does not answer" in said, "s3cret" in said) == (4, True, False)


async def test_serve_takes_what_comes_and_ends_what_is_in_hand_at_a_signal(
    environment: dict[str, str], store: Store
) -> None:
    async with running(environment, "serve", "slack-jira", "--port", "0") as command:
        reader, writer = await asyncio.open_connection("127.0.0.1", command.port)
        head = f"POST /mail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: {len(MAIL)}\r\n\r\n".encode() + MAIL[:40])
        await writer.drain()
        await asyncio.sleep(0.3)  # so that the request is in hand
        ending = asyncio.create_task(command.end())
        async with asyncio.timeout(20):
            while await reachable(command.port):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
        writer.write(MAIL[40:])
        assert b" 202 " in await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        assert await ending == 0
    assert len(await store.runs.list()) == 1


async def reachable(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_serve_has_several_agents_each_under_its_name(
    environment: dict[str, str], sandbox: Sandbox, store: Store
) -> None:
    async with running(
        environment, "serve", "slack-jira", "email-salesforce", "--port", "0"
    ) as command:
        assert "/agents/email-salesforce/slack/events" in command.line
        for agent in ("slack-jira", "email-salesforce"):
            url = f"http://127.0.0.1:{command.port}/agents/{agent}/slack/events"
            payload = message() | {"event_id": agent}
            report = await tell(sandbox, "events", url=url, secret=SLACK, payload=payload)
            assert report["deliveries"][0]["delivered"]
        assert await command.end() == 0
    agents = {row["agent"] for row in await store.runs.list()}
    assert agents == {"slack-jira", "email-salesforce"}


async def test_serve_without_a_secret_or_at_a_port_in_use_says_so(
    environment: dict[str, str],
) -> None:
    bare = {name: value for name, value in environment.items() if name not in SECRETS}
    code, said = await failing(bare, "serve", "slack-jira", "--port", "0")
    assert (code, "FAILSOFT_ANSWER_SECRET" in said) == (3, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = await failing(environment, "serve", "slack-jira", "--port", port)
    assert (code, port in said, "Traceback" in said) == (4, True, False)
