"""A real IMAP server as a process of its own, and its folders as another client sees them."""

import asyncio
import contextlib
import imaplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

PASSWORD = "demopass"  # noqa: S105  # of a server on this machine, with nothing in it


@dataclass
class Server:
    """A real IMAP server; it forgets everything when it ends."""

    port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, port: int) -> "Server":
        command = [str(Path(sys.executable).with_name("pymap")), "--host", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--port", str(port), "--no-tls", "dict"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        made = cls(port, process)
        while True:
            assert process.poll() is None
            with contextlib.suppress(OSError), made.client():
                return made

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def client(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=20) as client:
            client.login("demouser", PASSWORD)
            yield client


@dataclass
class Folder:
    """A folder of that server, as another client sees it."""

    server: Server
    name: str

    @property
    def spec(self) -> str:
        return f"imap://demouser@127.0.0.1:{self.server.port}/{self.name}"

    async def make(self) -> None:
        await self._do(lambda client: client.create(self.name))

    async def delete(self) -> None:
        await self._do(lambda client: client.delete(self.name))

    async def add(self, *numbers: int) -> None:
        for number in numbers:
            raw = mail(number)
            await self._do(lambda client, raw=raw: client.append(self.name, "", "", raw))  # type: ignore[misc]

    async def unseen(self) -> int:
        def looking(client: imaplib.IMAP4) -> Any:
            client.select(self.name, readonly=True)
            return client.search(None, "UNSEEN")

        (found,) = await self._do(looking)
        return len(found.split())

    async def forget_what_was_seen(self) -> None:
        def marking(client: imaplib.IMAP4) -> Any:
            client.select(self.name)
            return client.store("1:*", "-FLAGS", r"(\Seen)")

        await self._do(marking)

    async def _do(self, what: Callable[[imaplib.IMAP4], Any]) -> Any:
        def doing() -> Any:
            with self.server.client() as client:
                said, data = what(client)
                assert said == "OK", data
                return data

        return await asyncio.to_thread(doing)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def mail(number: int) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.com", "support@example.com"
    message["Message-ID"], message["Subject"] = f"<{number}@example.com>", f"mail {number}"
    message.set_content("The invoice is wrong.")
    return bytes(message)
