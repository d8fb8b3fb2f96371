"""failsoft db: the database, embedded or your own."""

import asyncio
from typing import Any

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from failsoft.checkpoints.database import connect
from failsoft.checkpoints.dsn import Address
from failsoft.checkpoints.migrate import migrate, pending
from failsoft.checkpoints.store import Store
from failsoft.cli.table import show_facts, show_json
from failsoft.errors import UsageError
from failsoft.settings import Settings, load_settings


@click.group("db")
def command() -> None:
    """Look after the database: status, migrate, stop, url.

    FAILSOFT_DSN names your own Postgres; without it an embedded one lives under FAILSOFT_HOME.
    """


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Say where the database is, what it lacks and what it holds; this starts nothing."""
    facts = asyncio.run(_status(load_settings()))
    if as_json:
        show_json(facts)
    else:
        lacks = facts.get("pending")
        shown = ", ".join(lacks) or "nothing" if isinstance(lacks, list) else None
        show_facts(facts | {"pending": shown})


@command.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate_(*, as_json: bool) -> None:
    """Apply the migrations that the database lacks; as often as you like."""
    applied = asyncio.run(_migrate(load_settings()))
    if as_json:
        show_json({"applied": applied})
    else:
        click.echo(f"applied {', '.join(applied)}" if applied else "nothing was missing")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stop(*, as_json: bool) -> None:
    """Stop the embedded server, unless somebody uses it; the next command starts it again."""
    from failsoft.checkpoints.embedded import EmbeddedPostgres  # noqa: PLC0415

    settings = load_settings()
    if settings.dsn is not None:
        raise UsageError("FAILSOFT_DSN names a server of your own: failsoft does not stop it.")
    server = EmbeddedPostgres(settings.home / "pg")
    ran = server.running()
    server.stop()
    if as_json:
        show_json({"stopped": ran})
    else:
        click.echo("stopped" if ran else "it was not running")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def url(*, as_json: bool) -> None:
    """Print where the database is, for psql; a password is left out."""
    from failsoft.checkpoints.embedded import EmbeddedPostgres  # noqa: PLC0415

    settings = load_settings()
    if settings.dsn is None:
        found = EmbeddedPostgres(settings.home / "pg").dsn
    else:
        found = _without_password(settings.dsn.get_secret_value())
    if as_json:
        show_json({"url": found})
    else:
        click.echo(found)


async def _status(settings: Settings) -> dict[str, Any]:
    if settings.dsn is not None:
        dsn = settings.dsn.get_secret_value()
        place = {"database": Address.read(dsn).name, "kind": "your own", "running": True}
    else:
        from failsoft.checkpoints.embedded import EmbeddedPostgres  # noqa: PLC0415

        server = EmbeddedPostgres(settings.home / "pg")
        dsn, running = server.dsn, server.running()
        place = {"database": str(server.home), "kind": "embedded", "running": running}
        if not running:
            return place
    lacks = await pending(dsn)
    if lacks:
        return {**place, "pending": lacks}
    async with connect(settings) as database:
        counts = await Store.of(database).runs.counts()
        return {**place, "pending": lacks, "runs": counts}


async def _migrate(settings: Settings) -> list[str]:
    if settings.dsn is not None:
        return await migrate(settings.dsn.get_secret_value())
    from failsoft.checkpoints.embedded import EmbeddedPostgres  # noqa: PLC0415

    server = EmbeddedPostgres(settings.home / "pg")
    dsn = await asyncio.to_thread(server.start)
    try:
        return await migrate(dsn)
    finally:
        await asyncio.to_thread(server.close)


def _without_password(dsn: str) -> str:
    """Return the connection string, which libpq can read, without what must not be shown.

    Raises:
        ConfigurationError: libpq cannot read it.
    """
    Address.read(dsn)
    parts = conninfo_to_dict(dsn)
    secret = {"password", "sslpassword", "oauth_client_secret"}
    return make_conninfo("", **{name: parts[name] for name in parts if name not in secret})
