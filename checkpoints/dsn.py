"""Where Postgres is: the connection string, and what to say when nobody answers there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from psycopg import Error, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import IdleInTransactionSessionTimeout
from psycopg_pool import PoolClosed, PoolTimeout

from failsoft.errors import ConfigurationError, DatabaseUnavailableError

CONNECT_SECONDS = 5
AWAY = (OperationalError, IdleInTransactionSessionTimeout, PoolTimeout, PoolClosed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A connection string and its short name, which holds no password."""

    conninfo: str = field(repr=False)
    name: str  # host:port/database
    password: str | None = field(repr=False)

    @classmethod
    def read(cls, dsn: str, *, options: str = "") -> Self:
        """Read a connection string and add server options to it.

        Raises:
            ConfigurationError: libpq cannot read it.
        """
        try:
            parts = conninfo_to_dict(dsn)
            conninfo = make_conninfo(dsn, options=f"{parts.get('options') or ''} {options}".strip())
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
        """
        try:
            yield
        except AWAY as error:
            sentence = f"Postgres at {self.name} does not answer: {self._reason(error)}."
            raise DatabaseUnavailableError(sentence) from None

    def _reason(self, error: Error) -> str:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[0].rstrip(".")
        return reason.replace(self.password, "***") if self.password else reason
