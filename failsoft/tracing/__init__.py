"""The local trace of every attempt, and the links to it.

Here stands what must stay light: which attempts this process has begun, and for whom. The pytest
plugin reads it at every start of pytest, so nothing of LangChain is imported here.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import UUID

MAX_ATTEMPTS = 1000  # remembered; a worker begins far more in its life


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """An attempt that was begun in this process, with its trace and its owner (a test), if any."""

    trace_id: UUID
    run_id: UUID
    path: Path
    owner: str | None


class Attempts:
    """The newest attempts of this process.

    The owner is one value for the whole process, no context variable: tests run one after another,
    and an async test can run in a task whose context was copied while another test was current.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._begun: deque[Attempt] = deque(maxlen=MAX_ATTEMPTS)
        self._owner: str | None = None

    def add(self, *, trace_id: UUID, run_id: UUID, path: Path) -> None:
        with self._lock:
            self._begun.append(
                Attempt(trace_id=trace_id, run_id=run_id, path=path, owner=self._owner)
            )

    def of(self, owner: str) -> list[Attempt]:
        """Return what was begun for `owner`, oldest first."""
        with self._lock:
            return [attempt for attempt in self._begun if attempt.owner == owner]

    @contextmanager
    def owned_by(self, owner: str) -> Iterator[None]:
        """Let everything that begins meanwhile, in whatever thread or task, belong to `owner`."""
        before, self._owner = self._owner, owner
        try:
            yield
        finally:
            self._owner = before


attempts = Attempts()
