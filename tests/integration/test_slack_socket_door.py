"""Socket Mode: durable first, then acknowledged."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.ignored import latest, listed
from failsoft.checkpoints.runs import Admission
from failsoft.checkpoints.store import Store
from failsoft.errors import ConfigurationError, MissingSettingError, UnavailableError
from failsoft.events import Event, Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.slack_socket import SocketDoor
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox
from tests.slack_side import tell

AGENT, LANE = "a", "a@1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dying(Reception):
    """A process that dies after the commit, before it can tell Slack."""

    committed: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def admit(self, event: Event | Ignored, *, dry_run: bool = False) -> Admission | Ignored:
        taken = await Reception.admit(self, event, dry_run=dry_run)  # slots: no bare super()
        self.committed.set()
        await asyncio.sleep(3600)
        return taken


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    del settings  # it has set the environment
    monkeypatch.setenv("FAILSOFT_SLACK_APP_TOKEN", "xapp-sandbox")
    return load_settings()


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE)


def message(number: int, **more: Any) -> dict[str, Any]:
    event = {
        "type": "message", "channel": "C1", "user": "U1", "ts": f"{number}.000001",
        "text": f"The invoice {number} is wrong",
    }  # fmt: skip
    return {
        "type": "event_callback", "team_id": "T1", "event_id": f"Ev{number}", "event": event | more,
    }  # fmt: skip


def start(
    settings: Settings, reception: Reception, stopping: asyncio.Event | None = None
) -> asyncio.Task[None]:
    door = SocketDoor.at("slack-socket", settings)
    return asyncio.create_task(door.run(reception, stopping or asyncio.Event()))


@asynccontextmanager
async def running(settings: Settings, reception: Reception) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = start(settings, reception, stopping)
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 10)


async def sent(sandbox: Sandbox, payload: dict[str, Any], **way: Any) -> dict[str, Any]:
    report = await tell(sandbox, "events", socket=True, payload=payload, **way)
    last: dict[str, Any] = report["deliveries"][-1]
    return last


async def open_sockets(sandbox: Sandbox) -> int:
    state = await asyncio.to_thread(sandbox.state)
    return int(state["slack"]["socket"]["connections"])


async def connected(sandbox: Sandbox, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while await open_sockets(sandbox) != count:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)


async def keys(store: Store) -> list[str]:
    return sorted([row["event_key"] for row in await store.runs.list()])


async def test_an_event_is_one_run_however_often_it_comes(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    async with running(own_settings, reception):
        first = await sent(sandbox, message(1), times=3)
        second = await sent(sandbox, message(2, type="app_mention"))

    assert first["delivered"]
    assert second["delivered"]
    assert await keys(store) == ["slack:T1:C1:1.000001", "slack:T1:C1:2.000001"]


async def test_killed_after_the_commit_and_before_the_acknowledgement_it_is_one_run(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    dying = Dying(runs=store.runs, agent=AGENT, lane=LANE)
    killed = start(own_settings, dying)
    sending = asyncio.create_task(sent(sandbox, message(1), seconds=20))
    await asyncio.wait_for(dying.committed.wait(), 10)
    killed.cancel()
    await asyncio.wait([killed])

    async with running(own_settings, reception):
        report = await sending

    assert [attempt["acked"] for attempt in report["attempts"]] == [False, True]
    assert await keys(store) == ["slack:T1:C1:1.000001"]


# A door in a process of its own, which makes an event durable and then hangs.
HANGING = """
import asyncio, sys
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.runs import Runs
from failsoft.intake.admission import Reception
from failsoft.intake.slack_socket import SocketDoor
from failsoft.settings import load_settings

class Hanging(Reception):
    async def admit(self, event, *, dry_run=False):
        await Reception.admit(self, event, dry_run=dry_run)
        print("durable", flush=True)
        await asyncio.sleep(3600)

async def main():
    async with Database(sys.argv[1], lease=10) as database:
        reception = Hanging(runs=Runs(database), agent="a", lane="a@1")
        await SocketDoor(load_settings()).run(reception, asyncio.Event())

