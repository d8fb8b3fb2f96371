import asyncio
import os
import signal
import sys
from pathlib import Path

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.outbox import Message
from failsoft.checkpoints.store import Store

# Delivers to a file; dies after it delivered the seventh message and before it marked it.
DELIVERER = """
import asyncio, os, signal, sys
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.outbox import Outbox

async def main(dsn, seen):
    async with Database(dsn, size=2) as database:
        outbox = Outbox(database)
        while messages := await outbox.take(4, 0.5):
            for message in messages:
                with open(seen, "a") as file:
                    file.write(message.idempotency_key + "\\n")
                if message.idempotency_key == "n7":
                    os.kill(os.getpid(), signal.SIGKILL)
                await outbox.done(message)

asyncio.run(main(*sys.argv[1:]))
"""


async def post(store: Store, *names: str) -> None:
    for name in names:
        await store.outbox.post("slack:#ops", {"text": name}, name)


async def deliver(store: Store) -> list[str]:
    messages = await store.outbox.take(100, 60)
    for message in messages:
        await store.outbox.done(message)
    return sorted(message.idempotency_key for message in messages)


async def test_what_was_delivered_but_not_marked_comes_again_with_the_same_key(
    store: Store, dsn: str, tmp_path: Path
) -> None:
    names = [f"n{number}" for number in range(20)]
    await post(store, *names)
    seen = tmp_path / "seen"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DELIVERER, dsn, str(seen), env=dict(os.environ)
    )
    assert await process.wait() == -signal.SIGKILL
    delivered = seen.read_text().split()
    await asyncio.sleep(0.6)

    delivered += await deliver(store)

    assert sorted(delivered) == sorted([*names, "n7"])
    assert await store.outbox.pending() == 0


async def test_a_message_with_a_known_key_is_left_once(store: Store) -> None:
    await post(store, "a", "a")

    assert await store.outbox.pending() == 1
    assert await deliver(store) == ["a"]
    await post(store, "a")
    assert await deliver(store) == []


async def test_two_deliverers_never_hold_the_same_message(store: Store) -> None:
    await post(store, *(f"n{number}" for number in range(20)))

    taken = await asyncio.gather(*(store.outbox.take(5, 60) for _ in range(4)))

    assert len({message.outbox_id for messages in taken for message in messages}) == 20


async def test_a_message_carries_what_was_posted(store: Store) -> None:
    await store.outbox.post("email:lead", {"text": "a\x00b"}, "key")

    [message] = await store.outbox.take(1, 60)

    assert message == Message(
        outbox_id=message.outbox_id, idempotency_key="key", channel="email:lead",
        body={"text": "a\N{REPLACEMENT CHARACTER}b"}, attempts=1,
    )  # fmt: skip


async def test_a_late_mark_does_not_touch_what_somebody_else_has_taken(store: Store) -> None:
    await post(store, "a")
    [late] = await store.outbox.take(1, 0.05)
    await asyncio.sleep(0.1)
    [present] = await store.outbox.take(1, 60)

    await store.outbox.give_up(late, "no such channel")

    assert await store.outbox.pending() == 1
    await store.outbox.done(present)
    assert await store.outbox.pending() == 0


async def test_a_failed_message_is_due_again_after_its_pause(
    store: Store, database: Database
) -> None:
    await post(store, "a")
    [message] = await store.outbox.take(1, 60)

    await store.outbox.failed(message, "503", 0.1)

    assert await store.outbox.take(1, 60) == []
    await asyncio.sleep(0.15)
    [again] = await store.outbox.take(1, 60)
    assert again.attempts == 2
    assert await database.all("SELECT reason FROM outbox") == [{"reason": "503"}]


async def test_a_message_given_up_is_kept_with_its_reason(store: Store, database: Database) -> None:
    await post(store, "a")
    [message] = await store.outbox.take(1, 60)

    await store.outbox.give_up(message, "no such channel")

    assert await store.outbox.pending() == 0
    [row] = await database.all("SELECT reason, delivered_at FROM outbox")
    assert row == {"reason": "no such channel", "delivered_at": None}


async def test_a_channel_with_many_messages_leaves_room_for_the_others(store: Store) -> None:
    for number in range(12):
        await store.outbox.post("webhook:slow", {}, f"slow {number}")
    await store.outbox.post("pagerduty:critical", {}, "alert")
    taken = await store.outbox.take(10, 30.0)
    assert "pagerduty:critical" in [message.channel for message in taken]
    assert len(taken) == 10
