"""Deliver what lower layers wrote into the outbox: notices of reviews, at least once each."""

import hashlib
import json
import logging
import re
from base64 import b32encode

from failsoft.checkpoints.outbox import Message
from failsoft.checkpoints.store import Store
from failsoft.connectors.contract import Done, Failed, Found, NotSent
from failsoft.connectors.slack import Slack, escape
from failsoft.errors import ConfigurationError, PermanentError, TransientError, UnavailableError
from failsoft.nodes.context import Services
from failsoft.nodes.failures import describe
from failsoft.parsing import JSON, JSONObject

logger = logging.getLogger(__name__)

GIVE_UP = 24 * 3600.0  # seconds of failing deliveries, about; the review stays listed all the same
BATCH = 10  # taken one at a time: a lease must outlast one delivery
CHANNEL_ID = re.compile(r"[CDG][A-Z0-9]+")
MAX_TEXT = 1_500  # characters of the source text that a notice shows


class OutboxWorker:
    """Channels are `slack:#channel` and `log:name`; another one is given up, with its reason."""

    def __init__(self, store: Store, services: Services) -> None:
        self.store = store
        self.services = services

    async def deliver(self) -> int:
        """Deliver what is due; return how many messages were taken."""
        try:
            for number in range(BATCH):
                lease = self.services.settings.timing.outbox_lease
                messages = await self.store.outbox.take(1, lease)
                if not messages:
                    return number
                await self._deliver(messages[0])
        except UnavailableError as error:
            logger.warning("no delivery: %s", error)
            return 0
        return BATCH

    async def _deliver(self, message: Message) -> None:
        scheme, _, target = message.channel.partition(":")
        try:
            await self._send(message, scheme, target)
            await self.store.outbox.done(message)
        except ConfigurationError as error:  # another worker may be set up, or this one later
            await self._later(message, TransientError(str(error)))
        except PermanentError as error:
            await self.store.outbox.give_up(message, str(error))
            logger.error("not delivered to %s: %s", message.channel, error)  # noqa: TRY400
        except TransientError as error:
            await self._later(message, error)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001  # one message must not end the worker
            await self._later(message, TransientError(describe(error)))

    async def _send(self, message: Message, scheme: str, target: str) -> None:
        match scheme:
            case "slack":
                await self._slack(message, target)
            case "log":
                logger.warning("%s: %s", target, _text(message.body))
            case _:
                raise PermanentError(f"there is no channel {message.channel!r}")

    async def _later(self, message: Message, error: TransientError) -> None:
        timing = self.services.settings.timing
        if message.attempts * timing.retry_cap > GIVE_UP:
            await self.store.outbox.give_up(message, str(error))
            logger.error("not delivered to %s: %s", message.channel, error)
            return
        wait = min(timing.retry_first * 2 ** min(message.attempts, 16), timing.retry_cap)
        await self.store.outbox.failed(message, str(error), max(wait, error.retry_after))

    async def _slack(self, message: Message, channel: str) -> None:
        """Look first when an earlier delivery may have arrived.

        Slack takes a name to post to and an id to read from, so where the desk has only a name a
        notice may come twice.
        """
        client = self.services.clients.get("slack")
        if not isinstance(client, Slack):
            raise ConfigurationError("Slack is not set up.")
        operation, within = Slack.post, self.services.settings.timing.send
        request: JSONObject = {"channel": channel, "text": _text(message.body)}
        transaction_id = _transaction_id(message.idempotency_key)
        key = operation.gate_key(request)
        async with self.services.passing(key, within=within):
            if message.attempts > 1 and CHANNEL_ID.fullmatch(channel):
                found = await operation.find(client, request, transaction_id, {})
                if isinstance(found, Found):
                    return
            outcome = await operation.send(client, request, transaction_id, within=within)
        match outcome:
            case Done():
                return
            case Failed(reason=reason):
                raise PermanentError(reason)
            case NotSent(reason=reason, retry_after=retry_after, rate_limited=True):
                await self.services.cool(key, retry_after)
                raise TransientError(reason, retry_after)
            case _:
                raise TransientError(outcome.reason, getattr(outcome, "retry_after", 0.0))


def _transaction_id(key: str) -> str:
    return b32encode(hashlib.sha256(key.encode()).digest())[:26].decode().lower()


def _text(body: JSONObject) -> str:
    """Show the source text and the request verbatim, quoted line by line, and how to answer.

    Every line from outside stands behind a mark of its own, so that none can pass for ours.
    """
    review_id, allowed = body.get("review_id", ""), body.get("allowed", [])
    choices = "|".join(str(choice) for choice in allowed) if isinstance(allowed, list) else ""
    question = body.get("question", body)
    asked = question if isinstance(question, dict) else {}
    lines = [f"A question about a run ({asked.get('kind', '')}):", _quoted(asked.get("reason"))]
    lines += ["The message:", _quoted(asked.get("text"))]
    if asked.get("request"):
        lines += ["What would be written:", _quoted(json.dumps(asked["request"], indent=1))]
    lines += [f"Answer: failsoft reviews decide {review_id} --choice {choices}"]
    return "\n".join(lines)


def _quoted(value: JSON) -> str:
    """Return text from outside as quoted lines in which nothing is a mention or a link."""
    text = escape(str(value or "")[:MAX_TEXT]).replace("://", ":\u200b//")
    return "\n".join(f"> {line}" for line in text.splitlines() or [""])
