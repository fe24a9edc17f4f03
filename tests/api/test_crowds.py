"""One caller's crowd, of listings or of connections, against a real API process: nobody else notices."""

import asyncio
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from sqlalchemy import text

from tests.support.plain_http import TRUSTS_NOBODY
from tests.support.services import ValkeyServer, until
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import generate_key

ADMIN_KEY = "an-admin-key-of-the-tests"
OWN_TASKS = 100_000
FILES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An API process on SQLite, at `url`."""

    url: str
    database_url: str
    stack: AsyncExitStack

    async def client(self, key: str, address: str | None = None) -> httpx.AsyncClient:
        """A client with a key, from an address of this machine."""
        transport = httpx.AsyncHTTPTransport(
            local_address=address, limits=httpx.Limits(max_connections=None), verify=TRUSTS_NOBODY
        )
        headers = {"Authorization": f"Bearer {key}"}
        return await self.stack.enter_async_context(
            httpx.AsyncClient(base_url=self.url, headers=headers, transport=transport, timeout=60)
        )

    async def partner(self, name: str) -> tuple[str, httpx.AsyncClient]:
        """A new partner's id, and a client with its key."""
        admin = await self.client(ADMIN_KEY)
        answer = await admin.post("/v1/partners", json={"name": name})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], await self.client(answer.json()["key"])


@asynccontextmanager
async def service(folder: Path, valkey: ValkeyServer, *, files: int | None = None) -> AsyncIterator[Service]:
    """Start an API process, with a limit of open files where one is given."""
    database_url = f"sqlite:///{folder / 'crowd.db'}"
    await migrate(database_url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        "WEBHOOKD_DATA_DIR": str(folder),
        "WEBHOOKD_DATABASE_URL": database_url,
        "WEBHOOKD_BROKER_URL": valkey.url,
        "WEBHOOKD_PORT": str(port),
        "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
        "WEBHOOKD_ENCRYPTION_KEYS": generate_key(),
        "WEBHOOKD_MIN_FREE_DISK_BYTES": "0",
        "WEBHOOKD_SHUTDOWN_SECONDS": "1",
        "WEBHOOKD_PARTNER_RATE": "100000",
        "WEBHOOKD_PARTNER_BURST": "100000",
    }
    start = "import os, resource, sys; n = int(sys.argv[1]);"
    start += " n and resource.setrlimit(resource.RLIMIT_NOFILE, (n, n));"
    start += " os.execv(sys.executable, [sys.executable, '-m', 'webhookd.asgi'])"
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - begins in milliseconds
            [sys.executable, "-c", start, str(files or 0)], env=environment, stdout=log, stderr=log
        )
    try:
        async with AsyncExitStack() as stack:
            running = Service(url=f"http://127.0.0.1:{port}", database_url=database_url, stack=stack)
            probe = await running.client(ADMIN_KEY)

            async def answers() -> bool:
                assert process.poll() is None, (folder / "api.log").read_text()
                try:
                    return (await probe.get("/healthz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(answers, what="the API")
            yield running
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _multiply(tx: Tx, task_id: str, times: int) -> None:
    """Copy one task so many times, as ended ones under ids of now."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :times) "
    for table, key in (("tasks", "id"), ("task_bodies", "task_id")):
        names = [row.name for row in tx.conn.execute(text(f"PRAGMA table_info({table})"))]
        made = f"substr({key}, 1, length({key}) - 6) || printf('%06d', i)"
        changed = {key: made, "state": "'succeeded'"}
        values = ", ".join(changed.get(name, name) for name in names)
        tx.conn.execute(
            text(f"INSERT INTO {table} {numbers} SELECT {values} FROM {table}, n WHERE {key} = :id"),  # noqa: S608 - names of our schema
            {"id": task_id, "times": times},
        )


async def test_three_hundred_listings_at_once_refuse_nobody_elses_submission(
    tmp_path: Path, valkey: ValkeyServer
) -> None:
    async with service(tmp_path, valkey) as api:
        _, crowd = await api.partner("crowd")
        _, other = await api.partner("other")
        body = {"type": "demo.echo"}
        task = await crowd.post("/v1/tasks", json=body)
        assert task.status_code == 202, task.text
        database = await Database.open(api.database_url)
        try:
            await database.write(_multiply, task.json()["id"], OWN_TASKS)
        finally:
            await database.close()
        queries = ("until=2001-01-01T00:00:00Z", "since=2099-01-01T00:00:00Z", "state=failed", "limit=500")
        asked = [asyncio.create_task(crowd.get(f"/v1/tasks?{queries[n % 4]}")) for n in range(300)]
        done = asyncio.gather(*asked)
        submitted: list[int] = []
        while not done.done() or len(submitted) < 20:
            submitted.append((await other.post("/v1/tasks", json=body)).status_code)
        assert Counter(submitted).keys() == {202}
        answers = Counter(answer.status_code for answer in await done)
        assert answers.keys() <= {200, 429}
        assert answers[200]


async def test_idle_connections_beyond_the_limit_of_files_shut_out_no_partner(
    tmp_path: Path, valkey: ValkeyServer
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(needed, hard)), hard))
    try:
        async with service(tmp_path, valkey, files=FILES) as api:
            _, partner = await api.partner("partner")
            at = urlsplit(api.url)
            with ExitStack() as stack:
                for n in range(1_500):
                    client = stack.enter_context(socket.socket())
                    client.bind(("127.0.0.1" if n % 3 else f"127.0.0.{2 + n % 5}", 0))
                    client.connect((at.hostname, at.port))
                    if n % 100 == 99:
                        answer = await partner.post("/v1/tasks", json={"type": "demo.echo"})
                        assert answer.status_code == 202
                newcomer = await api.client(partner.headers["Authorization"].split()[1], "127.0.0.9")
                task = (await partner.post("/v1/tasks", json={"type": "demo.echo"})).json()
                for each in (partner, newcomer):
                    assert (await each.get(f"/v1/tasks/{task['id']}")).status_code == 200
                local = await api.client(partner.headers["Authorization"].split()[1])
                assert (await local.post("/v1/tasks", json={"type": "demo.echo"})).status_code == 202
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
