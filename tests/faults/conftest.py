"""Installations the fault tests share: started once per test process, hurt again and again, healed each time.

`site` is both of them: `up` on SQLite, and two APIs and three workers on PostgreSQL. A test that takes it
leaves it as it came: whatever it broke works again, and nothing is left to do. That is checked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import missing
from tests.faults.installation import Installation, Parts, Up
from tests.faults.invariants import settled
from tests.faults.proxy import Address, Proxy
from tests.services import PostgresServer, ServiceMissing, ValkeyServer
from webhookd.core.errors import SettingsError

PER_HOST = 8
"""How many attempts a deliver worker has under way at most; so many a kill may double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An installation and what it stands on. `database` is the proxy to PostgreSQL, None on SQLite."""

    installation: Installation
    valkey: ValkeyServer
    broker: Proxy
    postgres: PostgresServer | None = None
    database: Proxy | None = None

    def heal(self) -> None:
        """Let every lasting fault of the network end."""
        for proxy in (self.broker, self.database):
            if proxy is not None:
                proxy.latency_seconds = 0
                proxy.refuse(False)
                proxy.swallow(False)


@pytest.fixture(scope="session")
def up_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`webhookd up --workers 2` on SQLite, with a broker of the tests'."""
    folder = tmp_path_factory.mktemp("up")
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


@pytest.fixture(scope="session")
def parts_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two APIs, two task workers and a deliver worker on PostgreSQL."""
    folder = tmp_path_factory.mktemp("parts")
    with ExitStack() as stack:
        valkey, broker = _broker(stack, folder)
        postgres = _postgres(stack)
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


@pytest.fixture
async def up(up_site: Site) -> AsyncIterator[Site]:
    """The one on SQLite."""
    yield up_site
    await _healed(up_site)


@pytest.fixture
async def parts(parts_site: Site) -> AsyncIterator[Site]:
    """The one on PostgreSQL."""
    yield parts_site
    await _healed(parts_site)


@pytest.fixture(params=["up", "parts"])
def site(request: pytest.FixtureRequest) -> Site:
    """One after the other."""
    found: Site = request.getfixturevalue(request.param)
    return found


async def _healed(site: Site) -> None:
    site.heal()
    await site.installation.ready(tasks=2)
    await settled(site.installation)


def _broker(stack: ExitStack, folder: Path) -> tuple[ValkeyServer, Proxy]:
    try:
        valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
    except SettingsError as error:
        missing(error)
        raise
    return valkey, stack.enter_context(Proxy(_address(valkey.url)))


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return Path(parts.path) if parts.scheme == "unix" else (parts.hostname or "", parts.port or 0)


def _postgres(stack: ExitStack) -> PostgresServer:
    try:
        server = PostgresServer(fsync=False)
    except ServiceMissing as error:
        missing(error)
        raise
    stack.callback(server.remove)
    server.start()
    return server
