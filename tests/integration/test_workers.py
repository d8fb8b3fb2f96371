from failsoft.checkpoints.database import Database
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.events import Event


async def test_a_late_heartbeat_before_the_sweep_revives_a_worker(store: Store) -> None:
    worker = await store.workers.register("w", 0.0)

    assert await store.workers.heartbeat(worker, 10.0)
    assert await store.workers.sweep() == []


async def test_a_worker_that_was_swept_stays_gone(store: Store) -> None:
    worker = await store.workers.register("w", 0.0)

    assert await store.workers.sweep() == [worker]
    assert not await store.workers.heartbeat(worker, 10.0)
    assert await store.workers.sweep() == []


async def test_a_worker_without_runs_leaves_at_once(store: Store) -> None:
    worker = await store.workers.register("w", 10.0)

    assert await store.workers.leave(worker)
    assert await store.workers.live() == []


async def test_a_worker_that_holds_a_run_cannot_leave_until_it_gave_it_back(store: Store) -> None:
    await store.runs.admit("a", "a@1", Event(key="k", source="cli", text=""))
    worker = await store.workers.register("w", 10.0)
    (claim,) = await store.runs.claim(worker, ["a@1"], 1)

    assert not await store.workers.leave(worker)
    await store.runs.settle(claim.lease, RunState.QUEUED)
    assert await store.workers.leave(worker)


async def test_live_workers_are_listed_with_what_they_hold(store: Store) -> None:
    await store.runs.admit("a", "a@1", Event(key="k", source="cli", text=""))
    worker = await store.workers.register("host:1", 10.0)
    await store.runs.claim(worker, ["a@1"], 1)

    (row,) = await store.workers.live()
    assert (row["worker_id"], row["name"], row["runs"]) == (worker, "host:1", 1)


async def test_a_worker_that_is_gone_for_a_day_is_forgotten(
    store: Store, database: Database
) -> None:
    old = await store.workers.register("old", 0.0)
    await store.workers.sweep()
    await database.all("UPDATE workers SET gone_at = now() - interval '25 hours'")
    await store.workers.register("new", 10.0)

    await store.workers.sweep()

    rows = await database.all("SELECT worker_id, name FROM workers")
    assert [row["name"] for row in rows] == ["new"]
    assert not await store.workers.heartbeat(old, 10.0)
