"""The running program, as partners and receivers meet it: `up` on SQLite, `api` + `worker` on PostgreSQL.

Started once per test process; tests make partners of their own, so they do not see each other.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.faults.installation import QUICK, free_port
from tests.support.services import Databases, ValkeyServer, until
from webhookd.adapters.vault import generate_key
from webhookd.cli.receiver import Receiver, bind, receiving

ADMIN_KEY = QUICK["WEBHOOKD_ADMIN_KEY"]
SETTINGS = {
    **QUICK,
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
        return httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=70, trust_env=False
        )


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
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
    environment |= {**SETTINGS, "WEBHOOKD_DATA_DIR": str(folder / "data"), "WEBHOOKD_PORT": str(port)}
    with ExitStack() as stack:
        commands = [("up",)]
        if request.param != "up on SQLite":
            environment |= _postgres_and_valkey(stack, folder, request.getfixturevalue("postgres"))
            commands = [("api",), ("worker",)]
        for command in commands:
            stack.callback(_end, _start(command, environment, folder))
        _wait_ready(f"http://127.0.0.1:{port}", folder)
        yield Service(url=f"http://127.0.0.1:{port}", kind=request.param)


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


def _postgres_and_valkey(stack: ExitStack, folder: Path, databases: Databases) -> dict[str, str]:
    url = databases.create_migrated_database()
    stack.callback(databases.drop_database, url)
    valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
    return {
        "WEBHOOKD_DATABASE_URL": url,
        "WEBHOOKD_BROKER_URL": valkey.url,
        "WEBHOOKD_ENCRYPTION_KEYS": generate_key(),
    }


def _start(command: tuple[str, ...], environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "webhookd.cli", *command],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        code = process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    assert code == 0, f"it ended with {code}"


def _wait_ready(url: str, folder: Path) -> None:
    import asyncio

    def ready() -> bool:
        try:
            answer = httpx.get(f"{url}/readyz", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and _has_workers(answer.json())

    logs = "\n".join(path.read_text()[-1500:] for path in folder.glob("*.log"))
    asyncio.run(until(ready, what=f"readiness:\n{logs}", seconds=60))


def _has_workers(document: dict[str, dict[str, object]]) -> bool:
    return all(document[kind]["status"] == "ok" for kind in ("task_workers", "deliver_workers"))
