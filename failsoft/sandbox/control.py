"""`/_sim`: what tests and the demo ask and tell the sandbox itself."""

import json
from collections.abc import Iterable

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, parse_json
from failsoft.sandbox.door import Door
from failsoft.sandbox.faults import read_faults


class Reset(BaseModel):
    """A new world; what is left out keeps the value of the start."""

    model_config = ConfigDict(extra="forbid")

    seed: int
    lag: float = Field(ge=0)


class Wait(BaseModel):
    """Until when a caller waits."""

    model_config = ConfigDict(extra="forbid")

    match: str
    executed: int = Field(default=1, ge=1)
    timeout: float = Field(default=10.0, gt=0)


class Control:
    """The endpoints under `/_sim`; no fault hits them and no log shows them."""

    def __init__(self, door: Door, *, seed: int, lag: float) -> None:
        self._door = door
        self._start = {"seed": seed, "lag": lag}

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/_sim/state", self._state),
            web.get("/_sim/faults", self._faults),
            web.post("/_sim/faults", self._set_faults),
            web.post("/_sim/reset", self._reset),
            web.get("/_sim/wait", self._wait),
        )

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._door.world.as_json())

    async def _faults(self, _request: web.Request) -> web.Response:
        world = self._door.world
        faults = [fault.model_dump(mode="json") for fault in world.faults.faults]
        return web.json_response({"faults": faults, "occurred": world.fault_counts()})

    async def _set_faults(self, request: web.Request) -> web.Response:
        """Replace the faults in force."""
        try:
            faults = read_faults(parse_json(await request.read()))
        except InvalidDataError as error:
            return _refused(str(error))
        world = self._door.world
        world.faults.replace(faults, world.arrived)
        return web.json_response({"faults": len(faults)})

    async def _reset(self, request: web.Request) -> web.Response:
        try:
            given = parse_json(await request.read() or b"{}")
            wanted = Reset.model_validate(_merged(self._start, given))
        except (InvalidDataError, ValidationError) as error:
            return _refused(str(error))
        self._door.reset(seed=wanted.seed, lag=wanted.lag)
        return web.json_response(wanted.model_dump())

    async def _wait(self, request: web.Request) -> web.Response:
        """Answer once `executed` matching requests were executed, or at the time-out."""
        try:
            wanted = Wait.model_validate(dict(request.query))
        except ValidationError as error:
            return _refused(str(error))
        world = self._door.world
        count = await world.wait_executed(wanted.match, wanted.executed, wanted.timeout)
        return web.json_response({"executed": count, "reached": count >= wanted.executed})


def _merged(start: dict[str, float], given: JSON) -> JSON:
    if not isinstance(given, dict):
        raise InvalidDataError("An object with seed and lag is needed.")
    return {**start, **given}


def _refused(why: str) -> web.Response:
    return web.Response(
        status=400, text=json.dumps({"error": why}), content_type="application/json"
    )
