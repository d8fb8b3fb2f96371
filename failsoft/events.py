"""One inbound thing, whatever door it came through."""

import json
import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import Self

from failsoft.errors import InvalidEventError
from failsoft.parsing import JSONObject, clean_json, clean_text

NAMESPACE = uuid.UUID("8f6a9d1c-6d0e-5f0b-9c53-2f8f0c0a1d7e")
MAX_KEY = 512  # characters
MAX_REFS = 32
MAX_RAW = 64 * 1024  # bytes that are kept of what cannot be read
MAX_TEXT = 1024 * 1024  # characters
MAX_REASON = 200  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One inbound thing, normalised: a business key, the text, and facts that a door knows.

    The same thing always has the same key, however often and through whatever door it comes.
    `thread` is the key of the event that this one answers, if any; `refs` are further keys that it
    may answer, the likeliest first, where `txn:<transaction id>` names what one of our own writes
    answered. `joins` is the run that it belongs to, found at admission. `sender` is who sent it;
    `digest` tells two things apart that came under one key.
    """

    key: str
    source: str
    text: str
    facts: JSONObject = field(default_factory=dict)
    thread: str | None = None
    refs: list[str] = field(default_factory=list)
    joins: str | None = None
    sender: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if not self.key.strip() or len(self.key) > MAX_KEY:
            raise InvalidEventError(f"An event key has 1 to {MAX_KEY} characters.")
        if len(self.text) > MAX_TEXT:
            raise InvalidEventError(
                f"The text has {len(self.text)} characters; {MAX_TEXT} are allowed."
            )
        if self.joins is not None and not _is_uuid(self.joins):
            raise InvalidEventError("`joins` must be the id of a run.")
        # What Postgres does not take would come again for ever: its source is never told "taken".
        for name in ("key", "source", "text"):
            object.__setattr__(self, name, clean_text(getattr(self, name)))
        object.__setattr__(self, "facts", clean_json(self.facts))
        refs = [clean_text(ref)[:MAX_KEY] for ref in self.refs[:MAX_REFS]]
        object.__setattr__(self, "refs", refs)
        for name in ("thread", "sender", "digest"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, clean_text(value)[:MAX_KEY])

    @property
    def answers(self) -> list[str]:
        """The keys of what this may be an answer to, the likeliest first; never its own."""
        keys = [self.thread, *self.refs] if self.thread else self.refs
        return [key for key in dict.fromkeys(keys) if key != self.key]

    def to_json(self) -> JSONObject:
        return asdict(self)

    @classmethod
    def from_json(cls, value: JSONObject) -> Self:
        """Build an event from its JSON form.

        Raises:
            InvalidEventError: a field is missing, unknown, or of another type.
        """
        key, source, text = value.get("key"), value.get("source", "cli"), value.get("text")
        facts, refs = value.get("facts", {}), value.get("refs", [])
        if unknown := value.keys() - {field.name for field in fields(cls)}:
            raise InvalidEventError(f"An event has no field {min(unknown)!r}.")
        if not (isinstance(key, str) and isinstance(source, str) and isinstance(text, str)):
            raise InvalidEventError("An event needs the strings `key`, `source` and `text`.")
        if not isinstance(facts, dict):
            raise InvalidEventError("`facts` must be an object.")
        if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
            raise InvalidEventError("`refs` must be a list of strings.")
        strings = {name: _string(value, name) for name in ("thread", "joins", "sender", "digest")}
        listed = [ref for ref in refs if isinstance(ref, str)]
        return cls(key=key, source=source, text=text, facts=facts, refs=listed, **strings)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _string(value: JSONObject, name: str) -> str | None:
    found = value.get(name)
    if found is None or isinstance(found, str):
        return found
    raise InvalidEventError(f"`{name}` must be a string.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """An inbound thing that starts nothing, with the reason that is listed.

    `raw` holds the bytes of what could not be read: then it is a rejection, to be looked at.
    """

    key: str
    reason: str
    raw: bytes | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", clean_text(self.key)[:MAX_KEY])
        object.__setattr__(self, "reason", clean_text(self.reason)[:MAX_REASON])


def run_id_of(agent: str, event_key: str) -> uuid.UUID:
    """Return the run of an event: uuid5 over the JSON list, so that no two pairs collide."""
    return uuid.uuid5(NAMESPACE, json.dumps([agent, event_key]))
