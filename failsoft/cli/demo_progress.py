"""How the demo is getting on: one line that changes on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Mapping

EVERY = 5.0  # seconds between two lines where nothing can be overwritten
STATES = ("done", "running", "queued", "parked", "dead")


class Progress:
    """Written to stderr, so that what the demo prints can be piped."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._last = float("-inf")

    def show(self, what: str, *, runs: Mapping[str, int], faults: int, kills: int) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._last < EVERY:
            return
        self._last = now
        states = ", ".join(f"{runs[state]} {state}" for state in STATES if runs.get(state))
        line = (
            f"{now - self.started:3.0f} s  {what}  {f'runs: {states}  ' if states else ''}"
            f"faults: {faults}  kill -9: {kills}"
        )
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def say(self, line: str) -> None:
        """Say what is about to happen."""
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
