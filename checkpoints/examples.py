"""What people corrected: texts with the label that a person gave them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.queries import load
from failsoft.errors import NotFoundError
from failsoft.parsing import JSON

SQL = load("examples")
MAX_TEXT = 2_000  # characters that are kept
MAX_QUOTED = 300  # characters of one example in a prompt
POOL = 200  # examples among which a prompt's are chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One text and its label; `proposed` is the label that the person refused, if any."""

    example_id: int
    run_id: UUID | None  # None: the run was deleted
    text: str
    label: str
    proposed: str | None
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """An example as a prompt quotes it: short."""

    text: str
    label: str


class Examples:
    """The examples of all agents, in Postgres; `keep_correction` writes them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def list(self, agent: str, *, limit: int) -> Sequence[Example]:
        """Return an agent's examples, the newest first."""
        rows = await self.database.all(SQL["list"], agent=agent, limit=limit)
        return [_example(row) for row in rows]

    async def newest(self, run_no: int) -> Sequence[Quote]:
        """Return what the prompt of a run may quote, the newest first."""
        rows = await self.database.all(SQL["newest"], run_no=run_no, limit=POOL, longest=MAX_QUOTED)
        return [Quote(**row) for row in rows]

    async def forget(self, example_id: int) -> None:
        """Delete an example; its text stands in its run as well, but never in the audit chain.

        Raises:
            NotFoundError: there is no such example.
        """
        if await self.database.one(SQL["forget"], example_id=example_id) is None:
            raise NotFoundError(f"There is no example {example_id}.")


async def keep_correction(
    connection: AsyncConnection[DictRow], row: DictRow, *, choice: str, value: JSON, by: str
) -> None:
    """Keep what an answer corrects, in its own transaction; `row` is the review.

    A correction is a label out of those that the question listed, and not the one it proposed.
    """
    question = row["question"]
    labels, text = question.get("labels"), question.get("text")
    proposed = (question.get("classification") or {}).get("label")
    if choice != "respond" or not labels or value not in labels or value == proposed:
        return
    if not isinstance(text, str) or not text.strip():
        return
    values = {
        "run_no": row["run_no"],
        "review_id": row["review_id"],
        "text": text,
        "longest": MAX_TEXT,
        "label": value,
        "proposed": proposed,
        "by": by,
    }
    await connection.execute(SQL["keep"], values)


def _example(row: DictRow) -> Example:
    return Example(
        example_id=row["example_id"],
        run_id=row["run_id"],
        text=row["text"],
        label=row["label"],
        proposed=row["proposed"],
        actor=row["actor"],
        at=row["at"],
    )
