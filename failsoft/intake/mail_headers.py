"""The headers of a mail: raw for keys, readable for people; nothing in them can add a line."""

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import getaddresses, parsedate_to_datetime
from typing import NamedTuple, Self

from failsoft.intake.mail_charsets import decoded
from failsoft.intake.mail_parts import Head

MAX_LINE = 1000  # characters that are kept of a subject
MAX_NAME = 200  # characters that are kept of a person's or file's name
MAX_WORDS = 8192  # characters in which encoded words are looked for
MAX_ADDRESSES = 16 * 1024  # characters of a header in which addresses are looked for
MOST_ADDRESSES = 50  # that are kept of a header
MAX_ID = 300  # characters of a Message-ID; it has to fit into a key

_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_ID = re.compile(r"<[^<>\s]+>")
# Some relays add a comment: <1@x> (added by postmaster@y).
_WHOLE_ID = re.compile(r"(<[^<>\s]+>)(?:\s*\([^()]*\))?")
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:\"@]{1,64}@[^\s<>()\[\]\\,;:\"@]{1,255}")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Address(NamedTuple):
    """Somebody in a header; `address` is well-formed and in the case in which it was written."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Headers:
    """All headers of a mail by lower-case name, raw but unfolded, in their order."""

    fields: dict[str, list[str]]

    @classmethod
    def of(cls, head: Head) -> Self:
        fields: dict[str, list[str]] = {}
        for name, value in head.raw_items():
            fields.setdefault(name.lower(), []).append(_unfolded(value))
        return cls(fields=fields)

    def every(self, name: str) -> list[str]:
        """Return the raw values of a header, which may be there more than once."""
        return self.fields.get(name.lower(), [])

    def raw(self, name: str) -> str:
        """Return the first raw value, an empty string where there is none."""
        return next(iter(self.every(name)), "")

    def text(self, name: str) -> str:
        """Return the first value as a person reads it, in one line."""
        return one_line(words(self.raw(name)), MAX_LINE)

    def addresses(self, name: str) -> list[Address]:
        """Return whom a header names; what is no address is left out.

        Addresses are looked for before words are decoded, so that no encoded word makes one.
        """
        try:
            found = getaddresses([value[:MAX_ADDRESSES] for value in self.every(name)[:4]])
        except Exception:  # noqa: BLE001  # nested comments end in RecursionError, others elsewhere
            found = []
        return [
            Address(one_line(words(who), MAX_NAME), address)
            for who, address in found[:MOST_ADDRESSES]
            if _ADDRESS.fullmatch(address) and not _CONTROLS.search(address)
        ]

    def message_id(self) -> str | None:
        """Return the Message-ID as it stands in the mail, None where it is missing or malformed."""
        found = _WHOLE_ID.fullmatch(self.raw("message-id").strip())
        return found[1] if found and len(found[1]) <= MAX_ID else None

    def answered(self) -> list[str]:
        """Return the ids of what this mail may answer, the likeliest first."""
        near = [each for value in self.every("in-reply-to") for each in _ID.findall(value)]
        far = [each for value in self.every("references") for each in _ID.findall(value)]
        return [each for each in dict.fromkeys([*near, *reversed(far)]) if len(each) <= MAX_ID]

    def date(self) -> str:
        """Return when it was sent, in UTC and as ISO 8601 writes it; empty where nobody knows."""
        try:
            return parsedate_to_datetime(self.raw("date")[:MAX_NAME]).astimezone(UTC).isoformat()
        except Exception:  # noqa: BLE001  # it fails in many ways
            return ""


def words(value: str) -> str:
    """Return a header's text with its encoded words decoded; what cannot be decoded stays."""
    value = value[:MAX_WORDS]
    parts: list[str] = []
    end, before = 0, ("", b"")  # the word before, which the next one may go on with
    for found in _WORD.finditer(value):
        between = value[end : found.start()]
        content = _content(found[2].lower(), found[3])
        if content is None:
            continue
        charset = found[1].partition("*")[0]
        if parts and before[0] == charset and not between.strip():
            content = before[1] + content  # a character may be cut in two
            parts.pop()
        elif between.strip() or not before[0]:
            parts.append(between)
        parts.append(decoded(content, charset))
        end, before = found.end(), (charset, content)
    return "".join([*parts, value[end:]])


def one_line(text: str, limit: int) -> str:
    """Return a text in one line without control characters, cut at `limit`."""
    return " ".join(_CONTROLS.sub(" ", text).split())[:limit]


def _content(encoding: str, text: str) -> bytes | None:
    try:
        raw = text.encode("ascii")
        if encoding == "q":
            return quopri.decodestring(raw, header=True)
        return binascii.a2b_base64(raw + b"==")
    except (UnicodeError, binascii.Error):
        return None


def _unfolded(value: str) -> str:
    raw = str(value).encode("utf-8", "surrogateescape")
    return " ".join(_lines(decoded(raw, None)))


def _lines(text: str) -> Iterator[str]:
    yield from (line.strip() for line in text.split("\n"))
