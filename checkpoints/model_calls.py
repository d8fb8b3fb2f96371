"""Calls of a model: reserved before they are made, so that spend survives a crash."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid4

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from failsoft.checkpoints import audit
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.fence import cancelled, fenced
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.queries import load
from failsoft.errors import BudgetExceededError
from failsoft.parsing import JSONObject, clean_json

SQL = load("model_calls")
MICROS = 1_000_000  # in one US dollar


class CallState(StrEnum):
    """Where a call stands."""

    RESERVED = "reserved"  # for ever, if its process died: it may have been paid for, so it counts
    ANSWERED = "answered"
    REFUSED = "refused"  # surely not executed: it costs nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class CallLimits:
    """What all calls of one run may take together; `micros` are millionths of a US dollar."""

    calls: int
    tokens: int
    micros: int | None  # None: no limit in money


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """The right to make one call, or the durable answer of an earlier attempt at the same call."""

    call_id: UUID
    answer: JSONObject | None  # None: make the call


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCall:
    """One call; `tokens` and `micros` are the reservation as long as the truth is not known."""

    call_id: UUID
    call_key: str
    model: str
    state: CallState
    tokens: int
    micros: int
    estimated: bool
    answer: JSONObject | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What all runs have spent; unanswered calls count as they were reserved."""

    answered: int
    unanswered: int
    tokens: int
    micros: int


class ModelCalls:
    """The model calls of all runs, in Postgres."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def reserve(
        self,
        lease: Lease,
        *,
        call_key: str,
        model: str,
        tokens: int,
        micros: int,
        limits: CallLimits,
    ) -> Reservation:
        """Count a call of at most `tokens` and `micros` before it is made.

        Raises:
            BudgetExceededError: the call would pass a limit of its run; nothing was reserved.
            LeaseLostError: nothing was written.
            RunCancelledError: the run is to end; nothing was reserved.
        """
        call_id = uuid4()
        row = await fenced(
            self.database, SQL["reserve"], lease, call_id=call_id, call_key=call_key,
            model=model, tokens=tokens, micros=micros, calls_limit=limits.calls,
            tokens_limit=limits.tokens, micros_limit=limits.micros,
            body=audit.body(
                "model.reserved", lease.run_id, call_id=str(call_id), model=model, tokens=tokens,
                micros=micros,
            ),
        )  # fmt: skip
        if row["answered_call"] is not None:
            return Reservation(call_id=row["answered_call"], answer=row["answer"])
        if row["cancel_asked"]:
            raise cancelled(lease)
        if not row["reserved"]:
            raise BudgetExceededError(_over(row, tokens, micros, limits))
        return Reservation(call_id=call_id, answer=None)

    async def answer(
        self,
        lease: Lease,
        call_id: UUID,
        *,
        answer: JSONObject,
        input_tokens: int,
        output_tokens: int,
        micros: int,
        estimated: bool,
    ) -> None:
        """Keep an answer, and put its price in the place of the reservation.

        `estimated` says that the provider gave no figures.

        Raises:
            LeaseLostError: the run, or this call, has moved on since; nothing was written.
        """
        await fenced(
            self.database, SQL["answer"], lease, call_id=call_id,
            answer=Jsonb(clean_json(answer)), input_tokens=input_tokens,
            output_tokens=output_tokens, micros=micros, estimated=estimated,
            body=audit.body(
                "model.answered", lease.run_id, call_id=str(call_id),
                tokens=input_tokens + output_tokens, micros=micros,
            ),
        )  # fmt: skip

    async def refuse(self, lease: Lease, call_id: UUID, reason_kind: str) -> None:
        """Give the reservation of a call back that was surely not executed.

        `reason_kind` is a word of ours, such as the name of an error; it stays in the audit chain.

        Raises:
            LeaseLostError: the run, or this call, has moved on since; nothing was written.
        """
        body = audit.body("model.refused", lease.run_id, call_id=str(call_id), reason=reason_kind)
        await fenced(self.database, SQL["refuse"], lease, call_id=call_id, body=body)

    async def of_run(self, run_no: int) -> list[ModelCall]:
        """Return the calls of a run, oldest first."""
        rows = await self.database.all(SQL["of_run"], run_no=run_no)
        return [_call(row) for row in rows]

    async def totals(self) -> Spend:
        """Return what all runs have spent."""
        rows = await self.database.all(SQL["totals"])
        return Spend(**rows[0])


def _call(row: DictRow) -> ModelCall:
    answered = row["state"] == CallState.ANSWERED
    return ModelCall(
        call_id=row["call_id"],
        call_key=row["call_key"],
        model=row["model"],
        state=CallState(row["state"]),
        tokens=row["input_tokens"] + row["output_tokens"] if answered else row["reserved_tokens"],
        micros=row["micros"] if answered else row["reserved_micros"],
        estimated=row["estimated"] or row["state"] == CallState.RESERVED,
        answer=row["answer"],
    )


def _over(row: DictRow, tokens: int, micros: int, limits: CallLimits) -> str:
    """Say which limit the call would pass."""
    if row["calls"] >= limits.calls:
        return (
            f"The run has made {row['calls']} of the {limits.calls} model calls that it may make."
        )
    if row["tokens"] + tokens > limits.tokens:
        return (
            f"The run has used {row['tokens']} of its {limits.tokens} tokens,"
            f" and this call may need {tokens}."
        )
    spent, more, limit = (value / MICROS for value in (row["micros"], micros, limits.micros or 0))
    return (
        f"The run has spent ${spent:.6f} of its ${limit:.6f}, and this call may cost ${more:.6f}."
    )
