"""Bringing a database to this release's schema, under a lock, from the migrations shipped in the wheel.

Every process that starts may call it; one does the work and the others wait. A database from a newer
release is refused, because an old program could not keep its promises on it.

Alembic is imported only to upgrade: every process asks for the revisions at its start, and Alembic would be
a seventh of its start-up time.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

import webhookd
from webhookd.adapters.store.drivers import parse_url, shown
from webhookd.adapters.store.drivers.faults import reason_of
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import SettingsError

_ADVISORY_LOCK = 0x77_65_62_68  # "webh"


def migrations_folder() -> Path:
    """Return where the migrations are: in the wheel beside the package, or in a checkout above it."""
    package = Path(webhookd.__file__).parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def newest_revision() -> str:
    """Return the revision this release needs; migrations are named after their revisions, in order."""
    return max(file.name.partition("_")[0] for file in (migrations_folder() / "versions").glob("[0-9]*_*.py"))


def current_revision(tx: Tx) -> str | None:
    """Return the database's revision; None for an empty one."""
    return _revision(tx.conn)


def _revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar()


async def migrate(url: str) -> tuple[str | None, str]:
    """Upgrade to this release's schema. Return the revisions before and after.

    Raises SettingsError (naming WEBHOOKD_DATABASE_URL) for a database that cannot be reached, or one
    of a newer release.
    """
    parsed = parse_url(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return _migrate_sqlite(parsed)
        from webhookd.adapters.store.drivers.server import careful_engine, require_utf8

        engine = careful_engine(parsed)
        try:
            async with engine.begin() as conn:
                encoding = await conn.execute(text("SELECT current_setting('server_encoding')"))
                require_utf8(encoding.scalar_one(), parsed)
                await conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
                return await conn.run_sync(_upgrade)
        finally:
            await engine.dispose()
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        reason = reason_of(error)
        raise SettingsError(f"WEBHOOKD_DATABASE_URL: cannot migrate {shown(parsed)}: {reason}") from error


def _migrate_sqlite(url: URL) -> tuple[str | None, str]:
    path = Path(cast("str", url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver begins no transaction before DDL, so a migration that dies would stay half done.
        connection.isolation_level = None
        # Batch mode rebuilds tables; foreign keys go off, which only works outside a transaction.
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with _locked(path.with_name(path.name + ".lock")), engine.begin() as conn:
            return _upgrade(conn)
    finally:
        engine.dispose()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _upgrade(conn: Connection) -> tuple[str | None, str]:
    before, head = _revision(conn), newest_revision()
    if before == head:
        return before, head
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    # A percent sign begins a reference to another option.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(
            f"The database is at revision {before}, which this release does not know ({error}); "
            "install the newer release of webhookd, or restore a backup."
        ) from error
    return before, head
