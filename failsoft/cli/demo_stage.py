"""The demo's own home, database and sandbox, and the environment that its workers get."""

import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from failsoft.checkpoints.embedded import EmbeddedPostgres
from failsoft.cli.private_sandbox import Place, sandbox_process, variables
from failsoft.errors import MissingExtraError
from failsoft.sandbox.messages import BOT
from failsoft.settings import Settings, load_settings

NEEDED = ("aiohttp", "aiosmtpd", "aiosmtplib", "langchain_openai")
LAG = 3.0  # seconds that Jira's search index stays behind
MODEL_SECONDS = 1.5  # that a model may take: short, so that it can be too slow
KEPT = ("FAILSOFT_LOG_LEVEL", "FAILSOFT_TRACE_URL_TEMPLATE", "FAILSOFT_CONCURRENCY")


class Whose(StrEnum):
    """Who set the database up."""

    OURS = "ours"  # private to one demo
    YOURS = "yours"  # FAILSOFT_DSN


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where one demo takes place."""

    home: Path
    url: str  # of the sandbox
    dsn: str
    database: Whose
    settings: Settings


@contextlib.contextmanager
def build_stage(*, seed: int, keep: bool, own_database: bool) -> Iterator[Stage]:
    """Set everything up, and take it away again; traces and logs stay, with `keep` all stays.

    `own_database` never uses FAILSOFT_DSN.

    Raises:
        MissingExtraError: the demo's packages are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise MissingExtraError("demo", "The demo")
    before = load_settings()
    home = before.home.absolute() / f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        if own_database or before.dsn is None:
            whose, dsn = Whose.OURS, stack.enter_context(_private_database(home, keep=keep))
        else:
            whose, dsn = Whose.YOURS, before.dsn.get_secret_value()
        place = stack.enter_context(sandbox_process(seed=seed, lag=LAG))
        stack.enter_context(_environment(home, place, dsn))
        yield Stage(home=home, url=place.url, dsn=dsn, database=whose, settings=load_settings())


@contextlib.contextmanager
def _private_database(home: Path, *, keep: bool) -> Iterator[str]:
    server = EmbeddedPostgres(home / "pg")
    try:
        yield server.start()
    finally:
        server.close()
        if not keep and not server.running():
            # as root the data may be elsewhere, where the server's account may go
            shutil.rmtree(server.home, ignore_errors=True)


@contextlib.contextmanager
def _environment(home: Path, place: Place, dsn: str) -> Iterator[None]:
    """Point this process and its children at the stage, and at nothing that the user has set."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("FAILSOFT_") and name not in KEPT:
            del os.environ[name]
    os.environ.update(variables(place.url, place.smtp))
    os.environ.update(FAILSOFT_HOME=str(home), FAILSOFT_DSN=dsn, FAILSOFT_SLACK_BOT_ID=BOT)
    os.environ.update(FAILSOFT_TIMING__MODEL=str(MODEL_SECONDS))
    home.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
