"""`log:NAME`: a line in the worker's log."""

import logging

from typing_extensions import override

from failsoft.checkpoints.reviews import Review
from failsoft.parsing import JSONObject
from failsoft.workers.channel import Channel, Sending
from failsoft.workers.notice import text_of

LONGEST = 1_500  # characters of each part

logger = logging.getLogger(__name__)


class LogChannel(Channel):
    """Nobody can miss it but whoever reads no logs."""

    @override
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        text = text_of(review, sending.services.settings.public_url, longest=LONGEST)
        logger.warning("%s: %s", sending.target, text)
        return None
