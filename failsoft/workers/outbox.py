"""Deliver what lower layers wrote into the outbox: notices of reviews, at least once each."""

import hashlib
import logging
import re
from base64 import b32encode

from failsoft.checkpoints.outbox import Message
from failsoft.checkpoints.store import Store
from failsoft.connectors.contract import Done, Failed, Found
from failsoft.connectors.slack import Slack, escape
from failsoft.errors import ConfigurationError, PermanentError, TransientError, UnavailableError
from failsoft.nodes.context import Services
from failsoft.parsing import JSONObject

logger = logging.getLogger(__name__)

ATTEMPTS = 8
BATCH = 10
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
            lease = self.services.settings.timing.outbox_lease
            messages = await self.store.outbox.take(BATCH, lease)
            for message in messages:
                await self._deliver(message)
        except UnavailableError as error:
            logger.warning("no delivery: %s", error)
            return 0
        return len(messages)

    async def _deliver(self, message: Message) -> None:
        scheme, _, target = message.channel.partition(":")
        try:
            await self._send(message, scheme, target)
            await self.store.outbox.done(message)
        except (PermanentError, ConfigurationError) as error:
            await self.store.outbox.give_up(message, str(error))
            logger.error("not delivered to %s: %s", message.channel, error)  # noqa: TRY400
        except TransientError as error:
            await self._later(message, error)

    async def _send(self, message: Message, scheme: str, target: str) -> None:
        match scheme:
            case "slack":
                await self._slack(message, target)
            case "log":
                logger.warning("%s: %s", target, _text(message.body))
            case _:
                raise PermanentError(f"there is no channel {message.channel!r}")

    async def _later(self, message: Message, error: TransientError) -> None:
        if message.attempts >= ATTEMPTS:
            await self.store.outbox.give_up(message, str(error))
            logger.error("not delivered to %s: %s", message.channel, error)
            return
        timing = self.services.settings.timing
        wait = max(error.retry_after, timing.retry_first * 2**message.attempts)
        await self.store.outbox.failed(message, str(error), min(wait, timing.retry_cap))

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
            case _:
                raise TransientError(outcome.reason, getattr(outcome, "retry_after", 0.0))


def _transaction_id(key: str) -> str:
    return b32encode(hashlib.sha256(key.encode()).digest())[:26].decode().lower()


def _text(body: JSONObject) -> str:
    """Show the source text verbatim, escaped, and how to answer."""
    review_id, allowed = body.get("review_id", ""), body.get("allowed", [])
    choices = "|".join(str(choice) for choice in allowed) if isinstance(allowed, list) else ""
    question = body.get("question", body)
    asked = question if isinstance(question, dict) else {}
    text = escape(str(asked.get("text", ""))[:MAX_TEXT])
    reason = escape(str(asked.get("reason", "")))
    return (
        f"A question about a run ({asked.get('kind', '')}): {reason}\n"
        f"> {text}\n"
        f"Answer: failsoft reviews decide {review_id} --choice {choices}"
    )
