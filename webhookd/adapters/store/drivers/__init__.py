"""Where store operations run: SQLite in threads of our own, PostgreSQL on asyncpg.

Both take a function over a synchronous `Connection`; what else differs between the two databases
(opening, locking, what an error means) is here and nowhere else.
"""

import importlib
from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from webhookd.adapters.store.drivers.libpq import hosts_apart, shown, with_parameters
from webhookd.adapters.store.drivers.sqlite import SqliteDriver
from webhookd.core.errors import SettingsError

__all__ = ["Driver", "import_driver", "make_driver", "parse_url", "shown"]

R = TypeVar("R")


class Driver(Protocol):
    """What differs between the two databases: where a function over a Connection runs."""

    dialect: str
    pooled: bool
    """A connection pooler stands between, and every transaction may be in another session."""

    async def read(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in a read-only snapshot."""
        ...

    async def write(
        self,
        work: Callable[[Connection], R],
        *,
        lasting: bool = True,
        seen: Callable[[R], None] | None = None,
    ) -> R:
        """Run `work` in one transaction and commit it.

        One that is not `lasting` may be lost with the machine's power, where no process outlives that. Where
        others see a lasting one before it lasts, `seen` is called then, in any thread.
        """
        ...

    async def make_last(self) -> None:
        """Return once everything committed so far outlasts a loss of power."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def import_driver(url: URL) -> None:
    """Import now what `make_driver` would import for this URL: before a fork, so that it is shared."""
    if url.get_backend_name() != "sqlite":
        importlib.import_module("webhookd.adapters.store.drivers.postgresql")


async def make_driver(url: URL, *, lease_seconds: float, writes_apart: bool = False) -> Driver:
    """Return the driver for a URL from `parse_url`. `lease_seconds`, `writes_apart`: see PostgresDriver.

    Raises Unavailable where PostgreSQL does not answer, SettingsError where the database will not do.
    """
    if url.get_backend_name() == "sqlite":
        return SqliteDriver(url)
    # Imported where it is used: asyncpg and SQLAlchemy's bridge to it are 8 MB in every process.
    from webhookd.adapters.store.drivers.postgresql import PostgresDriver
    from webhookd.adapters.store.drivers.server import look_at

    return PostgresDriver(url, await look_at(url), lease_seconds=lease_seconds, writes_apart=writes_apart)


def parse_url(url: str) -> URL:
    """Return the URL with the driver we use. Raises SettingsError naming WEBHOOKD_DATABASE_URL."""
    try:
        parsed = make_url(hosts_apart(url))
    except (ArgumentError, ValueError):
        raise SettingsError(
            "WEBHOOKD_DATABASE_URL is not a database URL; "
            "use sqlite:////absolute/path.db or postgresql://user:password@host:5432/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise SettingsError(
                "WEBHOOKD_DATABASE_URL needs a file, because several processes share it; "
                "use sqlite:////absolute/path.db."
            )
        return parsed.set(drivername="sqlite")
    if backend in {"postgresql", "postgres"}:
        return with_parameters(parsed).set(drivername="postgresql+asyncpg")
    raise SettingsError(
        f"WEBHOOKD_DATABASE_URL: '{backend}' is not supported; use sqlite:///… or postgresql://…."
    )
