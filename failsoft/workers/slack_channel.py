"""`slack:#channel` or `slack:<channel id>`: a message with buttons, changed after the answer."""

import re

from typing_extensions import override

from failsoft.checkpoints.reviews import Review
from failsoft.connectors.slack import LOOK_BACK, Slack
from failsoft.errors import PermanentError
from failsoft.parsing import JSONObject
from failsoft.workers.channel import Channel, Sending
from failsoft.workers.slack_notice import notice

_ID = re.compile(r"[CDG][A-Z0-9]+")


class SlackChannel(Channel):
    """Slack takes a name to post to, and only an id to read from."""

    @override
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        shown = notice(review, sending.services.settings.public_url)
        request: JSONObject = {"channel": sending.target, **shown}
        return await sending.send(Slack.post, request, sending.transaction_id)

    @override
    async def find(self, sending: Sending, review: Review) -> JSONObject | None:
        """Look where this channel's notices went before; None where nobody knows its id."""
        channel = sending.target
        if not _ID.fullmatch(channel):
            known = await sending.outbox.known_place(sending.message.channel)
            channel = str(known.get("channel", ""))
        if not _ID.fullmatch(channel):
            return None
        oldest = f"{review.created_at.timestamp() - LOOK_BACK:.6f}"
        try:
            return await sending.find(Slack.post, {"channel": channel}, {"oldest": oldest})
        except PermanentError:  # the bot may write there, and not read
            return None

    @override
    async def change(self, sending: Sending, review: Review, place: JSONObject) -> None:
        if not place:
            return
        shown = notice(review, sending.services.settings.public_url)
        await sending.send(Slack.update, {**place, **shown}, sending.transaction_id)
