"""The parts of a mail, found by their boundaries alone; the library parses their headers only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import TypeAlias, TypeVar

from failsoft.errors import InvalidEventError
from failsoft.intake.mail_charsets import decoded
from failsoft.intake.mail_limits import (
    MAX_CONTENT_HEADER,
    MAX_DEPTH,
    MAX_ENCODED,
    MAX_HEAD,
    Allowance,
    Reason,
    head_of,
)

T = TypeVar("T")
Head: TypeAlias = "Message[str, str]"

TAIL = 200  # bytes behind a boundary that may be blanks
MESSAGE = "message/rfc822"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A mail or a part of one: its headers, and where in `raw` its body lies."""

    head: Head
    raw: bytes
    start: int
    end: int
    children: tuple["Part", ...] = ()

    @property
    def kind(self) -> str:
        """The media type in lower case: text/plain where none can be read."""
        return _safely(self.head.get_content_type, "text/plain")

    @property
    def name(self) -> str:
        """The file name; an empty string where it has none."""
        return _safely(self.head.get_filename, None) or ""

    @property
    def is_attachment(self) -> bool:
        return _safely(self.head.get_content_disposition, None) == "attachment"

    @property
    def size(self) -> int:
        """About how many bytes it has, decoded."""
        encoded = self.end - self.start
        if self._encoding != "base64":
            return encoded
        return (encoded - 2 * self.raw.count(b"\n", self.start, self.end)) * 3 // 4

    def leaves(self) -> Iterator["Part"]:
        """Yield what has no parts of its own, and whole messages that came attached."""
        if not self.children or self.kind == MESSAGE:
            yield self
            return
        for child in self.children:
            yield from child.leaves()

    def text(self) -> str:
        """Return the beginning of the body as text, whatever its encoding and charset say."""
        end = min(self.end, self.start + MAX_ENCODED)
        if end < self.end and self._encoding == "base64":
            end = self.raw.rfind(b"\n", self.start, end) + 1 or end
        holder: Head = Message()
        if self._encoding in {"base64", "quoted-printable"}:
            holder["Content-Transfer-Encoding"] = self._encoding
        holder.set_payload(self.raw[self.start : end].decode("ascii", "surrogateescape"))
        payload = holder.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        charset = _safely(self.head.get_content_charset, None)
        return decoded(content, charset, whole=end == self.end)

    @property
    def _encoding(self) -> str:
        return str(self.head.get("Content-Transfer-Encoding", "")).strip().lower()


def parts_of(raw: bytes, allowance: Allowance) -> Part:
    """Return a mail with its parts.

    A boundary that never comes leaves the body in one piece; one that does not close ends with what
    is around it.

    Raises:
        InvalidEventError: it is no mail, or it goes beyond a limit.
    """
    if b"\n" not in raw[:MAX_HEAD]:
        raw = raw.replace(b"\r", b"\n")  # as some old machines end their lines
    part = _part(raw, 0, len(raw), allowance, 0)
    if not part.head.keys():
        raise InvalidEventError(Reason.NO_HEADERS)
    return part


def _part(raw: bytes, start: int, end: int, allowance: Allowance, depth: int) -> Part:
    if depth > MAX_DEPTH:
        raise InvalidEventError(Reason.TOO_DEEP)
    allowance.spend(parts=1)
    block, body = head_of(raw, start, end)
    head: Head = BytesHeaderParser().parsebytes(block)
    for name in ("Content-Type", "Content-Disposition"):
        if len(str(head.get(name, ""))) > MAX_CONTENT_HEADER:
            raise InvalidEventError(Reason.HEADER_TOO_LONG)
    # What follows the headers without a blank line is body already.
    early = head.get_payload()
    body -= len(early) if isinstance(early, str) else 0
    part = Part(head=head, raw=raw, start=body, end=end)
    children = tuple(
        _part(raw, first, last, allowance, depth + 1) for first, last in _sections(part, allowance)
    )
    if part.kind == "multipart/digest":
        for child in children:
            child.head.set_default_type(MESSAGE)
    return Part(head=head, raw=raw, start=body, end=end, children=children)


def _sections(part: Part, allowance: Allowance) -> Iterator[tuple[int, int]]:
    """Yield where the parts of a part lie; nothing when it has none."""
    if part.kind == MESSAGE:
        yield part.start, part.end
    boundary = _boundary(part) if part.kind.startswith("multipart/") else None
    if not boundary:
        return
    first: int | None = None
    for at, after, closes in _delimiters(part, b"--" + boundary, allowance):
        if first is not None:
            yield first, max(first, at)
        first = after
        if closes:
            return
    if first is not None:
        yield first, part.end


def _delimiters(part: Part, mark: bytes, allowance: Allowance) -> Iterator[tuple[int, int, bool]]:
    """Yield each delimiter: where the part before ends, where the next begins, whether it closes.

    The line end before a delimiter belongs to it.
    """
    raw, end = part.raw, part.end
    first = raw.startswith(mark, part.start, end)
    at = part.start if first else raw.find(b"\n" + mark, part.start, end) + 1 or -1
    while at >= 0:
        tail = raw[at + len(mark) : min(end, at + len(mark) + TAIL)]
        line, ended, _ = tail.partition(b"\n")
        if line.strip() in {b"", b"--"} and (ended or len(tail) < TAIL):
            before = at - 1 if raw[at - 2 : at] != b"\r\n" else at - 2
            yield before, at + len(mark) + len(line) + len(ended), line.strip() == b"--"
        allowance.spend()
        at = raw.find(b"\n" + mark, at + len(mark) - 1, end) + 1 or -1


def _boundary(part: Part) -> bytes | None:
    boundary = _safely(part.head.get_boundary, None)
    try:
        return boundary.encode("ascii", "surrogateescape") if boundary else None
    except UnicodeError:
        return None  # no line of the mail can be that


def _safely(read: Callable[[], T], otherwise: T) -> T:
    """Return what the library reads from a header, or `otherwise` where it fails on it."""
    try:
        return read()
    except Exception:  # noqa: BLE001  # it fails in many ways, none of them documented
        return otherwise
