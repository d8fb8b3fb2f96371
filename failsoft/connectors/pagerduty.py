"""PagerDuty: raise an alert by the Events API, version 2.

`dedup_key` is the transaction id, so that the same alert sent twice is one alert: as long as it is
open, PagerDuty adds the second event to it.
"""

from typing import ClassVar, Self

from pydantic import SecretStr
from typing_extensions import override

from failsoft.clock import Clock
from failsoft.connectors.answers import attempt, judge
from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Finding,
    Found,
    Operation,
    Outcome,
    Unknown,
)
from failsoft.errors import InvalidDataError, MissingSettingError, RefusedError
from failsoft.http import Http, Response
from failsoft.parsing import JSONObject
from failsoft.settings import Settings, Timing

SEVERITIES = ("critical", "error", "warning", "info")
MAX_SUMMARY = 1024  # characters
KEY_LENGTH = 32  # characters of an integration key
ENQUEUE = "v2/enqueue"


class Trigger(Operation["PagerDuty"]):
    """Raise an alert: `summary`, and as it likes `severity`, `source`, `details` (an object).

    `severity` is one of critical, error, warning and info; it is error where it is left out.
    """

    connector = "pagerduty"
    name = "trigger"
    consistency = Consistency.IDEMPOTENCY_KEY
    settle_seconds = 0.0

    @override
    async def send(
        self, client: "PagerDuty", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        try:
            payload = payload_of(request)
        except RefusedError as error:
            return Failed(reason=str(error))
        return await client.send(payload, transaction_id, within=within)

    @override
    async def find(
        self, client: "PagerDuty", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return Absent(certain=True)  # the key makes sending it again harmless


class Resolve(Trigger):
    """Close an alert: `dedup_key`, as `trigger` gave it. Without, the one of the same transaction.

    Closing it twice changes nothing.
    """

    name = "resolve"

    @override
    async def send(
        self, client: "PagerDuty", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        key = str(request.get("dedup_key") or transaction_id)
        return await client.send(None, key, within=within)


class PagerDuty:
    """The client: one integration of one service."""

    trigger: ClassVar[Trigger] = Trigger()
    resolve: ClassVar[Resolve] = Resolve()

    def __init__(
        self, base_url: str, *, routing_key: SecretStr, timing: Timing, clock: Clock | None = None
    ) -> None:
        """Raise ConfigurationError when `base_url` is no address."""
        self.http = Http(base_url, timing=timing)
        self._routing_key = routing_key
        self._timing = timing
        self._clock = clock or Clock()

    def __repr__(self) -> str:
        return f"PagerDuty({self.http.host!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Raise MissingSettingError when there is no key."""
        if settings.pagerduty_routing_key is None:
            raise MissingSettingError(
                "FAILSOFT_PAGERDUTY_ROUTING_KEY", "the integration key of a PagerDuty service"
            )
        return cls(
            settings.pagerduty_url,
            routing_key=settings.pagerduty_routing_key,
            timing=settings.timing,
        )

    async def close(self) -> None:
        await self.http.close()

    async def examine(self) -> list[Finding]:
        """See whether PagerDuty is there; only an alert would show whether it knows the key.

        Raises:
            TransientError: it cannot be reached.
        """
        await self.http.request("HEAD", "", within=self._timing.send)
        key = self._routing_key.get_secret_value()
        formed = len(key) == KEY_LENGTH and key.isalnum()
        mend = "copy it again: Services > the service > Integrations > Events API v2"
        told = "it looks right; whether PagerDuty knows it, only an alert can show"
        return [
            Finding(name="address", detail=f"{self.http.host} answers"),
            Finding(name="routing key", detail=told)
            if formed
            else Finding(name="routing key", detail="it has not 32 letters and digits", mend=mend),
        ]

    async def send(self, payload: JSONObject | None, key: str, *, within: float) -> Outcome:
        """Send one event that opens the alert `key`, or adds to it; without a payload closes it."""
        action = "resolve" if payload is None else "trigger"
        what = f"PagerDuty {action}"
        body: JSONObject = {
            "routing_key": self._routing_key.get_secret_value(),
            "event_action": action,
            "dedup_key": key,
            **({} if payload is None else {"payload": payload}),
        }
        sent = await attempt(self.http.request("POST", ENQUEUE, json=body, within=within))
        if not isinstance(sent, Response):
            return sent
        if sent.status != 202:
            return judge(sent, what, _complaint(sent), now=self._clock.now())
        try:
            taken = sent.object().get("dedup_key")
        except InvalidDataError:
            taken = None
        if not isinstance(taken, str):
            return Unknown(reason=f"{what}: status 202 without a readable key")
        return Done(external_id=taken, response={"dedup_key": taken})


def payload_of(request: JSONObject) -> JSONObject:
    """Return an alert as PagerDuty takes it.

    Raises:
        RefusedError: it has no summary, or a severity that PagerDuty does not know.
    """
    summary, severity = request.get("summary"), request.get("severity") or "error"
    if not isinstance(summary, str) or not summary.strip():
        raise RefusedError("An alert needs a `summary`.")
    if severity not in SEVERITIES:
        raise RefusedError(f"The `severity` of an alert is one of {', '.join(SEVERITIES)}.")
    details = request.get("details")
    return {
        "summary": summary[:MAX_SUMMARY],
        "source": str(request.get("source") or "failsoft"),
        "severity": severity,
        "custom_details": details if isinstance(details, dict) else {},
    }


def _complaint(sent: Response) -> str:
    try:
        errors = sent.object().get("errors")
    except InvalidDataError:
        return ""
    return ": " + "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
