"""The way of one request: log it, let its faults happen, execute it, answer it or not."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from failsoft.clock import Clock
from failsoft.parsing import JSON
from failsoft.sandbox import model, slack
from failsoft.sandbox.call import Answer, Call, Delivery, Handler
from failsoft.sandbox.faults import Fault, Kind
from failsoft.sandbox.jira_answers import refusal
from failsoft.sandbox.services import SERVICES
from failsoft.sandbox.state import Entry, World

PIECES = 10

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class Door:
    """Leads requests into the world that is current when they come."""

    clock: Clock
    world: World
    _late: set[asyncio.Task[None]] = field(default_factory=set)

    def leads_to(self, handler: Handler) -> Endpoint:
        """Return the endpoint that brings requests to `handler`."""

        async def endpoint(request: web.Request) -> web.StreamResponse:
            return await self._enter(request, handler)

        return endpoint

    def reset(self, *, seed: int, lag: float) -> None:
        """Start a new world; what is still on its way belongs to the old one."""
        for task in self._late:
            task.cancel()
        self.world.sockets.close()
        self.world = World(self.clock, seed=seed, lag=lag)

    async def _enter(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        world = self.world
        payload = await request.read()
        entry = world.arrive(request.method, request.path)
        faults = _by_kind(world.faults.strike(entry.route))
        entry.faults = [kind.value for kind in faults]
        if fault := faults.get(Kind.LATENCY):
            await self.clock.sleep(fault.seconds)
        if fault := faults.get(Kind.STATUS):
            return await _send(request, entry, _injected(fault, entry.path), {})
        if Kind.DROP_BEFORE in faults:
            return _close(request)
        call = _call(request, payload, world, entry, faults.get(Kind.CONTENT))
        if fault := faults.get(Kind.LATE_COMMIT):
            self._commit_later(call, handler, entry, fault.seconds)
            return _close(request)
        answer = await _execute(call, handler, entry)
        return await self._answer(request, entry, answer, faults)

    async def _answer(
        self, request: web.Request, entry: Entry, answer: Answer, faults: Mapping[Kind, Fault]
    ) -> web.StreamResponse:
        """Give the answer of an executed request, as far as the faults let it through."""
        for kind in (Kind.HOLD, Kind.LATENCY_AFTER):
            if fault := faults.get(kind):
                await self.clock.sleep(fault.seconds)
        if Kind.DROP_AFTER in faults:
            _settle(answer, Delivery.DROPPED)
            return _close(request)
        if fault := faults.get(Kind.STATUS_AFTER):
            _settle(answer, Delivery.DROPPED)
            answer = _injected(fault, entry.path)
        return await _send(request, entry, answer, faults)

    def _commit_later(self, call: Call, handler: Handler, entry: Entry, seconds: float) -> None:
        async def commit() -> None:
            await self.clock.sleep(seconds)
            _settle(await _execute(call, handler, entry), Delivery.DROPPED)

        task = asyncio.create_task(commit())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _execute(call: Call, handler: Handler, entry: Entry) -> Answer:
    answer = handler(call)
    if answer.executed:
        await call.world.commit(entry)
    return answer


async def _send(
    request: web.Request, entry: Entry, answer: Answer, faults: Mapping[Kind, Fault]
) -> web.StreamResponse:
    """Put the answer on the wire, whole or spoilt."""
    if request.transport is None or request.transport.is_closing():
        _settle(answer, Delivery.DROPPED)
        return _close(request)
    entry.status = answer.status
    body = answer.content
    truncated = Kind.TRUNCATE in faults
    if Kind.MALFORMED in faults:
        body = body[: len(body) // 2] or b"{"
    response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
    if answer.status != 204:
        response.content_type = "text/plain" if isinstance(answer.body, str) else "application/json"
        response.content_length = len(body)
    sent = body[: len(body) // 2] if truncated else body
    try:
        await response.prepare(request)
        for piece, pause in _pieces(sent, faults.get(Kind.SLOW_BODY)):
            await asyncio.sleep(pause)
            await response.write(piece)
    except ConnectionError:  # the caller did not wait
        truncated = True
    _settle(answer, Delivery.DROPPED if truncated else Delivery.ANSWERED)
    return _close(request) if truncated else response


def _pieces(body: bytes, slow: Fault | None) -> Iterable[tuple[bytes, float]]:
    """Cut the body; each piece comes with the pause before it."""
    if not body:
        return
    size = len(body) if slow is None else max(1, -(-len(body) // PIECES))
    pause = 0.0 if slow is None else slow.seconds / -(-len(body) // size)
    for start in range(0, len(body), size):
        yield body[start : start + size], pause


def _close(request: web.Request) -> web.Response:
    """Close the connection; the returned answer finds nobody any more."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _settle(answer: Answer, delivery: Delivery) -> None:
    if answer.served is not None and answer.served.delivery is Delivery.PENDING:
        answer.served.delivery = delivery


def _call(
    request: web.Request, payload: bytes, world: World, entry: Entry, content: Fault | None
) -> Call:
    return Call(
        world=world,
        origin=f"http://{request.host}",
        method=request.method,
        path=request.path,
        parts=request.match_info,
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        payload=payload,
        ordinal=entry.ordinal,
        content=content.content if content else None,
    )


def _by_kind(faults: Iterable[Fault]) -> dict[Kind, Fault]:
    """Return the first fault of each kind."""
    found: dict[Kind, Fault] = {}
    for fault in faults:
        found.setdefault(fault.kind, fault)
    return found


def _injected(fault: Fault, path: str) -> Answer:
    """Return the answer of a status fault, in the words of the service that `path` belongs to."""
    body: JSON = fault.body  # type: ignore[assignment]  # it came as JSON
    if body is None:
        body = _refusal(fault.status, path)
    return Answer(status=fault.status, body=body, headers=fault.headers)


def _refusal(status: int, path: str) -> JSON:
    for service in SERVICES:
        if path.startswith(service.PREFIX):
            return service.refusal(status)
    if path.startswith(slack.PREFIX):
        return slack.refusal(status)
    return model.refusal(status) if path.startswith(model.PREFIX) else refusal(status)
