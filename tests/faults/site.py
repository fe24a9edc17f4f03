"""A place to hurt an installation: it, what it stands on, and the network between the two."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.installation import Installation, Parts, Up
from tests.support.proxy import Proxy, address_of
from tests.support.services import PostgresServer, ValkeyServer

PER_HOST = 8
"""How many attempts a deliver worker has under way to one host at most: so many a kill may double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`database` is the proxy to PostgreSQL; it and `postgres` are None on SQLite."""

    installation: Installation
    valkey: ValkeyServer
    broker: Proxy
    postgres: PostgresServer | None = None
    database: Proxy | None = None

    def read_only(self, on: bool = True) -> None:
        """Let PostgreSQL's database take no writes, as a failover to a standby does: its sessions are cut.

        Ending it cuts nothing: sessions that were begun meanwhile go on refusing.
        """
        assert self.postgres is not None
        name = urlsplit(self.installation.database_url).path[1:]
        setting = "SET default_transaction_read_only = on" if on else "RESET default_transaction_read_only"
        self.postgres.execute(f'ALTER DATABASE "{name}" {setting}')
        if on:
            its_own = f"pg_stat_activity WHERE datname = '{name}'"
            self.postgres.execute(f"SELECT pg_terminate_backend(pid) FROM {its_own}")  # noqa: S608 - ours

    def heal(self) -> None:
        """Let every lasting fault of the network end, and of a database that was turned read-only."""
        if self.postgres is not None:
            self.read_only(False)
        for proxy in (self.broker, self.database):
            if proxy is not None:
                proxy.latency_seconds = 0
                proxy.refuse(False)
                proxy.swallow(False)


@contextmanager
def sqlite_site(folder: Path) -> Iterator[Site]:
    """`webhookd up --workers 2` on SQLite, with a broker of the tests'. Raises SettingsError without one."""
    with ExitStack() as stack:
        valkey, broker = _broker(stack, folder)
        installation = Up(
            folder / "up",
            workers="2",
            WEBHOOKD_BROKER_URL=f"redis://127.0.0.1:{broker.port}/0",
            WEBHOOKD_DELIVERY_PER_HOST=str(PER_HOST),
        )
        stack.callback(installation.end)
        asyncio.run(installation.start())
        yield Site(installation=installation, valkey=valkey, broker=broker)


@contextmanager
def postgres_site(folder: Path) -> Iterator[Site]:
    """Two APIs, two task workers and a deliver worker on PostgreSQL. Raises ServiceMissing, SettingsError."""
    with ExitStack() as stack:
        valkey, broker = _broker(stack, folder)
        postgres = PostgresServer(fsync=False)
        stack.callback(postgres.remove)
        postgres.start()
        url = postgres.create_database()
        address = urlsplit(url)
        database = stack.enter_context(Proxy((address.hostname or "", address.port or 0)))
        installation = Parts(
            folder / "parts",
            database_url=url,
            database_port=database.port,
            broker_url=f"redis://127.0.0.1:{broker.port}/0",
            apis=2,
            WEBHOOKD_DELIVERY_PER_HOST=str(PER_HOST),
        )
        stack.callback(installation.end)
        asyncio.run(installation.start())
        yield Site(
            installation=installation, valkey=valkey, broker=broker, postgres=postgres, database=database
        )


def _broker(stack: ExitStack, folder: Path) -> tuple[ValkeyServer, Proxy]:
    valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
    return valkey, stack.enter_context(Proxy(address_of(valkey.url)))
