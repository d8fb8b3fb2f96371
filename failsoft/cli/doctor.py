"""failsoft doctor: everything that an agent needs, checked against the real thing."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from failsoft.cli.private_sandbox import real_or_sandbox
from failsoft.cli.table import escaped, show_json, show_table
from failsoft.errors import ConfigurationError, FailsoftError, ForeignHomeError
from failsoft.settings import Settings

if TYPE_CHECKING:
    from failsoft.graphs.resilient_graph import ResilientGraph

WRONG = 3  # the exit code of a wrong configuration
SECRETS = ("dsn", "model_api_key", "slack_token", "jira_token")
SHOWN = (
    "home", "profile", "model", "second_model", "model_base_url", "slack_base_url",
    "jira_base_url", "jira_email",
)  # fmt: skip


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line: what was looked at, and what is wrong and what to do."""

    name: str
    health: Health
    detail: str


@click.command("doctor")
@click.argument("agent", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(agent: str | None, *, as_json: bool) -> None:
    """Check settings, home, Postgres, Slack, Jira and the model; of AGENT each route too.

    With AGENT everything that it calls must be configured, else what is not set is skipped. Where
    nothing at all is configured a sandbox is asked. Exit code 0: all is well; 3: something is not.
    """
    with real_or_sandbox(lambda text: click.echo(escaped(text), err=True)) as settings:
        checks = asyncio.run(examine(agent, settings))
    well = all(check.health is not Health.WRONG for check in checks)
    if as_json:
        show_json({"well": well, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(check.health, check.name, check.detail) for check in checks]
        show_table(("", "check", ""), rows, empty="")
    sys.exit(0 if well else WRONG)


async def examine(agent: str | None, settings: Settings) -> list[Check]:
    """Look at everything, one thing after the other; nothing is raised."""
    graph = None
    checks = [
        *_settings(settings),
        await _checked("home", lambda: asyncio.to_thread(_home, settings.home)),
    ]
    database = await _checked("database", lambda: _database(settings))
    checks += [_binaries(settings), database]
    if agent is not None:
        loaded = await _checked("agent", lambda: _agent(agent))
        checks.append(loaded)
        graph = _load(agent) if loaded.health is Health.OK else None
        if graph is not None and database.health is Health.OK:
            checks.append(await _checked("waiting runs", partial(_waiting, settings, graph, agent)))
    needed = _connectors(graph) if graph else set()
    checks += await _outside(settings, needed)
    return checks + (await _own(graph, settings) if graph is not None else [])


async def _checked(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    """Turn what a check raises into its line."""
    try:
        return Check(name=name, health=Health.OK, detail=await look())
    except FailsoftError as error:
        return Check(name=name, health=Health.WRONG, detail=str(error))


def _settings(settings: Settings) -> list[Check]:
    """Say what is set; of secrets never more than that."""
    found = {name: getattr(settings, name) for name in SHOWN}
    found |= {name: "set" for name in SECRETS if getattr(settings, name) is not None}
    return [
        Check(
            name=f"FAILSOFT_{name.upper()}",
            health=Health.OK if found.get(name) else Health.SKIPPED,
            detail=str(found.get(name) or "not set"),
        )
        for name in (*SHOWN, *SECRETS)
    ]


def _home(home: Path) -> str:
    there = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    if there == home.absolute() and there.stat().st_uid != os.geteuid():
        owner = there.stat().st_uid
        raise ForeignHomeError(f"{there} belongs to user {owner}: chown it or set FAILSOFT_HOME.")
    if not os.access(there, os.W_OK):
        raise ForeignHomeError(f"{there} is closed to us: chown it or set FAILSOFT_HOME.")
    return f"{home.absolute()} is ours" if there == home.absolute() else "it will be made"


def _binaries(settings: Settings) -> Check:
    from failsoft.checkpoints.binaries import candidates, find_binaries  # noqa: PLC0415

    if settings.dsn is not None:
        detail = "FAILSOFT_DSN is set: no programs are needed here"
        return Check(name="postgres programs", health=Health.SKIPPED, detail=detail)
    try:
        find_binaries()
    except FailsoftError as error:
        return Check(name="postgres programs", health=Health.WRONG, detail=str(error))
    listed = dict.fromkeys(f"{folder}: {what}" for folder, what in candidates())
    return Check(name="postgres programs", health=Health.OK, detail="; ".join(listed))


async def _database(settings: Settings) -> str:
    from failsoft.checkpoints.database import connect  # noqa: PLC0415
    from failsoft.checkpoints.store import Store  # noqa: PLC0415

    async with connect(settings) as database:
        counts = await Store.of(database).runs.counts()
        held = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
        return f"{database.address.name} answers and lacks no migration; runs: {held or 'none'}"


async def _waiting(settings: Settings, graph: "ResilientGraph", agent: str) -> str:
    """Raise ConfigurationError when runs wait for another version of the graph."""
    from failsoft.checkpoints.database import connect  # noqa: PLC0415
    from failsoft.checkpoints.store import Store  # noqa: PLC0415

    async with connect(settings) as database:
        rows = await Store.of(database).runs.stranded([graph.lane], [graph.agent])
    if rows:
        held = ", ".join(f"{row['runs']} for {row['lane']}" for row in rows)
        raise ConfigurationError(
            f"runs wait for other versions of the graph ({held}): run their worker, or"
            f" `failsoft runs move {agent}`."
        )
    return f"none waits for another version than {graph.lane}"


async def _agent(name: str) -> str:
    graph = _load(name)
    graph.compile()
    return f"{graph.lane} with {len(graph.nodes)} nodes"


def _load(name: str) -> "ResilientGraph":
    from failsoft.agents.load import load_graph  # noqa: PLC0415  # heavy: LangGraph

    return load_graph(name)


def _connectors(graph: "ResilientGraph") -> set[str]:
    """Return what the agent calls: the connectors of its writes, and the model."""
    from failsoft.nodes.classify import Classifier  # noqa: PLC0415
    from failsoft.nodes.write import Write  # noqa: PLC0415

    verbs = graph.verbs.values()
    called = {verb.operation.connector for verb in verbs if isinstance(verb, Write)}
    return called | {"model" for verb in verbs if isinstance(verb, Classifier)}


async def _outside(settings: Settings, needed: set[str]) -> list[Check]:
    """Ask Slack and Jira who we are, and build the models; nothing is sent to those."""
    checks = []
    looks = {
        "slack": (settings.slack_token, lambda: _slack(settings)),
        "jira": (settings.jira_base_url, lambda: _jira(settings)),
        "model": (settings.model, lambda: _model(settings.model, settings)),
    }
    for name, (configured, look) in looks.items():
        if configured or name in needed:
            checks.append(await _checked(name, look))
        else:
            checks.append(Check(name=name, health=Health.SKIPPED, detail="not configured"))
    if settings.second_model:
        second = settings.second_model
        checks.append(await _checked("second model", lambda: _model(second, settings)))
    return checks


async def _slack(settings: Settings) -> str:
    from failsoft.connectors.slack import Slack  # noqa: PLC0415

    slack = Slack.from_settings(settings)
    try:
        facts = await slack.identity()
    finally:
        await slack.close()
    return f"{facts.get('user') or facts.get('user_id')} of team {facts.get('team_id')}"


async def _jira(settings: Settings) -> str:
    from failsoft.connectors.jira import Jira  # noqa: PLC0415

    jira = Jira.from_settings(settings)
    try:
        facts = await jira.myself()
    finally:
        await jira.close()
    return f"{facts.get('displayName')} ({facts.get('accountId')})"


async def _model(name: str | None, settings: Settings) -> str:
    from failsoft.connectors.models import ChatModel  # noqa: PLC0415

    if name is None:
        raise ConfigurationError("FAILSOFT_MODEL is not set: name one, e.g. openai:gpt-5-mini.")
    model = ChatModel(name, settings)
    await model.close()
    return f"{name}: its package is installed and its key set"


async def _own(graph: "ResilientGraph", settings: Settings) -> list[Check]:
    """Ask what the agent itself wants to be asked: its routes."""
    from failsoft.connectors.clients import Clients  # noqa: PLC0415

    clients = Clients(settings)
    try:
        return [
            await _checked(name, partial(check, clients)) for name, check in graph.checks.items()
        ]
    finally:
        await clients.close()
