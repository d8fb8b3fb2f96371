"""What one mail may cost: limits that are checked before anything of it is parsed.

The parser of the standard library is quadratic in the depth of a mail and in the length of some
headers, and makes an object of each line: so it only ever sees header blocks and text of bounded
size, and never the whole of a mail.
"""

import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from failsoft.errors import InvalidEventError

MAX_BYTES = 40 * 1024 * 1024  # of a mail, with its attachments
MAX_HEAD = 256 * 1024  # bytes of all headers of a mail, or of a part
MAX_HEADERS = 500  # of a mail, or of a part
MAX_CONTENT_HEADER = 4096  # characters of a Content-Type or Content-Disposition
MAX_DEPTH = 20  # levels of parts within parts
MAX_PARTS = 50
MAX_SECONDS = 0.75  # of processor time
MAX_ENCODED = 1024 * 1024  # bytes of a part's text before it is decoded; the rest is not read
MAX_TEXT = 256 * 1024  # characters of a mail's text; the rest is not read

_BLANK_LINE = re.compile(rb"\A\r?\n|\n\r?\n")


class Reason(StrEnum):
    """Why a mail starts nothing; from TOO_LARGE on it is a rejection, whose bytes are kept."""

    OWN = "our own mail"
    BOUNCE = "a report about a mail, such as a bounce"
    AUTOMATIC = "an automatic mail"
    BULK = "mail of a list, or sent to many"
    TOO_LARGE = f"a mail of more than {MAX_BYTES // 1024 // 1024} MiB"
    NO_HEADERS = "no mail: it begins with no header"
    HEAD_TOO_LARGE = f"a mail with more than {MAX_HEAD // 1024} KiB of headers"
    TOO_MANY_HEADERS = f"a mail with more than {MAX_HEADERS} headers"
    HEADER_TOO_LONG = f"a mail with a content header of more than {MAX_CONTENT_HEADER} characters"
    TOO_DEEP = f"a mail with parts nested deeper than {MAX_DEPTH} levels"
    TOO_MANY_PARTS = f"a mail with more than {MAX_PARTS} parts"
    TOO_SLOW = f"a mail that takes more than {MAX_SECONDS:g} s to read"
    UNREADABLE = "a mail that cannot be read"


@dataclass(kw_only=True, slots=True)
class Allowance:
    """What is left for one mail: parts, and this thread's processor time until `until`."""

    until: float
    parts: int = MAX_PARTS

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Begin a mail.

        Raises:
            InvalidEventError: it is too large.
        """
        if len(raw) > MAX_BYTES:
            raise InvalidEventError(Reason.TOO_LARGE)
        return cls(until=time.thread_time() + MAX_SECONDS)

    @property
    def is_over(self) -> bool:
        return time.thread_time() > self.until

    def spend(self, *, parts: int = 0) -> None:
        """Take note of work.

        Raises:
            InvalidEventError: there are too many parts, or the time is over.
        """
        self.parts -= parts
        if self.parts < 0:
            raise InvalidEventError(Reason.TOO_MANY_PARTS)
        if self.is_over:
            raise InvalidEventError(Reason.TOO_SLOW)


def head_of(raw: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Return the header block of what lies in raw[start:end], and where its body begins.

    Raises:
        InvalidEventError: the block is too large, or it has too many headers.
    """
    found = _BLANK_LINE.search(raw[start : min(end, start + MAX_HEAD + 1)])
    stop = start + found.end() if found else end
    if stop - start > MAX_HEAD:
        raise InvalidEventError(Reason.HEAD_TOO_LARGE)
    head = raw[start:stop]
    folded = head.count(b"\n ") + head.count(b"\n\t")
    if head.count(b"\n") - folded > MAX_HEADERS:
        raise InvalidEventError(Reason.TOO_MANY_HEADERS)
    return head, stop
