"""failsoft serve: the HTTP doors of agents, and people's answers."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from failsoft.checkpoints.database import connect
from failsoft.cli.private_sandbox import keep_apart
from failsoft.errors import ConfigurationError, MissingExtraError, UnavailableError
from failsoft.settings import Settings, load_settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

DRAIN = 35  # seconds that what is in hand gets at the end
AT_ONCE = 200  # connections; whoever comes beyond is answered 503


@click.command("serve")
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--with-parent", is_flag=True, help="Stop too when standard input ends.")
def command(agents: tuple[str, ...], host: str, port: int, *, with_parent: bool) -> None:
    """Offer the HTTP doors of AGENT...: Slack's events and clicks, raw mail, answers of people.

    A door is open when its secret is set: FAILSOFT_SLACK_SIGNING_SECRET, FAILSOFT_MAIL_TOKEN,
    FAILSOFT_ANSWER_SECRET. It is plain HTTP: put a TLS proxy before it. SIGTERM and Ctrl-C drain.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise MissingExtraError("web", "`failsoft serve`")
    asyncio.run(serve(list(agents), load_settings(), host, port, with_parent=with_parent))


async def serve(
    agents: list[str], settings: Settings, host: str, port: int, *, with_parent: bool = False
) -> None:
    """Serve until a signal says stop."""
    # heavy imports: not for --help
    from failsoft.agents.load import load_graph  # noqa: PLC0415
    from failsoft.checkpoints.store import Store  # noqa: PLC0415
    from failsoft.web.app import build_app  # noqa: PLC0415
    from failsoft.web.serving import Serving  # noqa: PLC0415

    graphs = [load_graph(name) for name in agents]
    if len({graph.agent for graph in graphs}) < len(graphs):
        raise ConfigurationError("Two of these agents have one name: serve them by two processes.")
    async with connect(settings) as database:
        await keep_apart(settings, Store.of(database).runs)
        serving = Serving.of(graphs, database, settings)
        app, listening = build_app(serving), _listening(host, port)
        _say(app, listening, [*serving.receptions])
        server = server_of(app)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        if with_parent:
            loop.add_reader(sys.stdin.fileno(), _at_end_of_input, server)
        await server.serve(sockets=[listening])


def server_of(app: "Starlette") -> "uvicorn.Server":
    """Return the server of an application; set its `should_exit` to drain it."""
    import uvicorn  # noqa: PLC0415  # heavy

    class Server(uvicorn.Server):
        """Leaves the signals to us: uvicorn would raise each again at its end."""

        def capture_signals(self) -> "nullcontext[None]":  # type: ignore[override]  # a context too
            return nullcontext()

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=DRAIN, proxy_headers=False, limit_concurrency=AT_ONCE,
    )  # fmt: skip
    return Server(config)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UnavailableError(f"{host}:{port} cannot be used: {error.strerror}.") from None


def _say(app: "Starlette", listening: socket.socket, agents: list[str]) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    paths = ", ".join(str(getattr(route, "path", "")) for route in app.routes)
    click.echo(f"serving {', '.join(agents)} at http://{shown}:{port}: {paths}", err=True)


def _at_end_of_input(server: "uvicorn.Server") -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        server.should_exit = True
