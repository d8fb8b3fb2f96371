"""The body of a delivery from Slack, whatever way it came, as something that can be admitted."""

import hashlib

from failsoft.errors import InvalidDataError, InvalidEventError
from failsoft.events import MAX_RAW, Event, Ignored
from failsoft.intake.slack import normalise
from failsoft.parsing import parse_object


def read_event(body: bytes, own_bot_id: str | None) -> Event | Ignored:
    """Return what the body of an Events API call, or one message of a history, holds.

    It never raises: what cannot be read is a rejection, so that it does not come again for ever.
    """
    try:
        return normalise(parse_object(body), own_bot_id=own_bot_id)
    except (InvalidDataError, InvalidEventError) as error:
        key = f"slack:sha256:{hashlib.sha256(body).hexdigest()}"
        return Ignored(key=key, reason=f"an unreadable message: {error}", raw=body[:MAX_RAW])
