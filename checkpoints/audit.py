"""What happened to a run: a chain of hashes that Postgres extends in the statement it records.

The first hash is sha256(run id as text || body), each further one sha256(previous hash || body);
the newest stands in `runs.audit_head`, so that fence and append are one update.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg.rows import DictRow

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.errors import NotFoundError
from failsoft.parsing import JSON, JSONObject, parse_object

SQL = load("audit")


def body(kind: str, run_id: UUID, **facts: JSON) -> bytes:
    """Return an audit event as canonical JSON: sorted keys, no spaces, plain ASCII.

    It can never be erased: no text from outside may be among the facts.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    event = {**facts, "at": at, "kind": kind, "run": str(run_id)}
    return json.dumps(event, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEvent:
    """One link of a run's chain."""

    seq: int  # from 1, without a gap
    kind: str
    at: str  # ISO 8601, UTC, by the clock of whoever wrote it
    facts: JSONObject
    hash: bytes


class Audit:
    """Reads the chains; they are written by the statements of the things they record."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def events(self, run_id: UUID) -> list[AuditEvent]:
        """Return a run's events, the oldest first.

        Raises:
            NotFoundError: there is no such run.
        """
        return [_event(row) for row in await self._chain(run_id) if row["seq"] is not None]

    async def verify(self, run_id: UUID) -> bool:
        """Recompute the chain from the stored bytes and compare it with the head in `runs`."""
        rows = await self._chain(run_id)
        head = str(run_id).encode()
        for number, row in enumerate(rows, start=1):
            if row["seq"] != number:
                return False
            head = hashlib.sha256(head + row["body"]).digest()
            if row["hash"] != head:
                return False
        return (len(rows), head) == (rows[0]["audit_seq"], rows[0]["audit_head"])

    async def _chain(self, run_id: UUID) -> list[DictRow]:
        rows = await self.database.all(SQL["chain"], run_id=run_id)
        if not rows:
            raise NotFoundError(f"There is no run {run_id}.")
        return rows


def _event(row: DictRow) -> AuditEvent:
    facts = parse_object(row["body"])
    kind, at = str(facts.pop("kind")), str(facts.pop("at"))
    facts.pop("run")
    return AuditEvent(seq=row["seq"], kind=kind, at=at, facts=facts, hash=row["hash"])
