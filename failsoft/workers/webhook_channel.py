"""`webhook:NAME`: the question as JSON, signed, to a receiver that the settings name."""

from typing_extensions import override

from failsoft.checkpoints.reviews import Review
from failsoft.connectors.webhook import Webhook
from failsoft.parsing import JSONObject
from failsoft.workers.channel import Channel, Sending, named
from failsoft.workers.notice import link_of


class WebhookChannel(Channel):
    """The receiver tells a repeat by its `Idempotency-Key`."""

    @override
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        settings, name = sending.services.settings, sending.target
        named(settings.webhooks, name, "FAILSOFT_WEBHOOKS", "signed webhooks by name")
        link = link_of(review, settings.public_url)
        body = sending.message.body | ({"answer_url": link} if link else {})
        await sending.send(Webhook.post, {"name": name, "body": body}, sending.transaction_id)
        return None
