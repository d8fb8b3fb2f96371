"""Whether the process lives, and whether it can take anything in."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from failsoft.checkpoints.migrate import pending
from failsoft.errors import UnavailableError
from failsoft.web.endpoint import refused
from failsoft.web.serving import Serving


class Health:
    """`/healthz` answers while the process can; `/readyz` only while it can take something in."""

    def __init__(self, serving: Serving, doors: list[str]) -> None:
        self.serving = serving
        self.doors = doors
        self._turn = asyncio.Lock()

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
        """Ask the database by the pool, and its migrations by a connection of their own.

        Anybody may ask: one question at a time, so that they use up no connections.
        """
        database = self.serving.database
        try:
            async with self._turn:
                await database.all("SELECT 1 AS one")
                missing = await pending(database.address.conninfo)
        except UnavailableError:
            return "The database is away."
        return f"The database lacks {', '.join(missing)}." if missing else None
