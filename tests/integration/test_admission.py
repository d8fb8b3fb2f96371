"""Slack's way in: durable as a run, or listed."""

from typing import Any

import psycopg
import pytest

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.runs import JOINED, Admission
from failsoft.checkpoints.store import Store
from failsoft.errors import InvalidEventError
from failsoft.events import Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.slack import Reason, normalise
from failsoft.parsing import JSONObject

AGENT, LANE = "a", "a@1"


def said(text: str, ts: str = "1.1", **more: Any) -> JSONObject:
    event: JSONObject = {"type": "message", "channel": "C1", "ts": ts, "user": "U1", "text": text}
    return {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event | more}


async def taken(store: Store, payload: JSONObject) -> Admission | Ignored:
    reception = Reception(runs=store.runs, agent=AGENT, lane=LANE)
    return await reception.admit(normalise(payload, own_bot_id="B1"))


async def test_a_message_that_comes_twice_is_one_run(store: Store) -> None:
    first, second = await taken(store, said("it broke")), await taken(store, said("it broke"))

    assert isinstance(first, Admission)
    assert isinstance(second, Admission)
    assert (first.new, second.new, first.run_id == second.run_id) == (True, False, True)


async def test_a_mention_of_a_known_message_is_the_same_run(store: Store) -> None:
    await taken(store, said("it broke"))
    mention = await taken(store, said("it broke", type="app_mention"))

    assert isinstance(mention, Admission)
    assert not mention.new


async def test_a_bots_message_is_listed_with_its_reason(store: Store) -> None:
    await taken(store, said("build is green", bot_id="B2"))

    (one,) = await listed(store.runs.database, AGENT)
    assert (one.event_key, one.reason, one.run_id) == ("slack:T1:C1:1.1", Reason.BOT, None)
    assert not await store.runs.list()


async def test_a_reply_is_listed_under_the_run_of_its_thread(store: Store) -> None:
    root = await taken(store, said("it broke"))
    await taken(store, said("here too", ts="2.1", thread_ts="1.1"))

    assert isinstance(root, Admission)
    (one,) = await listed(store.runs.database, AGENT)
    assert (one.event_key, one.reason, one.run_id) == ("slack:T1:C1:2.1", JOINED, root.run_id)


async def test_what_is_listed_belongs_to_its_agent(store: Store) -> None:
    await taken(store, said("build is green", bot_id="B2"))

    assert not await listed(store.runs.database, "another")


async def test_the_workers_hear_of_a_new_run_and_of_no_known_one(store: Store) -> None:
    conninfo = store.runs.database.address.conninfo
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as ear:
        await ear.execute("LISTEN failsoft_runs")
        await taken(store, said("it broke"))
        await taken(store, said("it broke"))
        heard = [notify async for notify in ear.notifies(timeout=0.5)]

    assert len(heard) == 1


async def test_what_is_nothing_of_slacks_is_refused_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(InvalidEventError):
        await taken(store, {"hello": 1})

    assert not await listed(store.runs.database, AGENT)
    assert not await store.runs.list()
