"""An IMAP server that says what a test wants it to: what the real one cannot be made to say."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from typing_extensions import override


class Script(socketserver.ThreadingTCPServer):
    """One folder with `mails` by UID; `answers` go before what it says by itself.

    A mail that is None lies there without content; those in `vanishing` are gone once they are
    asked for. An answer is keyed by the beginning of a command and stands for the whole of what
    follows its tag; `heard` holds what clients said.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.mails: dict[int, bytes | None] = {}
        self.vanishing: set[int] = set()
        self.answers: dict[str, str] = {}
        self.heard: list[str] = []
        self.authenticated: bytes | None = None

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port


class Talk(socketserver.StreamRequestHandler):
    """One connection."""

    @override
    def handle(self) -> None:
        self.say("* OK ready")
        for raw in self.rfile:
            tag, _, command = raw.decode().strip().partition(" ")
            self.script.heard.append(command)
            given = [
                said for start, said in self.script.answers.items() if command.startswith(start)
            ]
            self.say(f"{tag} {given[0] if given else self.answer(command)}")
            if command == "LOGOUT":
                return

    @property
    def script(self) -> Script:
        return cast("Script", self.server)

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def answer(self, command: str) -> str:
        match command.split():
            case ["CAPABILITY"]:
                self.say("* CAPABILITY IMAP4rev1 AUTH=XOAUTH2")
            case ["AUTHENTICATE", "XOAUTH2", *initial]:
                return self.authenticate(initial)
            case ["SELECT", *_]:
                self.say("* OK [UIDVALIDITY 7] the only one")
            case ["UID", "SEARCH", *_]:
                self.say(" ".join(["* SEARCH", *map(str, self.script.mails)]))
            case ["UID", "FETCH", uid, *_] if int(uid) in self.script.vanishing:
                del self.script.mails[int(uid)]
            case ["UID", "FETCH", uid, *_] if int(uid) in self.script.mails:
                raw = self.script.mails[int(uid)]
                content = b"NIL" if raw is None else b"{%d}\r\n%b" % (len(raw), raw)
                self.wfile.write(b"* 1 FETCH (UID %b BODY[]<0> %b)\r\n" % (uid.encode(), content))
        return "OK done"

    def authenticate(self, initial: list[str]) -> str:
        """Take the token, with the command or after it; a wrong one is told in a challenge."""
        if not initial:
            self.say("+ ")
            initial = [self.rfile.readline().decode().strip()]
        self.script.authenticated = base64.b64decode(initial[0])
        if b"auth=Bearer good" in self.script.authenticated:
            return "OK welcome"
        self.say("+ " + base64.b64encode(b'{"status":"400"}').decode())
        self.script.heard.append(self.rfile.readline().decode())
        return "NO AUTHENTICATE failed"


@contextmanager
def scripted() -> Iterator[Script]:
    with Script() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
