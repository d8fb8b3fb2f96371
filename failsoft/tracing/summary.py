"""What a trace keeps of inputs and outputs: short JSON without secrets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from langchain_core.messages import BaseMessage
from langgraph.types import Command, Send
from pydantic import SecretStr

from failsoft.parsing import JSON, JSONObject, clean_text

MAX_TEXT = 2000  # characters of one span's inputs or outputs
MAX_DEPTH = 8
MARGIN = 4096  # characters, longer than a secret: what is cut off must not leave half of one
REDACTED = "[redacted]"
PRIVATE_KEYS = frozenset(
    {"api_key", "apikey", "authorization", "config", "configurable", "context", "cookie",
     "password", "secret", "token"},
)  # fmt: skip
# By what each contains, in lower case: to look for that first is ten times cheaper.
SECRET_SHAPES = {
    mark: re.compile(shape)
    for mark, shape in {
        "bearer": r"(?i:\bbearer)\s+[\w.~+/=-]{8,}",
        "basic": r"(?i:\bbasic)\s+(?=[a-z]*[A-Z0-9+/=])[A-Za-z0-9+/]{8,}={0,2}",
        "://": r"(?<=://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)",
        "xox": r"\bxox[a-z](?:\.xox[a-z])?-[\w-]{6,}",
        "xapp-": r"\bxapp-[\w-]{6,}",
        "sk-": r"\bsk-[\w-]{8,}",
        "lsv2_": r"\blsv2_\w{8,}",
        "atatt": r"\bATATT[\w=-]{8,}",
        "ghp_": r"\bghp_\w{20,}",
        "ghs_": r"\bghs_\w{20,}",
        "akia": r"\bAKIA[A-Z0-9]{16}\b",
    }.items()
}

SHORTEST = 6  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """Takes secrets out of texts: the exact values that are known, and what looks like one."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, secrets: Sequence[SecretStr]) -> Self:
        # A very short one is no secret, and taking it out would only spoil every text.
        values = (secret.get_secret_value() for secret in secrets)
        known = {value for value in values if len(value) >= SHORTEST}
        # The longest first: one secret may begin with another.
        return cls(secrets=tuple(sorted(known, key=len, reverse=True)))

    def text(self, text: str, limit: int) -> str:
        """Return at most `limit` characters of `text` without its secrets."""
        window = text[: limit + MARGIN]
        clean = clean_text(window)
        for secret in self.secrets:
            clean = clean.replace(secret, REDACTED)
        lowered = clean.lower()
        for mark, shape in SECRET_SHAPES.items():
            if mark in lowered:
                clean = shape.sub(REDACTED, clean)
        if len(text) > len(window):  # the window may end inside a secret
            clean = clean[: max(0, len(clean) - MARGIN)]
        return clean if len(clean) <= limit and len(window) == len(text) else clean[:limit] + "…"


class Summary:
    """A JSON value that stands for any object, with at most `MAX_TEXT` characters of text.

    Objects that are no data (clients, contexts, secrets) appear by their class only: their repr
    belongs to somebody else.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._left = MAX_TEXT

    def of(self, value: object, depth: int = 0) -> JSON:
        if self._left <= 0 or depth > MAX_DEPTH:
            return "…"
        if value is None or isinstance(value, bool | float):
            self._left -= 6
            return value
        if isinstance(value, int):  # a huge one cannot even be printed
            self._left -= 20
            return value if value.bit_length() < 64 else "…"
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple):
            return self._list(value, depth)
        return self._text(value) if isinstance(value, str) else self._object(value, depth)

    def _text(self, text: str) -> str:
        short = self._redaction.text(text, self._left)
        self._left -= len(short) + 2
        return short

    def _mapping(self, value: Mapping[object, object], depth: int) -> JSONObject:
        found: JSONObject = {}
        for key, item in value.items():
            if self._left <= 0:
                found["…"] = f"{len(value) - len(found)} more"
                break
            name = self._text(str(key))
            hidden = name.casefold() in PRIVATE_KEYS
            found[name] = REDACTED if hidden else self.of(item, depth + 1)
        return found

    def _list(self, value: Sequence[object], depth: int) -> list[JSON]:
        found: list[JSON] = []
        for item in value:
            if self._left <= 0:
                return [*found, f"… {len(value) - len(found)} more"]
            found.append(self.of(item, depth + 1))
        return found

    def _object(self, value: object, depth: int) -> JSON:
        if isinstance(value, BaseMessage):
            return self.of({value.type: value.content}, depth)
        if isinstance(value, Command):
            fields = {"goto": value.goto, "update": value.update, "resume": value.resume}
            return self.of({name: item for name, item in fields.items() if item}, depth)
        if isinstance(value, Send):
            return self.of({"node": value.node, "arg": value.arg}, depth)
        if isinstance(value, UUID):
            return self._text(str(value))
        return self._text(f"<{type(value).__name__}>")
