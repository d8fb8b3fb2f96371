"""`email:NAME` of the contacts in the settings, or `email:` and an address that the graph names."""

from collections.abc import Mapping

from typing_extensions import override

from failsoft.checkpoints.reviews import Review
from failsoft.connectors.mail import Mail
from failsoft.connectors.mail_message import is_address
from failsoft.parsing import JSONObject
from failsoft.workers.channel import Channel, Sending, named
from failsoft.workers.notice import headline, text_of


class MailChannel(Channel):
    """A mail of which nobody knows whether it went out goes out again, under its Message-ID."""

    @override
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        settings = sending.services.settings
        request: JSONObject = {
            "to": address_of(sending.target, settings.contacts),
            "subject": headline(review),
            "text": text_of(review, settings.public_url),
        }
        await sending.send(Mail.send, request, sending.transaction_id)
        return None


def address_of(target: str, contacts: Mapping[str, str]) -> str:
    """Return the address that a channel names; raises as `named` does."""
    if is_address(target):
        return target
    return named(contacts, target, "FAILSOFT_CONTACTS", "mail addresses by name")
