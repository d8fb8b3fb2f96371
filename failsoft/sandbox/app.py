"""The process: one port, all routes, from the start line to the last signal."""

import asyncio
import ipaddress
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable

from aiohttp import web

from failsoft.clock import Clock
from failsoft.errors import UnavailableError, UsageError
from failsoft.sandbox import Until, jira, jira_datacenter, jira_site, model, slack, smtp_sink
from failsoft.sandbox.call import Handler
from failsoft.sandbox.control import Control
from failsoft.sandbox.door import Door
from failsoft.sandbox.jira_answers import guarded, nothing_here
from failsoft.sandbox.services import SERVICES
from failsoft.sandbox.slack_control import SlackControl
from failsoft.sandbox.state import World

MAX_BODY = 4 * 1024 * 1024
SHUTDOWN = 0.5  # seconds that held answers get at the end

JIRA_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "serverInfo", jira_site.server_info),
    ("GET", "myself", jira_site.myself),
    ("GET", "mypermissions", jira_site.permissions),
    ("GET", "field", jira_site.fields),
    ("GET", "project", jira_site.projects),
    ("GET", "project/search", jira_site.search_projects),
    ("GET", "project/{project}", jira_site.one_project),
    ("GET", "project/{project}/components", jira_site.components),
    ("GET", "project/{project}/component", jira_site.search_components),
    ("GET", "issue/createmeta/{project}/issuetypes", jira_site.create_types),
    ("GET", "issue/createmeta/{project}/issuetypes/{type}", jira_site.create_fields),
    ("GET", "user", jira_site.one_user),
    ("GET", "user/search", jira_site.search_users),
    ("GET", "user/assignable/search", jira_site.search_users),
    ("POST", "issue", jira.create_issue),
    ("POST", "issue/bulkfetch", jira.bulk_fetch),
    ("GET", "issue/{issue}", jira.get_issue),
    ("PUT", "issue/{issue}", jira.edit_issue),
    ("GET", "issue/{issue}/comment", jira.comments),
    ("POST", "issue/{issue}/comment", jira.add_comment),
    ("GET", "issue/{issue}/remotelink", jira.remote_links),
    ("POST", "issue/{issue}/remotelink", jira.add_remote_link),
    ("GET", "search/jql", jira.search),
    ("POST", "search/jql", jira.search),
    ("GET", "search", jira.old_search),
    ("POST", "search", jira.old_search),
)


async def run(host: str, port: int, *, seed: int, lag: float, until: Until) -> None:
    """Serve until told to end; see `failsoft.sandbox.serve`."""
    _refuse_strangers(host)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until is Until.PARENT:
        _watch_parent(loop, ended)
    clock = Clock()
    door = Door(clock=clock, world=World(clock, seed=seed, lag=lag))
    runner = web.AppRunner(
        build_app(door, seed=seed, lag=lag), access_log=None, shutdown_timeout=SHUTDOWN
    )
    await runner.setup()
    try:
        await _listen(runner, host, port)
        async with await smtp_sink.listen(door, host) as mail:
            _announce(runner, smtp=smtp_sink.port_of(mail))
            await ended.wait()
    finally:
        await runner.cleanup()


def build_app(door: Door, *, seed: int, lag: float) -> web.Application:
    """Return the application with all routes."""
    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes(Control(door, seed=seed, lag=lag).routes())
    app.add_routes(SlackControl(door).routes())
    app.add_routes(_services(door))
    return app


def _services(door: Door) -> Iterable[web.RouteDef]:
    yield web.route("*", slack.PREFIX + "/{method}", door.leads_to(slack.answer))
    for method, path, handler in JIRA_ROUTES:
        full = f"{jira.PREFIX}/rest/api/{{version:[23]}}/{path}"
        yield web.route(method, full, door.leads_to(guarded(handler)))
    for method, path, handler in jira_datacenter.ROUTES:
        full = f"{jira_datacenter.PREFIX}/rest/api/{{version:2}}/{path}"
        yield web.route(method, full, door.leads_to(guarded(handler)))
    for service in SERVICES:
        for method, path, handler in service.ROUTES:
            yield web.route(method, service.PREFIX + path, door.leads_to(handler))
    yield web.post(f"{model.PREFIX}/chat/completions", door.leads_to(model.complete))
    yield web.get(f"{model.PREFIX}/models", door.leads_to(model.models))
    yield web.route("*", jira.PREFIX + "/{rest:.*}", door.leads_to(guarded(nothing_here)))
    rest = jira_datacenter.PREFIX + "/{rest:.*}"
    yield web.route("*", rest, door.leads_to(guarded(nothing_here)))
    yield web.route("*", model.PREFIX + "/{rest:.*}", door.leads_to(model.nothing_here))


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise UnavailableError(f"{host}:{port} cannot be used: {error.strerror}.") from None


def _announce(runner: web.AppRunner, *, smtp: int) -> None:
    """Write the one line that says where the sandbox is."""
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    line = {"url": f"http://{shown}:{port}", "pid": os.getpid(), "smtp": smtp}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _refuse_strangers(host: str) -> None:
    """Let only this machine in: nobody's real data belongs here."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(f"The sandbox listens on loopback addresses only, not on {host!r}.")


def _watch_parent(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """End with the parent: its death closes our standard input, whatever killed it."""

    def watch() -> None:
        # os.read, because a thread inside sys.stdin would block the interpreter's end.
        while os.read(0, 4096):
            pass
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, name="parent", daemon=True).start()
