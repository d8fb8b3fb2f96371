"""One inbound thing, whatever door it came through."""

import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import Self

from failsoft.errors import InvalidEventError
from failsoft.parsing import JSONObject, clean_json, clean_text

NAMESPACE = uuid.UUID("8f6a9d1c-6d0e-5f0b-9c53-2f8f0c0a1d7e")
MAX_KEY = 512  # characters
MAX_TEXT = 1024 * 1024  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One inbound thing, normalised: a business key, the text, and facts that a door knows.

    The same thing always has the same key, however often and through whatever door it comes.
    `thread` is the key of the event that this one answers, if any.
    """

    key: str
    source: str
    text: str
    facts: JSONObject = field(default_factory=dict)
    thread: str | None = None

    def __post_init__(self) -> None:
        if not self.key.strip() or len(self.key) > MAX_KEY:
            raise InvalidEventError(f"An event key has 1 to {MAX_KEY} characters.")
        if len(self.text) > MAX_TEXT:
            raise InvalidEventError(
                f"The text has {len(self.text)} characters; {MAX_TEXT} are allowed."
            )
        object.__setattr__(self, "key", clean_text(self.key))
        object.__setattr__(self, "text", clean_text(self.text))
        object.__setattr__(self, "facts", clean_json(self.facts))

    def to_json(self) -> JSONObject:
        return asdict(self)

    @classmethod
    def from_json(cls, value: JSONObject) -> Self:
        """Build an event from its JSON form.

        Raises:
            InvalidEventError: a field is missing, unknown, or of another type.
        """
        key, source, text = value.get("key"), value.get("source", "cli"), value.get("text")
        facts, thread = value.get("facts", {}), value.get("thread")
        if unknown := value.keys() - {"key", "source", "text", "facts", "thread"}:
            raise InvalidEventError(f"An event has no field {min(unknown)!r}.")
        if not (isinstance(key, str) and isinstance(source, str) and isinstance(text, str)):
            raise InvalidEventError("An event needs the strings `key`, `source` and `text`.")
        if not isinstance(facts, dict) or not (thread is None or isinstance(thread, str)):
            raise InvalidEventError("`facts` must be an object and `thread` a string.")
        return cls(key=key, source=source, text=text, facts=facts, thread=thread)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """An inbound thing that starts nothing, with the reason that is listed."""

    key: str
    reason: str


def run_id_of(agent: str, event_key: str) -> uuid.UUID:
    """Return the run of an event: uuid5 over the JSON list, so that no two pairs collide."""
    return uuid.uuid5(NAMESPACE, json.dumps([agent, event_key]))
