"""`pagerduty` or `pagerduty:SEVERITY`: one alert a review, closed by the answer."""

from typing_extensions import override

from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.connectors.pagerduty import SEVERITIES, PagerDuty
from failsoft.errors import PermanentError
from failsoft.parsing import JSONObject
from failsoft.workers.channel import Channel, Sending, transaction_id_of
from failsoft.workers.notice import headline, part, text_of

LONGEST = 5_000  # characters of each part: an event has at most 512 KB


class PagerDutyChannel(Channel):
    """All notices of one review are one alert, told apart by the review's own key."""

    @override
    async def tell(self, sending: Sending, review: Review) -> JSONObject | None:
        if sending.target and sending.target not in SEVERITIES:
            known = ", ".join(SEVERITIES)
            raise PermanentError(f"The `severity` of an alert is one of {known}.")
        public_url = sending.services.settings.public_url
        details: JSONObject = {
            "review": review.review_id,
            "run": str(review.run_id),
            "reason": part(review, "reason")[:LONGEST],
            "question": text_of(review, public_url, longest=LONGEST),
        }
        request: JSONObject = {"summary": headline(review), "details": details}
        if sending.target:
            request["severity"] = sending.target
        return await sending.send(PagerDuty.trigger, request, _alert(review))

    @override
    async def change(self, sending: Sending, review: Review, place: JSONObject) -> None:
        """Close it after an answer, or with its run: else it is still to be looked at."""
        if review.state is ReviewState.ANSWERED or sending.message.body.get("over"):
            await sending.send(PagerDuty.resolve, {}, _alert(review))


def _alert(review: Review) -> str:
    return transaction_id_of(f"review:{review.review_id}")
