"""What every command needs before it starts: options into the environment, logging to stderr."""

import logging
import os
import pwd
from pathlib import Path

from failsoft.cli.table import escaped
from failsoft.errors import ForeignHomeError
from failsoft.settings import load_settings

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class OneLine(logging.Formatter):
    """Write nothing that a text from outside could forge a line or drive the terminal with.

    A record is one line; only a traceback, which is shown with -v, keeps its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n") if record.exc_info else [super().format(record)]
        return "\n".join(escaped(line) for line in lines)


def prepare(*, dsn: str | None, home: str | None, verbose: bool) -> None:
    """Child processes must see what the options said, so they go into the environment."""
    if dsn:
        os.environ["FAILSOFT_DSN"] = dsn
    if home:
        os.environ["FAILSOFT_HOME"] = home
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(LOG_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    settings = load_settings()
    _check_owner(settings.home)
    level = "DEBUG" if verbose else settings.log_level
    logging.getLogger("failsoft").setLevel(level.upper())


def _check_owner(home: Path) -> None:
    """Refuse a home of somebody else early: files of two owners in it would lock both out."""
    try:
        owner = home.stat().st_uid
    except OSError:  # not there yet, or closed: whoever needs it says so
        return
    if owner != os.geteuid():
        raise ForeignHomeError(
            f"{home} belongs to {_name(owner)}: chown it, or set FAILSOFT_HOME to another folder."
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
