"""One external write, once: claimed before it is sent, settled after it."""

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from failsoft.checkpoints import audit
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.fence import cancelled, fenced, lost
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.queries import load
from failsoft.errors import InvalidGraphError, NotFoundError
from failsoft.parsing import JSONObject, clean_json, clean_text

SQL = load("effects")
ID_LENGTH = 26  # base32 characters, 130 bits


class EffectState(StrEnum):
    """Where a write stands."""

    IN_FLIGHT = "in_flight"  # claimed; it may be on its way
    WAITING = "waiting"  # surely not executed: it may be sent again
    DONE = "done"
    FAILED = "failed"  # refused for good
    UNKNOWN = "unknown"  # executed or not: look for it before anything else
    NEEDS_HUMAN = "needs_human"  # nobody but a person can tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One generation of one write, as it stood when it was read.

    `seconds_left` runs until the send deadline and may be negative. `absence_in` is how many
    seconds must pass before "it is not there" proves anything; at 0 or less it does.
    """

    transaction_id: str
    node: str
    item_key: str
    generation: int
    operation: str
    request: JSONObject
    mark: JSONObject
    state: EffectState
    attempts: int
    unknown_rounds: int
    seconds_left: float
    absence_in: float
    external_id: str | None
    response: JSONObject | None
    reason: str | None


class Effects:
    """The writes of all runs, in Postgres."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def newest(self, lease: Lease, *, node: str, item_key: str = "") -> Effect | None:
        """Read the newest generation of a write; None if it was never claimed."""
        row = await self.database.one(
            SQL["newest"], run_no=lease.run_no, node=node, item_key=item_key
        )
        return effect_of(row) if row else None

    async def claim(
        self,
        lease: Lease,
        *,
        node: str,
        item_key: str = "",
        operation: str,
        request: JSONObject,
        mark: JSONObject,
        within: float,
        settle: float,
    ) -> Effect:
        """Claim a write (T1): on return it is on disk and may be sent within `within` seconds.

        Absence will count `settle` seconds after that. Call it only for a write that `newest` does
        not know; one that is known is for `take`.

        Raises:
            InvalidGraphError: another task of this run has claimed the write; it was left alone.
            LeaseLostError: nothing was written.
            RunCancelledError: the run is to end; nothing was written.
        """
        transaction = transaction_id(lease.run_id, node, item_key, 1)
        fingerprint = request_hash(request)
        row = await fenced(
            self.database, SQL["claim"], lease, transaction_id=transaction, node=node,
            item_key=item_key, operation=operation, request=Jsonb(clean_json(request)),
            request_hash=fingerprint, mark=Jsonb(clean_json(mark)), within=within, settle=settle,
            body=audit.body(
                "effect.claimed", lease.run_id, transaction_id=transaction, node=node,
                operation=operation, request_hash=fingerprint,
            ),
        )  # fmt: skip
        if row["cancel_asked"]:
            raise cancelled(lease)
        if row["transaction_id"] is None:
            raise _shared(node, item_key)
        return effect_of(row)

    async def take(self, lease: Lease, *, node: str, item_key: str = "", within: float) -> Effect:
        """Come back to a write: `in_flight` becomes `unknown`, `waiting` becomes `in_flight`.

        Look at the state, and send only what is `in_flight`.

        Raises:
            LeaseLostError: nothing was written.
            NotFoundError: the write was never claimed.
            RunCancelledError: it waits, and the run is to end; nothing was written.
        """
        found = await self.newest(lease, node=node, item_key=item_key)
        if found is None:
            raise NotFoundError(f"Node {node} of run {lease.run_id} never claimed a write.")
        if found.state is EffectState.IN_FLIGHT:
            # Whoever claimed it may have died just before the send, after it, or be sending at
            # this very moment: only the other side can tell, so it is looked for, not sent.
            reason = "found in flight"
            return effect_of(await self._move(lease, found, EffectState.UNKNOWN, reason=reason))
        if found.state is EffectState.WAITING:
            return await self._send_again(lease, found, within)
        return found

    async def settle(
        self,
        lease: Lease,
        effect: Effect,
        state: EffectState,
        *,
        external_id: str | None = None,
        response: JSONObject | None = None,
        reason: str | None = None,
    ) -> bool:
        """Write down what became of a write (T2, and every later verdict).

        Returns whether the run was asked to cancel.

        Raises:
            LeaseLostError: the run, or this write, has moved on since; nothing was written.
        """
        row = await self._move(
            lease, effect, state, external_id=external_id, response=response, reason=reason
        )
        return bool(row["cancel_asked"])

    async def of_run(self, run_no: int) -> list[Effect]:
        """Return every generation of every write of a run, in the order of the claims."""
        rows = await self.database.all(SQL["of_run"], run_no=run_no)
        return [effect_of(row) for row in rows]

    async def _send_again(self, lease: Lease, effect: Effect, within: float) -> Effect:
        body = audit.body(
            "effect.claimed", lease.run_id, transaction_id=effect.transaction_id, node=effect.node,
            operation=effect.operation, request_hash=request_hash(effect.request),
            attempt=effect.attempts + 1,
        )  # fmt: skip
        row = await fenced(
            self.database, SQL["send_again"], lease,
            transaction_id=effect.transaction_id, within=within, body=body,
        )  # fmt: skip
        if row["cancel_asked"]:
            raise cancelled(lease)
        if row["transaction_id"] is None:
            raise lost(lease)
        return effect_of(row)

    async def _move(
        self,
        lease: Lease,
        effect: Effect,
        state: EffectState,
        *,
        external_id: str | None = None,
        response: JSONObject | None = None,
        reason: str | None = None,
    ) -> DictRow:
        # What the other side said is free text: it can be erased from the row, never from the
        # chain, so it stays out of the audit event.
        body = audit.body(f"effect.{state}", lease.run_id, transaction_id=effect.transaction_id)
        return await fenced(
            self.database, SQL["settle"], lease,
            transaction_id=effect.transaction_id, seen=effect.state, state=state,
            external_id=None if external_id is None else clean_text(external_id),
            response=None if response is None else Jsonb(clean_json(response)),
            reason=None if reason is None else clean_text(reason), body=body,
        )  # fmt: skip


