"""Whether the process lives, and whether it can take anything in."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from failsoft.checkpoints.migrate import pending
from failsoft.errors import UnavailableError
from failsoft.web.endpoint import refused
from failsoft.web.serving import Serving

PATIENCE = 3.0  # seconds that the database has for an answer
FRESH = 1.0  # seconds that an answer is good for


class Health:
    """`/healthz` answers while the process can; `/readyz` only while it can take something in."""

    def __init__(self, serving: Serving, doors: list[str]) -> None:
        self.serving = serving
        self.doors = doors
        self._turn = asyncio.Lock()
        self._found: str | None = None
        self._good_until = 0.0

    def routes(self) -> list[Route]:
        return [Route("/healthz", self.alive), Route("/readyz", self.ready)]

    async def alive(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        """Say which agents and doors are open, or what stands in the way."""
        if trouble := await self._trouble():
            return refused(503, trouble)
        agents = [*self.serving.receptions]
        return JSONResponse({"ready": True, "agents": agents, "doors": self.doors})

    async def _trouble(self) -> str | None:
        """Return what was found out within the last moment, or find it out.

        Anybody may ask: one question at a time, whose answer is everybody's who waits.
        """
        async with self._turn:
            now = self.serving.clock.monotonic()
            if now >= self._good_until:
                self._found = await self._look()
                self._good_until = self.serving.clock.monotonic() + FRESH
            return self._found

    async def _look(self) -> str | None:
        """Ask the database by the pool, and its migrations by a connection of their own."""
        database = self.serving.database
        try:
            async with asyncio.timeout(PATIENCE):
                await database.all("SELECT 1 AS one")
                missing = await pending(database.address.conninfo)
        except (UnavailableError, TimeoutError):
            return "The database is away."
        return f"The database lacks {', '.join(missing)}." if missing else None
