"""A channel's history: what was missed is read, the oldest first, and once."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest
from typing_extensions import override

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.runs import Admission
from failsoft.checkpoints.store import Store
from failsoft.clock import Clock
from failsoft.errors import (
    ConfigurationError,
    MissingSettingError,
    TransientError,
    UnavailableError,
)
from failsoft.events import Event, Ignored
from failsoft.intake import slack_channel, slack_history
from failsoft.intake.admission import Reception
from failsoft.intake.slack import Reason, normalise
from failsoft.intake.slack_history import HistoryDoor
from failsoft.nodes.policy import Replies
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox
from tests.slack_side import say

AGENT, LANE = "a", "a@1"
HISTORY = "POST /slack/api/conversations.history"
DAY = 24 * 3600


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    del settings  # it has set the environment
    monkeypatch.setenv("FAILSOFT_SLACK_CHANNELS", "C1, C2")
    return load_settings()


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE)


async def read_once(settings: Settings, reception: Reception, *, since: str | None = None) -> None:
    await HistoryDoor(settings, since=since).read(reception, asyncio.Event())


async def keys(store: Store) -> list[str]:
    """Return the keys of all runs, the first admitted first."""
    rows = sorted(await store.runs.list(limit=1000), key=lambda row: row["run_no"])
    return [row["event_key"] for row in rows]


def key(ts: str, channel: str = "C1") -> str:
    return f"slack:T0SANDBOX:{channel}:{ts}"


def ago(seconds: float, number: int = 0) -> str:
    return f"{int(Clock().now() - seconds)}.{number:06d}"


def calls(sandbox: Sandbox, method: str) -> int:
    requests = sandbox.state()["requests"]
    return sum(each["path"].endswith(method) for each in requests)


async def test_what_was_said_while_no_door_was_open_is_read_the_oldest_first(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await say(sandbox, "The invoice before it all is wrong")
    await read_once(own_settings, reception)
    missed = [await say(sandbox, f"The invoice {number} is wrong") for number in range(3)]

    await read_once(own_settings, reception)

    assert await keys(store) == [key(ts) for ts in missed]


async def test_each_channel_has_a_cursor_of_its_own(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(own_settings, reception)
    ts = await say(sandbox, "The invoice is wrong", channel="C2")
    old = await say(sandbox, "The order is wrong", ts=ago(30))

    await read_once(own_settings, reception)

    assert sorted(await keys(store)) == sorted([key(old), key(ts, "C2")])
    first, second = [
        await reception.cursor(f"slack-history:{channel}").read() for channel in ("C1", "C2")
    ]
    assert first["ts"] != second["ts"]


async def test_what_is_known_is_not_read_from_the_beginning_again(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    old = await say(sandbox, "The invoice is wrong", ts=ago(3 * DAY))
    await read_once(own_settings, reception, since="0")
    assert await keys(store) == [key(old)]
    await say(sandbox, "Too old to be found: it is behind the cursor", ts=ago(4 * DAY))
    new = await say(sandbox, "The order is wrong")

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(old), key(new)]


async def test_many_pages_are_read_to_the_end_and_admitted_in_order(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(slack_channel, "PAGE", 3)
    said = [await say(sandbox, f"The invoice {number} is wrong") for number in range(10)]

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(ts) for ts in said]
    assert calls(sandbox, "conversations.history") == 4 + 1


async def test_replies_are_read_too_when_their_thread_is_older_than_the_cursor(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(slack_channel, "PAGE", 2)
    root = await say(sandbox, "The invoice is wrong", ts=ago(3600))
    await say(sandbox, "The order is wrong", ts=ago(1800))
    await read_once(own_settings, reception, since="0")
    texts = ("It is number 7", "It is for March", "Nobody answers me")
    replies = [await say(sandbox, text, thread_ts=root) for text in texts]

    joining = replace(reception, replies=Replies.RUN)
    await read_once(own_settings, joining)

    assert (await keys(store))[2:] == [key(ts) for ts in replies]
    await read_once(own_settings, joining)
    assert calls(sandbox, "conversations.replies") == 2 + 2
    assert len(await keys(store)) == 5


async def test_a_message_that_came_by_another_door_or_was_edited_starts_nothing_more(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    ts = await say(sandbox, "The invoice is wrong")
    live: dict[str, Any] = {
        "type": "event_callback", "team_id": "T0SANDBOX", "event_id": "Ev1",
        "event": {"type": "message", "channel": "C1", "user": "U1", "ts": ts, "text": "The"},
    }  # fmt: skip
    await reception.admit(normalise(live, own_bot_id=None))
    await say(sandbox, "The invoice is right", ts=ts, edited_ts=ago(0))

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(ts)]


async def test_bots_notices_and_our_own_messages_start_nothing(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await say(sandbox, "ann has joined", more={"subtype": "channel_join"})
    await say(sandbox, "Build failed", more={"bot_id": "B9", "subtype": "bot_message"})
    sandbox.http.post(
        "/slack/api/chat.postMessage", json={"channel": "C1", "text": "Ticket OPS-1"},
        headers={"Authorization": "Bearer t"},
    )  # fmt: skip

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == []
    reasons = {each.reason for each in await listed(store.runs.database, AGENT)}
    assert reasons == {Reason.NOTICE, Reason.BOT, Reason.OWN}


async def test_a_rate_limit_is_waited_for_in_the_middle_of_a_reading(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(slack_channel, "PAGE", 1)
    said = [await say(sandbox, f"The invoice {number} is wrong") for number in range(3)]
    sandbox.faults({
        "match": HISTORY, "kind": "status", "status": 429, "headers": {"Retry-After": "1"},
        "nth": [2],
    })  # fmt: skip

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(ts) for ts in said]
    assert calls(sandbox, "conversations.history") == 3 + 1 + 1


async def test_slack_away_moves_no_cursor(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(slack_channel, "PAGE", 1)
    said = [await say(sandbox, f"The invoice {number} is wrong") for number in range(2)]
    sandbox.faults({"match": HISTORY, "kind": "drop_after", "nth": [2]})
    with pytest.raises(TransientError):
        await read_once(own_settings, reception, since="0")
    assert await keys(store) == []

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(ts) for ts in said]


@dataclass(frozen=True, kw_only=True, slots=True)
class Losing(Reception):
    """A process that loses its database when the second message comes."""

    @override
    async def admit(self, event: Event | Ignored, *, dry_run: bool = False) -> Admission | Ignored:
        if event.key.endswith("2"):
            raise UnavailableError("the database is away")
        return await Reception.admit(self, event, dry_run=dry_run)


@pytest.mark.parametrize("batch", [1, 50])
async def test_the_cursor_stays_before_what_is_not_durable(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch, *, batch: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(slack_history, "BATCH", batch)
    monkeypatch.setattr(slack_history, "OVERLAP", 0)  # it would hide the loss
    said = [
        await say(sandbox, f"The invoice {number} is wrong", ts=ago(60, number))
        for number in (1, 2, 3)
    ]
    losing = Losing(runs=store.runs, agent=AGENT, lane=LANE)
    with pytest.raises(UnavailableError):
        await read_once(own_settings, losing, since="0")
    assert await keys(store) == [key(said[0])]

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(ts) for ts in said]


async def test_killed_between_the_commit_and_the_cursor_it_reads_again_and_knows_it(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    said = [await say(sandbox, f"The invoice {number} is wrong") for number in range(2)]
    await read_once(own_settings, reception, since="0")
    await reception.cursor("slack-history:C1").store({})

    await read_once(own_settings, reception, since="0")

    assert await keys(store) == [key(ts) for ts in said]


async def test_without_the_database_the_door_says_so(
    own_settings: Settings, reception: Reception
) -> None:
    await reception.runs.database.close()
    with pytest.raises(UnavailableError):
        await HistoryDoor(own_settings).run(reception, asyncio.Event())


async def test_an_open_door_reads_again_and_again_until_it_is_told_to_stop(
    own_settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    stopping = asyncio.Event()
    door = HistoryDoor(own_settings, since="0", pause=0.02)
    task = asyncio.create_task(door.run(reception, stopping))
    try:
        for number in (1, 2):
            await say(sandbox, f"The invoice {number} is wrong")
            async with asyncio.timeout(10):
                while len(await keys(store)) < number:  # noqa: ASYNC110  # it tells nobody
                    await asyncio.sleep(0.02)
    finally:
        stopping.set()
        await asyncio.wait_for(task, 10)


async def test_a_channel_that_slack_does_not_show_is_named(
    own_settings: Settings, reception: Reception, sandbox: Sandbox
) -> None:
    body = {"ok": False, "error": "not_in_channel"}
    sandbox.faults({"match": HISTORY, "kind": "status", "status": 200, "body": body})
    with pytest.raises(ConfigurationError, match=r"C1.*not_in_channel.*channels:history"):
        await read_once(own_settings, reception, since="0")


def test_without_channels_the_setting_is_named(
    own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    del own_settings
    monkeypatch.delenv("FAILSOFT_SLACK_CHANNELS")
    with pytest.raises(MissingSettingError, match="FAILSOFT_SLACK_CHANNELS"):
        HistoryDoor.at("slack-history", load_settings())


@pytest.mark.parametrize("channels", ["general", "#ops", "C1,c2", "C1/../x"])
def test_a_name_instead_of_an_id_is_refused(
    own_settings: Settings, monkeypatch: pytest.MonkeyPatch, channels: str
) -> None:
    del own_settings
    monkeypatch.setenv("FAILSOFT_SLACK_CHANNELS", channels)
    with pytest.raises(ConfigurationError, match="FAILSOFT_SLACK_CHANNELS"):
        HistoryDoor.at("slack-history", load_settings())


@pytest.mark.parametrize("spec", ["slack-history:yesterday", "slack-history:-1"])
def test_a_beginning_that_is_no_time_is_refused(own_settings: Settings, spec: str) -> None:
    with pytest.raises(ConfigurationError, match="1723000000"):
        HistoryDoor.at(spec, own_settings)
