"""Runs: one event handled by one agent; the table is both the inbox and the work list.

Every method is one statement in autocommit: fence, chain head, row and audit event together.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from failsoft.checkpoints.audit import body
from failsoft.checkpoints.claims import Admission, Claim, RunState
from failsoft.checkpoints.fence import fenced
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.queries import load
from failsoft.checkpoints.run_desk import RunDesk
from failsoft.errors import UsageError
from failsoft.events import MAX_KEY, MAX_RAW, Event, Ignored, run_id_of
from failsoft.parsing import JSON

__all__ = ["Admission", "Claim", "RunState", "Runs"]

SQL = load("runs")
JOINED = "reply in the thread of a run"
MOST_REPLAYS = 1000
TWIN_MARK = 32  # characters of a digest: nobody makes two things that share these


class Runs(RunDesk):
    """The durable life of runs. Times are in seconds and the server's.

    What takes a lease raises LeaseLostError when somebody else drives the run now, and has written
    nothing; what takes the id of a run raises NotFoundError when there is no such run.
    """

    async def admit(
        self,
        agent: str,
        lane: str,
        event: Event,
        *,
        replay_of: UUID | None = None,
        dry_run: bool = False,
    ) -> Admission:
        """Take an event in; it is durable on return, so its source may be told so.

        Another thing under a known key (`digest`) is a twin: it gets a key, and a run, of its own.
        """
        admission = await self._admit(agent, lane, event, replay_of=replay_of, dry_run=dry_run)
        if admission.new or not await self._differs(admission.run_id, event):
            return admission
        return await self._admit(agent, lane, _twin(event), replay_of=replay_of, dry_run=dry_run)

    async def _admit(
        self, agent: str, lane: str, event: Event, *, replay_of: UUID | None, dry_run: bool
    ) -> Admission:
        run_id = run_id_of(agent, event.key)
        origin = str(replay_of) if replay_of else None
        row = await self.database.one(
            SQL["admit"],
            run_id=run_id,
            lane=lane,
            agent=agent,
            key=event.key,
            event=Jsonb(event.to_json()),
            replay_of=replay_of,
            dry_run=dry_run,
            body=body("run.admitted", run_id, lane=lane, replay_of=origin, dry_run=dry_run),
        )
        return Admission(run_id=run_id, new=row is not None)

    async def _differs(self, run_id: UUID, event: Event) -> bool:
        """Tell whether another thing came under the key of `event` before."""
        if event.digest is None:
            return False
        known = await self.database.one(SQL["digest"], run_id=run_id)
        return known is not None and known["digest"] not in {None, event.digest}

    async def root_of(self, agent: str, event: Event) -> UUID | None:
        """Return the run in whose thread an event stands, if there is one."""
        if not (keys := event.answers):
            return None
        run_ids = [run_id_of(agent, key) for key in keys]
        row = await self.database.one(SQL["root"], agent=agent, keys=keys, run_ids=run_ids)
        return row["run_id"] if row else None

    async def join(self, agent: str, event: Event, root: UUID) -> bool:
        """List a reply under the run of its thread; False when it has a run of its own."""
        run_id = run_id_of(agent, event.key)
        row = await self.database.one(
            SQL["join"], root=root, run_id=run_id, agent=agent, key=event.key, reason=JOINED
        )
        return row is not None

    async def recent(self, agent: str, sender: str, seconds: float) -> int:
        """Return how many events of a sender were admitted within so many seconds."""
        row = await self.database.one(SQL["recent"], agent=agent, sender=sender, seconds=seconds)
        return int(row["events"]) if row else 0

    async def ignore(self, agent: str, ignored: Ignored) -> None:
        """List what starts nothing, with its reason, and the bytes of what could not be read."""
        raw = None if ignored.raw is None else ignored.raw[:MAX_RAW]
        await self.database.all(
            SQL["ignore"], agent=agent, key=ignored.key, reason=ignored.reason, raw=raw
        )

    async def ring(self) -> None:
        """Wake the dispatchers; call it after an admission, at most once for many of them."""
        await self.database.all(SQL["ring"])

    async def claim(
        self, worker_id: UUID, lanes: Sequence[str], free: int, *, suspects: bool = False
    ) -> list[Claim]:
        """Take at most `free` due runs of `lanes`, which the caller shuffles to be fair.

        `suspects` takes the runs that were being driven when two workers died, and only those:
        each is to be driven alone, in a process with a worker row of its own.
        """
        rows = await self.database.all(
            SQL["claim"], worker=worker_id, lanes=list(lanes), free=free, suspects=suspects
        )
        return [Claim.of(row) for row in rows]

    async def claim_one(self, worker_id: UUID, run_id: UUID) -> Claim | None:
        """Take this run if it is due and free, suspect or not: the caller drives nothing else."""
        row = await self.database.one(SQL["claim_one"], worker=worker_id, run_id=run_id)
        return None if row is None else Claim.of(row)

    async def suspects(self, lanes: Sequence[str]) -> int:
        """Return how many due runs of `lanes` must be driven alone."""
        row = await self.database.one(SQL["suspects"], lanes=list(lanes))
        return 0 if row is None else int(row["suspects"])

    async def next_due(self, lanes: Sequence[str]) -> float | None:
        """Return the seconds until a run of `lanes` is due (0 when one is), None for never."""
        row = await self.database.one(SQL["next_due"], lanes=list(lanes))
        return None if row is None or row["seconds"] is None else max(0.0, row["seconds"])

    async def begin(self, lease: Lease, trace_id: UUID) -> bool:
        """Record an attempt; True when a cancel was asked for."""
        audit = body("run.attempt", lease.run_id, epoch=lease.epoch, trace=str(trace_id))
        return bool(
            (await self._fenced("begin", lease, trace=trace_id, body=audit))["cancel_asked"]
        )

    async def progress(self, lease: Lease, kind: str, **facts: JSON) -> bool:
        """Record an audit event that proves progress; True when a cancel was asked for."""
        row = await self._fenced("progress", lease, body=body(kind, lease.run_id, **facts))
        return bool(row["cancel_asked"])

    async def settle(
        self,
        lease: Lease,
        state: RunState,
        *,
        outcome: str | None = None,
        reason: str | None = None,
        after: float = 0.0,
    ) -> None:
        """End the lease: done, dead or cancelled, or queued, which is a release and no progress.

        A released run is due again `after` seconds.
        """
        if state in {RunState.RUNNING, RunState.PARKED}:
            raise ValueError(f"a lease does not end as {state}")
        kind = "run.released" if state is RunState.QUEUED else f"run.{state}"
        audit = body(kind, lease.run_id, epoch=lease.epoch)
        await self._fenced(
            "settle",
            lease,
            state=state.value,
            outcome=outcome,
            reason=reason,
            after=after,
            body=audit,
        )

    async def park(self, lease: Lease, parks: Sequence[Park], *, cancel_seen: bool = False) -> None:
        """End the lease and wait for exactly `parks`; an answer that came meanwhile counts.

        So does a cancel, unless the driver has seen it and waits all the same: a write is still
        in the air, and must be decided before the run may end.
        """
        if not parks:
            raise ValueError("a run that waits for nothing would never go on")
        await self._fenced(
            "park",
            lease,
            wakes=lease.wakes,
            cancel_seen=cancel_seen,
            interrupts=[park.interrupt_id for park in parks],
            kinds=[park.kind for park in parks],
            dues=[park.due_at for park in parks],
            reviews=[park.review_id for park in parks],
            body=body("run.parked", lease.run_id, interrupts=[p.interrupt_id for p in parks]),
        )

    async def expire(self, *, backoff: float, alone_limit: int = 2) -> list[DictRow]:
        """Take back the runs of gone workers; the rows have run_id, agent, state, crash_count.

        From its second crash on a run waits `backoff` seconds, doubled each time; when it
        crashed `alone_limit` times while driven alone it is dead.
        """
        return await self.database.all(SQL["expire"], backoff=backoff, alone_limit=alone_limit)

    async def give_back(self, worker_id: UUID, driven: Sequence[UUID]) -> list[UUID]:
        """Queue what a live worker holds but does not drive, and return it; no crash counts.

        The answer to a claim or settle may be lost while the worker lives on: without this its
        run would rest under a heartbeat for ever. Never call it while a claim is on its way.
        """
        rows = await self.database.all(SQL["give_back"], worker=worker_id, driven=list(driven))
        return [row["run_id"] for row in rows]

    async def replay(self, run_id: UUID, *, write: bool, lane: str | None = None) -> Admission:
        """Handle the event of a run once more, in a new run; without `write` it writes nothing.

        `lane` is where the new run is driven: the agent's present one, by default the old run's.
        """
        row = await self.get(run_id)
        root = await self.get(row["replay_of"]) if row["replay_of"] else row
        event = Event.from_json(root["event"])
        stem = event.key[: MAX_KEY - len(f"#{MOST_REPLAYS}")]  # `replay_of` names the run for sure
        for number in range(2, MOST_REPLAYS):
            admission = await self.admit(
                root["agent"],
                lane or row["lane"],
                replace(event, key=f"{stem}#{number}"),
                replay_of=root["run_id"],
                dry_run=not write,
            )
            if admission.new:
                return admission
        raise UsageError(f"Run {root['run_id']} was replayed {MOST_REPLAYS} times.")

    async def _fenced(self, name: str, lease: Lease, **values: object) -> DictRow:
        return await fenced(self.database, SQL[name], lease, **values)


def _twin(event: Event) -> Event:
    """Give a thing a key of its own that came under the key of another one."""
    mark = f"#{(event.digest or '')[:TWIN_MARK]}"
    key = event.key[: MAX_KEY - len(mark)] + mark
    return replace(event, key=key, facts={**event.facts, "twin_of": event.key})
