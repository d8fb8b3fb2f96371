"""What a message of a queue holds: an event, a Slack delivery, a raw mail; or it is rejected."""

import hashlib
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qs, urlsplit

from failsoft.errors import ConfigurationError, InvalidDataError, InvalidEventError
from failsoft.events import MAX_RAW, Event, Ignored
from failsoft.intake.mail import MailRules, read_mail
from failsoft.intake.slack import normalise
from failsoft.parsing import parse_object
from failsoft.settings import Settings

MAIL = "message/rfc822"
OPEN = 200  # characters of a message's id that go into a key; of a longer one its hash does


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageReader:
    """Reads the messages of one queue, whatever library brought them.

    A message without a `key` of its own is keyed by the id that its broker gives it, which is the
    same at each redelivery; two messages that somebody published twice are then two events.
    """

    queue: str
    settings: Settings

    def read(
        self, body: bytes, *, message_id: str | None, content_type: str = ""
    ) -> Event | Ignored:
        """Return what a message holds; it never raises: what cannot be read is a rejection."""
        if content_type.partition(";")[0].strip().lower() == MAIL:
            return read_mail(body, MailRules.of(self.settings))
        try:
            return self._event(body, message_id)
        except (InvalidDataError, InvalidEventError) as error:
            digest = hashlib.sha256(body).hexdigest()
            key = f"queue:{self.queue}:sha256:{digest}"
            return Ignored(key=key, reason=f"an unreadable message: {error}", raw=body[:MAX_RAW])

    def _event(self, body: bytes, message_id: str | None) -> Event | Ignored:
        payload = parse_object(body)
        if "key" not in payload and "event" in payload:
            return normalise(payload, own_bot_id=self.settings.slack_bot_id)
        if "key" not in payload and message_id:
            payload["key"] = f"queue:{self.queue}:{_short(message_id)}"
            # Some publishers give the same id to all they send.
            payload.setdefault("digest", hashlib.sha256(body).hexdigest())
        event = Event.from_json(payload)
        if event.joins is not None:  # only the reception knows which run an event joins
            event = replace(event, joins=None)
        return event if "source" in payload else replace(event, source="queue")


def _short(message_id: str) -> str:
    """Return an id whole, or what no other id has in its place."""
    if len(message_id) <= OPEN:
        return message_id
    return f"sha256:{hashlib.sha256(message_id.encode()).hexdigest()}"


def address_of(spec: str, needed: tuple[str, ...]) -> tuple[SplitResult, dict[str, str]]:
    """Return the parts of a URL-like spec, and the options behind its question mark.

    Raises:
        ConfigurationError: it holds a password, lacks an option, or is no URL.
    """
    try:
        parts = urlsplit(spec)
        port = parts.port
    except ValueError:
        raise ConfigurationError("The spec of a door is no URL that can be read.") from None
    form = f"{parts.scheme}://USER@HOST:{port or 'PORT'}/…?" + "&".join(f"{n}=…" for n in needed)
    if parts.password is not None:
        raise ConfigurationError(f"Leave the password to FAILSOFT_QUEUE_PASSWORD: {form}.")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if not parts.hostname or any(name not in options for name in needed):
        raise ConfigurationError(f"A door to a queue is written {form}.")
    return parts, options