def _shared(node: str, item_key: str) -> InvalidGraphError:
    item = f" for the item {item_key!r}" if item_key else ""
    return InvalidGraphError(
        f"Two tasks of one run write by the node {node!r}{item}: give each write a key of its own"
        " by `add_write(key=…)`."
    )


def transaction_id(run_id: UUID, node: str, item_key: str, generation: int) -> str:
    """Return the name of a write: it follows from the event alone, nothing in it was generated.

    A model that is asked twice may answer twice differently; the write stays the same.
    """
    parts = json.dumps([str(run_id), node, item_key, generation]).encode()
    return base64.b32encode(hashlib.sha256(parts).digest()).decode().lower()[:ID_LENGTH]


def request_hash(request: JSONObject) -> str:
    """Return the SHA-256 of a request in canonical form."""
    canonical = json.dumps(clean_json(request), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def effect_of(row: DictRow) -> Effect:
    """Build an effect from its row, which carries the database's `now`."""
    seconds_left = (row["send_deadline"] - row["now"]).total_seconds()
    return Effect(
        transaction_id=row["transaction_id"],
        node=row["node"],
        item_key=row["item_key"],
        generation=row["generation"],
        operation=row["operation"],
        request=row["request"],
        mark=row["mark"],
        state=EffectState(row["state"]),
        attempts=row["attempts"],
        unknown_rounds=row["unknown_rounds"],
        seconds_left=seconds_left,
        absence_in=seconds_left + row["settle_seconds"],
        external_id=row["external_id"],
        response=row["response"],
        reason=row["reason"],
    )
