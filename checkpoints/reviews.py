"""Questions to people: the first answer wins, and nobody answers for a person."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from failsoft.checkpoints import audit
from failsoft.checkpoints.claims import RunState
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.examples import keep_correction
from failsoft.checkpoints.fence import fenced
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.queries import load
from failsoft.checkpoints.verdicts import carry_out
from failsoft.errors import NotFoundError, UsageError
from failsoft.parsing import JSON, JSONObject, clean_json, clean_text

SQL = load("reviews")
ID_LENGTH = 12  # base32 characters, 60 bits
MAX_SAID = 80  # characters of a value that is repeated to whoever comes later


class ReviewState(StrEnum):
    """Where a question stands."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"  # nobody answered after the last escalation


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One question. `answer` holds the `choice` and its `value`."""

    review_id: str
    run_id: UUID
    run_no: int
    node: str
    state: ReviewState
    question: JSONObject
    allowed: list[str]
    answer: JSONObject | None
    answered_by: str | None
    created_at: datetime
    escalate_at: datetime | None
    level: int  # escalations so far
    transaction_id: str | None  # the write that it is about


class Reviews:
    """The questions of all runs, in Postgres."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def open(
        self,
        lease: Lease,
        *,
        review_id: str,
        node: str,
        question: JSONObject,
        allowed: Sequence[str],
        channels: Sequence[str],
        step_seconds: float,
        escalations: Sequence[str],
        transaction_id: str | None = None,
    ) -> None:
        """Ask, and leave a message for every channel; a question that is known changes nothing.

        After each `step_seconds` without an answer the next one of `escalations` is told.

        Raises:
            LeaseLostError: nothing was written.
        """
        body = audit.body(
            "review.opened", lease.run_id, review_id=review_id, node=node,
            transaction_id=transaction_id,
        )  # fmt: skip
        await fenced(
            self.database, SQL["open"], lease, review_id=review_id, node=node,
            question=Jsonb(clean_json(question)), allowed=list(allowed), channels=list(channels),
            step_seconds=step_seconds, escalations=list(escalations),
            transaction_id=transaction_id, body=body,
        )  # fmt: skip

    async def answer(self, review_id: str, *, choice: str, value: JSON = None, by: str) -> Review:
        """Keep a person's answer, carry out what it means for the write, and wake the run.

        Raises:
            NotFoundError: there is no such review.
            UsageError: it was answered or has expired, its run has ended or is dead, or the answer
                does not fit it.
        """
        by, value = clean_text(by), clean_json(value)
        async with self.database.transaction() as connection:
            # The run before the review, as its driver locks them. Only then is the review read,
            # by a statement of its own: one statement would show it as it was before the wait.
            await _row(connection, "lock", review_id=review_id)
            row = await _row(connection, "get", review_id=review_id)
            _check(row, choice, value)
            verdict: JSONObject = {}
            if row["transaction_id"] is not None:
                verdict = await carry_out(
                    connection, row["run_id"], row["transaction_id"], choice=choice, value=value
                )
            await keep_correction(connection, row, choice=choice, value=value, by=by)
            body = audit.body(
                "human.answered", row["run_id"], review_id=review_id, choice=choice, actor=by,
                **verdict,
            )  # fmt: skip
            answer = Jsonb({"choice": choice, "value": value})
            row = await _row(
                connection, "answer", review_id=review_id, answer=answer, by=by, body=body
            )
        return _review(row)

    async def list(
        self, *, state: ReviewState = ReviewState.OPEN, limit: int = 50
    ) -> Sequence[Review]:
        """Return reviews: the most urgent open ones first, of the others the newest."""
        rows = await self.database.all(SQL["list"], state=state, limit=limit)
        return [_review(row) for row in rows]

    async def get(self, review_id: str) -> Review:
        """Return one review.

        Raises:
            NotFoundError: there is no such review.
        """
        row = await self.database.one(SQL["get"], review_id=review_id)
        if row is None:
            raise NotFoundError(f"There is no review {review_id}.")
        return _review(row)

    async def of_run(self, run_no: int) -> Sequence[Review]:
        """Return the reviews of a run, oldest first."""
        rows = await self.database.all(SQL["of_run"], run_no=run_no)
        return [_review(row) for row in rows]

    async def escalate(self) -> Sequence[Review]:
        """Go one step further with every review whose deadline has passed, and return those.

        After the last step a review is expired, and a run that waits for it is dead. Any process
        may call this at any time, several at once too.
        """
        moved = []
        for late in await self.database.all(SQL["late"]):
            step, kind = ("expire", "expired") if late["over"] else ("escalate", "escalated")
            review_id, level = late["review_id"], late["level"]
            body = audit.body(
                f"review.{kind}", late["run_id"], review_id=review_id, level=level + 1
            )
            row = await self.database.one(SQL[step], review_id=review_id, level=level, body=body)
            if row is not None:  # else somebody answered, or went this step, in between
                moved.append(_review(row))
        return moved


def review_id_of(run_id: UUID, task_id: str) -> str:
    """Return the id of a question: it follows from the run and from LangGraph's task."""
    parts = json.dumps([str(run_id), task_id]).encode()
    return base64.b32encode(hashlib.sha256(parts).digest()).decode().lower()[:ID_LENGTH]


def said(answer: JSONObject) -> str:
    """Return an answer in a few words: the choice, and its value where that is short."""
    choice, value = str(answer.get("choice")), answer.get("value")
    short = isinstance(value, str) and len(value) <= MAX_SAID
    return f"{choice} {' '.join(str(value).split())}" if short else choice


def _check(row: DictRow, choice: str, value: JSON) -> None:
    """Refuse an answer that comes late or is not among the allowed ones."""
    if row["state"] == ReviewState.ANSWERED:
        at = row["answered_at"].isoformat(timespec="seconds")
        raise UsageError(
            f"Review {row['review_id']} was already answered by {row['answered_by']} at {at}:"
            f" {said(row['answer'])}."
        )
    run_id, run_state = row["run_id"], RunState(row["run_state"])
    if run_state in {RunState.DONE, RunState.CANCELLED}:
        raise UsageError(f"Run {run_id} is {run_state}: it asks nothing any more.")
    if row["state"] == ReviewState.EXPIRED:
        raise UsageError(
            f"Review {row['review_id']} has expired: `failsoft dead retry {run_id}` asks it again."
        )
    if run_state is RunState.DEAD:
        raise UsageError(f"Run {run_id} is dead: `failsoft dead retry {run_id}` before you answer.")
    labels = row["question"].get("labels")
    if labels and choice == "respond" and value not in labels:
        raise UsageError(f"The labels are {', '.join(labels)}; not {value!r}.")
    if choice not in row["allowed"]:
        raise UsageError(f"The allowed answers are {', '.join(row['allowed'])}; not {choice!r}.")


async def _row(
    connection: AsyncConnection[DictRow], name: str, *, review_id: str, **values: object
) -> DictRow:
    cursor = await connection.execute(SQL[name], {"review_id": review_id, **values})
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError(f"There is no review {review_id}.")
    return row


def _review(row: DictRow) -> Review:
    return Review(
        review_id=row["review_id"],
        run_id=row["run_id"],
        run_no=row["run_no"],
        node=row["node"],
        state=ReviewState(row["state"]),
        question=row["question"],
        allowed=row["allowed"],
        answer=row["answer"],
        answered_by=row["answered_by"],
        created_at=row["created_at"],
        escalate_at=row["escalate_at"],
        level=row["level"],
        transaction_id=row["transaction_id"],
    )
