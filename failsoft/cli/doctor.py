"""failsoft doctor: everything that an agent needs, checked against the real thing."""

import asyncio
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from failsoft.cli.check import Check, Health, checked
from failsoft.cli.doctor_desk import connectors_of, look_at_desk
from failsoft.cli.doctor_outside import CONFIGURED, doors, look_at
from failsoft.cli.private_sandbox import real_or_sandbox
from failsoft.cli.table import escaped, show_json, show_table
from failsoft.errors import ConfigurationError, FailsoftError, ForeignHomeError, UnknownAgentError
from failsoft.settings import Settings

if TYPE_CHECKING:
    from failsoft.graphs.resilient_graph import ResilientGraph

WRONG = 3  # the exit code of a wrong configuration
SHOWN = (
    "home", "profile", "model", "second_model", "model_base_url", "slack_base_url",
    "jira_base_url", "jira_flavor", "jira_email", "salesforce_instance_url",
    "salesforce_txn_field", "smtp_host", "mail_from", "mailbox", "doors",
)  # fmt: skip


@click.command("doctor")
@click.argument("what", required=False, metavar="[AGENT|CONNECTOR]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(what: str | None, *, as_json: bool) -> None:
    """Check settings, home, Postgres, connectors, doors and the model; of AGENT each route too.

    With AGENT everything that it calls must be configured, else what is not set is skipped. With
    CONNECTOR (apprise, jira, mail, pagerduty, salesforce, slack, webhook) only that one is looked
    at. Where nothing at all is configured a sandbox is asked. Exit code 0: all is well; 3: it is
    not.
    """
    if what is not None and what not in CONFIGURED:
        _refuse_unknown(what)
    with real_or_sandbox(lambda text: click.echo(escaped(text), err=True)) as settings:
        if what in CONFIGURED:
            checks = asyncio.run(look_at([what], {what}, settings))
        else:
            checks = asyncio.run(examine(what, settings))
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
        await checked("home", lambda: asyncio.to_thread(_home, settings.home)),
    ]
    database = await checked("database", lambda: _database(settings))
    checks += [_binaries(settings), database]
    if agent is not None:
        loaded = await checked("agent", lambda: _agent(agent))
        checks.append(loaded)
        graph = _load(agent) if loaded.health is Health.OK else None
        if graph is not None and database.health is Health.OK:
            checks.append(await checked("waiting runs", partial(_waiting, settings, graph, agent)))
    checks += await look_at(CONFIGURED, _connectors(graph) if graph else set(), settings)
    checks += doors(settings)
    return checks + (await _own(graph, settings) if graph is not None else [])


def _settings(settings: Settings) -> list[Check]:
    """Say what is set; of secrets never more than that."""
    found = {name: getattr(settings, name) for name in SHOWN}
    secrets = [name for name, field in type(settings).model_fields.items()
               if field.annotation == SecretStr | None]  # fmt: skip
    found |= {name: "set" for name in secrets if getattr(settings, name) is not None}
    return [
        Check(
            name=f"FAILSOFT_{name.upper()}",
            health=Health.OK if found.get(name) else Health.SKIPPED,
            detail=str(found.get(name) or "not set"),
        )
        for name in (*SHOWN, *secrets)
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


def _refuse_unknown(name: str) -> None:
    """Raise UnknownAgentError at once; whatever else is wrong with an agent is a line of it."""
    try:
        _load(name)
    except UnknownAgentError:
        raise
    except FailsoftError:
        return


def _load(name: str) -> "ResilientGraph":
    from failsoft.agents.load import load_graph  # noqa: PLC0415  # heavy: LangGraph

    return load_graph(name)


def _connectors(graph: "ResilientGraph") -> set[str]:
    """Return what the agent calls: the connectors of its writes and of its desk, and the model."""
    from failsoft.nodes.classify import Classifier  # noqa: PLC0415
    from failsoft.nodes.write import Write  # noqa: PLC0415

    verbs = graph.verbs.values()
    called = {verb.operation.connector for verb in verbs if isinstance(verb, Write)}
    called |= {"model" for verb in verbs if isinstance(verb, Classifier)}
    return called | connectors_of(graph.desk)


async def _own(graph: "ResilientGraph", settings: Settings) -> list[Check]:
    """Look at its desk's channels, and ask what it wants to be asked itself: its routes."""
    from failsoft.connectors.clients import Clients  # noqa: PLC0415

    clients = Clients(settings)
    try:
        return [
            *await look_at_desk(graph.desk, settings),
            *[await checked(name, partial(check, clients)) for name, check in graph.checks.items()],
        ]
    finally:
        await clients.close()
