"""Deliver what lower layers wrote into the outbox: notices of reviews, at least once each.

A question is told as it stands when it is told, and what becomes of it is shown where it was told.
"""

import asyncio
import logging
from collections.abc import Mapping

from failsoft.checkpoints.outbox import Message
from failsoft.checkpoints.reviews import ReviewState
from failsoft.checkpoints.store import Store
from failsoft.errors import (
    ConfigurationError,
    PermanentError,
    RefusedError,
    TransientError,
    UnavailableError,
    UsageError,
)
from failsoft.nodes.context import Services
from failsoft.nodes.failures import describe, note_of
from failsoft.parsing import JSONObject
from failsoft.workers.apprise_channel import AppriseChannel
from failsoft.workers.channel import Channel, Sending
from failsoft.workers.log_channel import LogChannel
from failsoft.workers.mail_channel import MailChannel
from failsoft.workers.pagerduty_channel import PagerDutyChannel
from failsoft.workers.slack_channel import SlackChannel
from failsoft.workers.webhook_channel import WebhookChannel

logger = logging.getLogger(__name__)

GIVE_UP = 24 * 3600.0  # seconds of failing deliveries, about; the review stays listed all the same
REFUSALS = 12  # attempts that are refused, in about 24 minutes with the default times
BATCH = 10  # delivered side by side, so that a slow receiver holds up no alert
SHARE = 0.9  # of a lease: nobody else takes a message while it is being delivered
CHANNELS: Mapping[str, Channel] = {
    "apprise": AppriseChannel(),
    "email": MailChannel(),
    "log": LogChannel(),
    "pagerduty": PagerDutyChannel(),
    "slack": SlackChannel(),
    "webhook": WebhookChannel(),
}


class OvertakenError(PermanentError):
    """The question was answered, or nobody asks it any more, before it was told."""


class OutboxWorker:
    """A channel that is not known is given up, with its reason; a missing setting may come."""

    def __init__(self, store: Store, services: Services) -> None:
        self.store = store
        self.services = services
        self.lease = services.settings.timing.outbox_lease

    async def deliver(self) -> int:
        """Deliver what is due; return how many messages were taken."""
        try:
            messages = await self.store.outbox.take(BATCH, self.lease)
        except UnavailableError as error:
            logger.warning("no delivery: %s", error)
            return 0
        under_way = asyncio.gather(*(self._attempt(message) for message in messages))
        try:
            await asyncio.shield(under_way)
        except asyncio.CancelledError:  # what is going out now would else go out once more
            await asyncio.wait([under_way], timeout=self.services.settings.timing.send)
            under_way.cancel()
            raise
        return len(messages)

    async def _attempt(self, message: Message) -> None:
        try:
            await self._deliver(message)
        except UnavailableError as error:  # the lease ends, and it comes again
            logger.warning("nothing is known of a delivery to %s: %s", message.channel, error)

    async def _deliver(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self.lease * SHARE):
                place = await self._send(message)
            await self.store.outbox.done(message, place)
        except ConfigurationError as error:  # another worker may be set up, or this one later
            await self._later(message, TransientError(str(error)))
        except OvertakenError as error:
            await self.store.outbox.give_up(message, str(error))
        except RefusedError as error:  # a token is being rotated, a receiver deployed
            await self._later(message, TransientError(str(error)), most=REFUSALS)
        except (PermanentError, UsageError) as error:
            await self._give_up(message, error)
        except TransientError as error:
            await self._later(message, error)
        except UnavailableError:
            raise
        except TimeoutError:
            await self._later(message, TransientError("not delivered within its lease"))
        except Exception as error:  # noqa: BLE001  # one message must not end the worker
            await self._later(message, TransientError(describe(error)))

    async def _send(self, message: Message) -> JSONObject | None:
        """Deliver a message; return its place, if it can be changed there."""
        scheme, _, target = message.channel.partition(":")
        channel = CHANNELS.get(scheme)
        if channel is None:
            raise PermanentError(f"there is no channel {message.channel!r}")
        sending = Sending(
            services=self.services, outbox=self.store.outbox, message=message, target=target
        )
        review_id, notice = str(message.body.get("review_id")), message.body.get("notice")
        match message.body.get("kind"):
            case "review":
                return await self._tell(channel, sending, review_id)
            case "review-changed" if isinstance(notice, int):
                await self._change(channel, sending, review_id, notice)
                return None
            case kind:
                raise PermanentError(f"nobody delivers messages of the kind {kind!r}")

    async def _tell(self, channel: Channel, sending: Sending, review_id: str) -> JSONObject | None:
        """Tell the question; what it becomes meanwhile comes as a message of its own."""
        review = await self.store.reviews.get(review_id)
        if sending.message.attempts > 1:
            found = await channel.find(sending, review)
            if found is not None:
                return found
        if review.state is not ReviewState.OPEN:
            raise OvertakenError(f"the review is {review.state} already")
        return await channel.tell(sending, review)

    async def _change(
        self, channel: Channel, sending: Sending, review_id: str, notice: int
    ) -> None:
        """Change what stands there until it shows the review as it is.

        Two workers may do so at once: each looks again after its own change, so that the last
        change is of the last state.
        """
        under_way, place = await self.store.outbox.place(notice)
        if under_way:
            raise TransientError("the notice that it changes is still under way")
        review = await self.store.reviews.get(review_id)
        while True:
            await channel.change(sending, review, place)
            shown, review = review, await self.store.reviews.get(review_id)
            if (review.state, review.level) == (shown.state, shown.level):
                return

    async def _later(
        self, message: Message, error: TransientError, *, most: int | None = None
    ) -> None:
        timing = self.services.settings.timing
        spent = most is not None and message.attempts >= most
        if spent or message.attempts * timing.retry_cap > GIVE_UP:
            await self._give_up(message, error)
            return
        wait = min(timing.retry_first * 2 ** min(message.attempts, 16), timing.retry_cap)
        reason = note_of(error)["reason"]
        await self.store.outbox.failed(message, reason, max(wait, error.retry_after))

    async def _give_up(
        self, message: Message, error: TransientError | PermanentError | UsageError
    ) -> None:
        reason = note_of(error)["reason"]
        await self.store.outbox.give_up(message, reason)
        logger.error("not delivered to %s: %s", message.channel, reason)
