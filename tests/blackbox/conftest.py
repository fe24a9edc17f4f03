"""The running program, as partners and receivers meet it: `up` on SQLite, `api` + `worker` on PostgreSQL.

Started once per test process; tests make partners of their own, so they do not see each other.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.support.installation import ADMIN_KEY, Parts, Up
from tests.support.plain_http import async_http_client
from tests.support.services import Databases, ValkeyServer
from webhookd.cli.receiver import Receiver, bind, receiving

SETTINGS = {
    "WEBHOOKD_RETRY_MAX_ATTEMPTS": "3",
    "WEBHOOKD_DELIVERY_TIMEOUT_SECONDS": "2",
    "WEBHOOKD_MAX_RESULT_BYTES": "100000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running installation."""

    url: str
    kind: str

    def admin(self) -> httpx.AsyncClient:
        """Return a client with the admin key."""
        return self.client(ADMIN_KEY)

    def client(self, key: str) -> httpx.AsyncClient:
        """Return a client with this key."""
        return async_http_client(self.url, key, timeout=70)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A partner of the test's own, with its client."""

    id: str
    secret: str
    key: str
    http: httpx.AsyncClient


@pytest.fixture(scope="session", params=["up on SQLite", "api and worker on PostgreSQL"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Start the program once for this process's tests."""
    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as stack:
        installation: Up | Parts
        if request.param == "up on SQLite":
            installation = Up(folder)
        else:
            databases: Databases = request.getfixturevalue("postgres")
            url = databases.create_migrated_database()
            stack.callback(databases.drop_database, url)
            valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
            installation = Parts(folder, database_url=url, broker_url=valkey.url)
        installation.environment |= SETTINGS
        stack.callback(installation.end)
        asyncio.run(installation.start())
        yield Service(url=installation.url, kind=request.param)
        assert asyncio.run(installation.stop()) == 0, installation.log()[-3000:]


@pytest.fixture
async def partner(service: Service) -> AsyncIterator[Partner]:
    """Make a partner."""
    async with service.admin() as admin:
        made = await admin.post("/v1/partners", json={"name": f"partner-{uuid.uuid4().hex[:12]}"})
    assert made.status_code == 201, made.text
    answer = made.json()
    async with service.client(answer["key"]) as http:
        yield Partner(id=answer["id"], secret=answer["secret"], key=answer["key"], http=http)


@pytest.fixture
async def receiver(partner: Partner) -> AsyncIterator[tuple[Receiver, str]]:
    """Run a receiver that knows the partner's secret; give it and its URL."""
    app = Receiver(secrets=[partner.secret])
    with bind("127.0.0.1", 0) as listener:
        async with receiving(app, listener) as url:
            yield app, url
