"""Mails that are meant to break whoever reads them, each with what it must end as."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from failsoft.intake.mail_limits import Reason

CORPUS = Path(__file__).parents[1] / "data" / "cpython_mails" / "mails.zip"
MIB = 1024 * 1024

HEAD = (
    b"From: Ann <ann@example.com>\r\nTo: support@example.com\r\nDate: Tue, 3 Mar 2026 10:00:00"
    b" +0100\r\nMessage-ID: <bomb@example.com>\r\nSubject: Help\r\nMIME-Version: 1.0\r\n"
)


@dataclass(frozen=True, kw_only=True)
class Bomb:
    """A mail, and why it is rejected: None where it is an event."""

    make: Callable[[], bytes]
    reason: Reason | None = None


def corpus() -> dict[str, bytes]:
    """Return the mails of CPython's own tests by name."""
    with ZipFile(CORPUS) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def plain(body: bytes, *headers: bytes) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body


def typed(kind: bytes, body: bytes, encoding: bytes = b"8bit") -> bytes:
    return plain(body, b"Content-Type: " + kind, b"Content-Transfer-Encoding: " + encoding)


def html(body: bytes) -> bytes:
    return typed(b"text/html; charset=utf-8", b"<p>It broke.</p>" + body)


def headed(name: bytes, value: bytes) -> bytes:
    """Put a header before all others, so that it is the first of its name."""
    return name + b": " + value + b"\r\n" + plain(b"It broke.\r\n")


def in_parts(*parts: bytes, kind: bytes = b"multipart/mixed", boundary: bytes = b"b") -> bytes:
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return typed(kind + b'; boundary="' + boundary + b'"', body + b"--" + boundary + b"--\r\n")


def nested(levels: int, boundary: Callable[[int], bytes]) -> bytes:
    layers = (
        b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n--%b\r\n' % (name, name)
        for name in map(boundary, range(levels))
    )
    return HEAD + b"".join(layers) + b"\r\nIt broke.\r\n"


def texts(count: int, size: int, kind: bytes = b"text/html") -> Iterator[bytes]:
    for _ in range(count):
        yield b"Content-Type: " + kind + b"\r\n\r\n" + b"<b> &amp;" * (size // 9)


def noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)


def fold(size: int, line: bytes) -> bytes:
    return line * (size // len(line))
