"""`apprise:NAME`: a notice to whatever service the URL of that name leads to."""

from typing_extensions import override

from failsoft.checkpoints.reviews import Review
from failsoft.connectors.apprise import Apprise
from failsoft.errors import ConfigurationError
from failsoft.parsing import JSONObject
from failsoft.workers.channel import Channel, Sending, named
from failsoft.workers.notice import headline, text_of

LONGEST = 500  # characters of each part: many of its services take only short messages


class AppriseChannel(Channel):
    """Its services know no key: a notice may come twice."""

    @override
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        services, name = sending.services, sending.target
        named(services.settings.apprise, name, "FAILSOFT_APPRISE", "Apprise URLs by name")
        client = services.clients.get("apprise")
        if not isinstance(client, Apprise):
            raise ConfigurationError("Apprise is not set up.")
        body = text_of(review, services.settings.public_url, longest=LONGEST)
        async with services.passing(f"apprise:{name}", within=services.settings.timing.send):
            await client.notify(name, headline(review), body)
        return None