asyncio.run(main())
"""


async def test_a_process_killed_with_9_before_the_acknowledgement_leaves_one_run(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox, dsn: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING, dsn, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    sending = asyncio.create_task(sent(sandbox, message(1), seconds=20, patience=20))
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"durable\n"
    process.kill()
    await process.wait()

    async with running(own_settings, reception):
        report = await sending

    assert [attempt["acked"] for attempt in report["attempts"]] == [False, True]
    assert await keys(store) == ["slack:T1:C1:1.000001"]


async def test_with_the_database_away_nothing_is_acknowledged_and_the_door_says_so(
    own_settings: Settings, reception: Reception, sandbox: Sandbox, dsn: str
) -> None:
    task = start(own_settings, reception)
    await connected(sandbox)
    await reception.runs.database.close()

    sending = asyncio.create_task(sent(sandbox, message(1), seconds=20))

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(task, 20)
    async with Database(dsn, lease=10) as back:
        again = Reception(runs=Store.of(back).runs, agent=AGENT, lane=LANE)
        async with running(own_settings, again):
            report = await sending
        assert await keys(Store.of(back)) == ["slack:T1:C1:1.000001"]
    assert [attempt["acked"] for attempt in report["attempts"]] == [False, True]


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_connection_that_slack_ends_is_followed_by_another(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox, *, abrupt: bool
) -> None:
    async with running(own_settings, reception):
        await connected(sandbox)
        await tell(sandbox, "disconnect", abrupt=abrupt)
        report = await sent(sandbox, message(1))

    assert report["delivered"]
    assert await keys(store) == ["slack:T1:C1:1.000001"]


async def test_what_is_no_message_is_acknowledged_and_starts_nothing(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    async with running(own_settings, reception):
        reports = [
            await sent(sandbox, payload)
            for payload in (
                message(1, type="reaction_added"),
                {"type": "app_rate_limited", "team_id": "T1"},
                {"type": "a type of next year"},
                message(2, bot_id="B9"),
            )
        ]

    assert all(report["delivered"] for report in reports)
    assert await keys(store) == []
    assert len(await listed(store.runs.database, AGENT)) == len(reports)


async def test_what_cannot_be_read_is_acknowledged_and_listed_with_its_bytes(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    async with running(own_settings, reception):
        report = await sent(sandbox, message(1, channel="../etc"))

    assert report["delivered"]
    (row,) = await latest(store.runs.database, rejected=True)
    assert "channel" in row["reason"]


async def test_a_stop_ends_what_is_in_hand_and_takes_nothing_more(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    async with running(own_settings, reception):
        await sent(sandbox, message(1))
    await connected(sandbox, 0)

    report = await sent(sandbox, message(2), patience=0.1)

    assert not report["delivered"]
    assert await keys(store) == ["slack:T1:C1:1.000001"]


async def test_a_token_that_slack_refuses_is_named(
    own_settings: Settings, reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    del own_settings
    monkeypatch.setenv("FAILSOFT_SLACK_APP_TOKEN", "bad-token")
    with pytest.raises(ConfigurationError, match=r"FAILSOFT_SLACK_APP_TOKEN.*invalid_auth"):
        await start(load_settings(), reception)


async def test_slack_away_is_trouble_that_passes(
    own_settings: Settings, reception: Reception, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": "POST /slack/api/apps.connections.open", "kind": "status"})
    with pytest.raises(Exception, match="status 500"):
        await start(own_settings, reception)


@pytest.mark.parametrize("name", ["FAILSOFT_SLACK_APP_TOKEN", "FAILSOFT_SLACK_TOKEN"])
def test_a_missing_token_is_named(
    own_settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    del own_settings
    monkeypatch.delenv(name)
    with pytest.raises(MissingSettingError, match=name):
        SocketDoor.at("slack-socket", load_settings())


def test_the_spec_holds_nothing_but_its_name(own_settings: Settings) -> None:
    with pytest.raises(ConfigurationError):
        SocketDoor.at("slack-socket:xapp-secret", own_settings)
