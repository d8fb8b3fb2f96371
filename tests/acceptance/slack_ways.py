"""The ways in for what is said in Slack; the sandbox's Slack brings it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from typing_extensions import override

from failsoft.intake.admission import Reception
from failsoft.intake.doors import open_door
from failsoft.intake.slack_history import HistoryDoor
from failsoft.settings import Settings
from tests.acceptance.ways import CHANNEL, NO_TLS, SAID_AT, SLACK, Served, Thing, Way


class SlackSocket(Way):
    """Slack repeats what is not acknowledged, so that each delivery is one in the end."""

    name = "Slack, Socket Mode"
    carries = (SLACK,)

    def __post_init__(self) -> None:
        self.doors = [open_door("slack-socket", self.settings)]

    async def send(self, thing: Thing) -> None:
        report = await told(self.settings, "events", payload=thing.payload, socket=True)
        assert all(one["delivered"] for one in report["deliveries"]), report


class Forgetful(HistoryDoor):
    """Reads every channel from its beginning each time, as where its cursor was lost."""

    @override
    async def read(self, reception: Reception, stopping: asyncio.Event) -> None:
        for channel in self.settings.slack_channels:
            await reception.cursor(f"{self.name}:{channel}").store({})
        await super().read(reception, stopping)


class SlackHistory(Way):
    """A channel in which people say things; what stands there is read again and again."""

    name = "Slack, history"
    carries = (SLACK,)

    def __post_init__(self) -> None:
        self.doors = [Forgetful(self.settings, since=str(SAID_AT - 1), pause=2.0)]
        self.unread: set[str] = set()

    @contextlib.asynccontextmanager
    async def open(self, reception: Reception) -> AsyncIterator[None]:
        unread = self.unread

        class Noting(Reception):
            """Notes what the door has brought."""

            @override
            async def admit(self, event: Any, *, dry_run: bool = False) -> Any:
                taken = await Reception.admit(self, event, dry_run=dry_run)
                unread.discard(event.key)
                return taken

        runs, agent = reception.runs, reception.agent
        async with super().open(Noting(runs=runs, agent=agent, lane=reception.lane)):
            yield

    async def send(self, thing: Thing) -> None:
        said = {"channel": CHANNEL, "user": "U1", "text": thing.text, "ts": thing.ts}
        await told(self.settings, "messages", **said)
        self.unread.add(thing.key)

    async def left(self) -> int:
        return len(self.unread)


class SlackHttp(Served):
    name = "Slack, HTTP"
    carries = (SLACK,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.signed: Counter[str] = Counter()

    async def send(self, thing: Thing) -> None:
        """Deliver, signed anew each time, as Slack does."""
        self.signed[thing.nonce] += 1
        secret = self.settings.slack_signing_secret
        assert secret is not None
        report = await told(
            self.settings, "events", payload=thing.payload, url=f"{self.url}/slack/events",
            secret=secret.get_secret_value(), skew=self.signed[thing.nonce],
        )  # fmt: skip
        assert all(one["delivered"] for one in report["deliveries"]), report


async def told(settings: Settings, name: str, **asked: Any) -> dict[str, Any]:
    """Tell the sandbox's Slack what to do; return its report."""
    world = settings.slack_base_url.removesuffix("/slack/api/")
    async with httpx2.AsyncClient(timeout=60, verify=NO_TLS) as client:
        answer = await client.post(f"{world}/_sim/slack/{name}", json=asked)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report
