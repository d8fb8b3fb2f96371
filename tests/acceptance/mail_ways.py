"""The ways in for mail."""

import asyncio
import contextlib
import imaplib
import mailbox
import smtplib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2

from failsoft.intake.admission import Reception
from failsoft.intake.doors import open_door
from failsoft.intake.smtp import SmtpDoor
from tests.acceptance.ways import MAIL, NO_TLS, US, Served, Thing, Way

PATIENCE = 120.0  # seconds of whoever sends: here every door shares one process


class Maildir(Way):
    name = "Maildir"
    carries = (MAIL,)

    def __post_init__(self) -> None:
        self.folder = self.settings.home / "maildir"
        self.box = mailbox.Maildir(self.folder, create=True)
        self.doors = [open_door(f"maildir:{self.folder}", self.settings)]

    async def send(self, thing: Thing) -> None:
        await asyncio.to_thread(self.box.add, thing.raw)

    async def left(self) -> int:
        return len(list((self.folder / "new").iterdir()))


class Smtp(Way):
    name = "SMTP"
    carries = (MAIL,)

    def __post_init__(self) -> None:
        self.door = SmtpDoor.at("smtp:127.0.0.1:0", self.settings)
        self.doors = [self.door]

    async def send(self, thing: Thing) -> None:
        while not self.door.port:  # noqa: ASYNC110  # it says so when it is open
            await asyncio.sleep(0.01)

        await asyncio.to_thread(self._transfer, thing.raw)

    def _transfer(self, raw: bytes) -> None:
        """Do as a sender's server does: put off with 451, it tries again."""
        with smtplib.SMTP("127.0.0.1", self.door.port, "there", timeout=PATIENCE) as client:
            code, said = 451, b""
            while code == 451:
                client.ehlo_or_helo_if_needed()
                client.mail("ann@customer.example")
                client.rcpt(US)
                code, said = client.data(raw)
        assert code == 250, said


class Imap(Way):
    name = "IMAP"
    carries = (MAIL,)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.server = self._started()
        spec = f"imap://demouser@127.0.0.1:{self.port}/INBOX"
        self.doors = [open_door(spec, self.settings)]

    def _started(self) -> "subprocess.Popen[bytes]":
        command = [str(Path(sys.executable).with_name("pymap")), "--host", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--port", str(self.port), "--no-tls", "dict"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not reachable(self.port):
            assert process.poll() is None
        return process

    @contextlib.asynccontextmanager
    async def open(self, reception: Reception) -> AsyncIterator[None]:
        try:
            async with super().open(reception):
                yield
        finally:
            self.server.kill()
            self.server.wait()

    @contextlib.contextmanager
    def client(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.login("demouser", "demopass")
            yield client

    async def send(self, thing: Thing) -> None:
        def appending() -> None:
            with self.client() as client:
                said, _ = client.append("INBOX", "", "", thing.raw)
                assert said == "OK"

        await asyncio.to_thread(appending)

    async def left(self) -> int:
        def looking() -> int:
            with self.client() as client:
                client.select("INBOX", readonly=True)
                return len(client.search(None, "UNSEEN")[1][0].split())

        return await asyncio.to_thread(looking)


class MailHttp(Served):
    name = "mail by HTTP"
    carries = (MAIL,)

    async def send(self, thing: Thing) -> None:
        token = self.settings.mail_token
        assert token is not None
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        async with httpx2.AsyncClient(timeout=PATIENCE, verify=NO_TLS) as client:
            answer = await client.post(f"{self.url}/mail", content=thing.raw, headers=headers)
        assert answer.status_code == 202, answer.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reachable(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
