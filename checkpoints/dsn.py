"""Where Postgres is: the connection string, and what to say when nobody answers there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from psycopg import Error, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import PipelineAborted

from failsoft.errors import ConfigurationError, DatabaseUnavailableError

CONNECT_SECONDS = 5
# Errors of these kinds say nothing against the statement: the same one may succeed later.
AWAY_CLASSES = {
    "08",  # the connection
    "53",  # disk, memory or connections are used up
    "57",  # shut down, starting up, or a statement time-out
    "58",  # the machine under the server
}
AWAY_STATES = {
    "25006",  # read-only: the other server of a fail-over
    "25P03",  # idle in a transaction for too long
    "25P04",  # a transaction time-out
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock time-out
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A connection string and its short name, which holds no password."""

    conninfo: str = field(repr=False)
    name: str  # host:port/database
    password: str | None = field(repr=False)

    @classmethod
    def read(
        cls, dsn: str, *, options: str = "", defaults: Mapping[str, int] | None = None
    ) -> Self:
        """Read a connection string, add server options to it, and `defaults` that it leaves open.

        Raises:
            ConfigurationError: libpq cannot read it.
        """
        try:
            parts = conninfo_to_dict(dsn)
            own = {name: value for name, value in (defaults or {}).items() if name not in parts}
            options = f"{parts.get('options') or ''} {options}".strip()
            conninfo = make_conninfo(dsn, options=options, **own)
        except ProgrammingError:
            # libpq's own words quote the string, and with it the password.
            raise ConfigurationError("FAILSOFT_DSN is no Postgres connection string.") from None
        host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
        if "@" in host:  # the rest of a password with an @ in it: not to be shown either
            raise ConfigurationError("In FAILSOFT_DSN write the @ of a password as %40.")
        name = f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"
        password = str(parts["password"]) if parts.get("password") else None
        return cls(conninfo=conninfo, name=name, password=password)

    @contextmanager
    def border(self) -> Iterator[None]:
        """Turn what psycopg says about a missing server into one sentence of our own.

        Raises:
            DatabaseUnavailableError: instead of psycopg's errors; it shows no password.
            psycopg.Error: the statement or its values are wrong.
        """
        try:
            yield
        except Error as error:
            if not is_away(error):
                raise
            sentence = f"Postgres at {self.name} does not answer: {self._reason(error)}."
            raise DatabaseUnavailableError(sentence) from None

    def _reason(self, error: Error) -> str:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[0].rstrip(".")
        return reason.replace(self.password, "***") if self.password else reason


def is_away(error: Error) -> bool:
    """Tell whether the server was not there, or had no time or room for us."""
    if error.sqlstate is None:  # libpq and the pool, who only know about connections
        return isinstance(error, OperationalError) and not isinstance(error, PipelineAborted)
    return error.sqlstate[:2] in AWAY_CLASSES or error.sqlstate in AWAY_STATES
