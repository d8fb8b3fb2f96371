"""`/_sim/slack`: what tests tell Slack's people and its sender to do."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Self, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, parse_json
from failsoft.sandbox.door import Door
from failsoft.sandbox.messages import Message, is_ts
from failsoft.sandbox.slack_interactions import View, clicked, submitted
from failsoft.sandbox.slack_sender import (
    Spoil,
    Target,
    event_body,
    interaction_body,
    post,
)
from failsoft.sandbox.slack_socket import INTERACTIVE, PATH

PERSON = "U0PERSON"


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Way(Asked):
    """How a thing gets to the app: by HTTP to `url`, or by its socket.

    It is delivered `times` times, one after the other. Each delivery is repeated after the
    `pauses` (Slack's own are 0, 60 and 300) while no 2xx, or no acknowledgement, comes within
    `seconds`. With no socket open it waits for one, at most `patience` seconds.
    """

    url: str | None = None
    secret: str = ""
    socket: bool = False
    times: int = Field(default=1, ge=1, le=1000)
    pauses: tuple[float, ...] = (0.0, 0.1, 0.2)
    seconds: float = Field(default=3.0, gt=0)
    patience: float = Field(default=10.0, ge=0)
    skew: float = 0.0
    spoil: Spoil | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url is None) is not self.socket:
            raise ValueError("give either url or socket")
        return self


class Sending(Way):
    """An event; the payload is the whole body, with `type: event_callback` or another type."""

    payload: dict[str, object]


class Click(Way):
    """A person uses a button, or chooses the option of that value or text from a list."""

    ts: str
    channel: str | None = None
    action_id: str
    option: str | None = None
    user: str = PERSON


class Submission(Way):
    """A person submits a form, the newest one when none is named, with `text` in its fields."""

    view: str | None = None
    text: str
    user: str = PERSON


class Said(Asked):
    """What a person said; it stands in the history and comes as an event from nobody."""

    channel: str
    text: str
    user: str = Field(default=PERSON, min_length=1)
    ts: str | None = None
    thread_ts: str | None = None
    edited_ts: str | None = None
    more: dict[str, object] = Field(default_factory=dict)  # such as subtype, bot_id


class Disconnection(Asked):
    """The end of all sockets; an abrupt one is without a word."""

    reason: str = "refresh_requested"
    abrupt: bool = False


Model = TypeVar("Model", bound=Asked)


class SlackControl:
    """The endpoints under `/_sim/slack`, and the WebSocket itself."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get(PATH, self._socket),
            _route("events", Sending, self._send),
            _route("click", Click, self._click),
            _route("submit", Submission, self._submit),
            _route("messages", Said, self._say),
            _route("disconnect", Disconnection, self._disconnect),
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        store, ticket = self._door.world.sockets, request.query.get("ticket", "")
        if ticket not in store.tickets:
            return web.Response(status=403)
        store.tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await store.serve(socket, request)
        return socket

    async def _send(self, asked: Sending) -> JSONObject:
        return await self._deliver(asked, "events_api", lambda: _json(asked.payload))

    async def _click(self, asked: Click) -> JSONObject:
        world = self._door.world
        message = world.messages.find(asked.ts, asked.channel)
        if message is None:
            raise InvalidDataError(f"There is no message {asked.ts}.")
        found = message

        def payload() -> JSONObject:
            made = clicked(
                world.interactions, found, asked.action_id, option=asked.option, user=asked.user
            )
            if made is None:
                raise InvalidDataError(f"{asked.ts} has no such element or option.")
            return made

        return await self._deliver(asked, INTERACTIVE, payload)

    async def _submit(self, asked: Submission) -> JSONObject:
        view = self._view(asked.view)
        report = await self._deliver(
            asked, INTERACTIVE, lambda: submitted(view, asked.text, user=asked.user)
        )
        view.open = bool(report["errors"])
        return report

    async def _say(self, asked: Said) -> JSONObject:
        store = self._door.world.messages
        for ts in (asked.ts, asked.thread_ts, asked.edited_ts):
            if ts is not None and not is_ts(ts):
                raise InvalidDataError(f"{ts!r} is no ts.")
        message = Message(
            channel=asked.channel,
            ts=asked.ts or store.next_ts(),
            text=asked.text,
            ordinal=0,
            thread_ts=asked.thread_ts,
            edited_ts=asked.edited_ts,
            user=asked.user,
            more=_json(asked.more),
        )
        store.add(message)
        return {"channel": message.channel, "ts": message.ts}

    async def _disconnect(self, asked: Disconnection) -> JSONObject:
        sockets = self._door.world.sockets
        return {"ended": await sockets.disconnect(asked.reason, abrupt=asked.abrupt)}

    def _view(self, view_id: str | None) -> View:
        views = [view for view in self._door.world.interactions.views if view.open]
        found = [view for view in views if view_id in {None, view.view_id}]
        if not found:
            raise InvalidDataError("No such form is open.")
        return found[-1]

    async def _deliver(self, way: Way, kind: str, payload: Callable[[], JSONObject]) -> JSONObject:
        """Deliver a payload, made anew for each time, and report what came of it."""
        deliveries: list[JSON] = []
        errors: JSON = {}
        for _ in range(way.times):
            report = (
                await self._by_url(way, kind, payload())
                if way.url
                else (await self._by_socket(way, kind, payload()))
            )
            deliveries.append(report)
            errors = _errors(report) or errors
        return {"deliveries": deliveries, "errors": errors}

    async def _by_socket(self, way: Way, kind: str, payload: JSONObject) -> JSONObject:
        repeats = len(way.pauses) if kind != INTERACTIVE else 0  # Slack repeats no click
        envelope = await self._door.world.sockets.deliver(
            kind, payload, seconds=way.seconds, repeats=repeats, patience=way.patience
        )
        return envelope.as_json()

    async def _by_url(self, way: Way, kind: str, payload: JSONObject) -> JSONObject:
        body, content_type = (
            interaction_body(payload) if kind == INTERACTIVE else event_body(payload)
        )
        target = Target(
            url=way.url or "",
            secret=way.secret,
            pauses=way.pauses if kind != INTERACTIVE else (),
            seconds=way.seconds,
            skew=way.skew,
            spoil=way.spoil,
        )
        posted = await post(target, body, content_type, self._door.clock)
        answer = posted.attempts[-1]["body"] if posted.delivered else None
        return posted.as_json() | {"answer": _read(answer)}


def _route(
    name: str, model: type[Model], act: Callable[[Model], Awaitable[JSONObject]]
) -> web.RouteDef:
    """Return the endpoint that reads its body as a `model`."""

    async def endpoint(request: web.Request) -> web.Response:
        try:
            asked = model.model_validate(parse_json(await request.read() or b"{}"))
            return web.json_response(await act(asked))
        except (InvalidDataError, ValidationError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return web.post(f"/_sim/slack/{name}", endpoint)


def _errors(report: JSONObject) -> JSON:
    """Return what an acknowledgement shows in a form; nothing when the form closes."""
    answer = report.get("answer")
    return answer.get("errors") if isinstance(answer, dict) else None


def _read(text: JSON) -> JSON:
    try:
        return parse_json(str(text)) if text else None
    except InvalidDataError:
        return None


def _json(value: dict[str, object]) -> JSONObject:
    return value  # type: ignore[return-value]  # it came as JSON
