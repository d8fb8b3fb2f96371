"""The sandbox as the demo sees it: faults are set and what really happened is read."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from failsoft.errors import UnavailableError
from failsoft.http import Http, Response
from failsoft.parsing import JSON, JSONObject
from failsoft.settings import Timing

LONGEST = 3600.0  # seconds that an answer may be waited for; each question says less
WITHIN = 10.0  # seconds for one question to the sandbox
MAX_STATE = 256 * 1024 * 1024  # bytes


class World:
    """The control side of a sandbox process; no fault hits it."""

    def __init__(self, url: str) -> None:
        self.http = Http(url, timing=Timing(read=LONGEST), max_answer=MAX_STATE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.http.close()

    async def set_faults(self, faults: Sequence[JSONObject]) -> None:
        body: JSON = [*faults]
        self._read(await self.http.request("POST", "_sim/faults", json=body, within=WITHIN))

    async def occurred(self) -> dict[str, int]:
        """Return how often each kind of fault has happened."""
        answer = await self.http.request("GET", "_sim/faults", within=WITHIN)
        return dict(self._read(answer)["occurred"])

    async def executed(self, route: str, number: int, *, within: float) -> bool:
        """Wait until so many calls of a route were executed; False when that took too long."""
        answer = await self.http.request(
            "GET",
            "_sim/wait",
            params={"match": route, "executed": number, "timeout": str(within)},
            within=within + WITHIN,
        )
        return bool(self._read(answer)["reached"])

    async def state(self) -> dict[str, Any]:
        """Return everything that the outside world holds."""
        return self._read(await self.http.request("GET", "_sim/state", within=WITHIN))

    def _read(self, answer: Response) -> dict[str, Any]:
        if answer.status != 200:
            said = answer.body.decode(errors="replace")[:200]
            raise UnavailableError(f"The sandbox answered {answer.status}: {said}")
        value: dict[str, Any] = json.loads(answer.body)
        return value
