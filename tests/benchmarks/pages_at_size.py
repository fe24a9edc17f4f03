# ruff: noqa: S608 - the names in these statements are ours
"""How long a page takes the server where there are very many rows: in process, nothing else is counted."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from sqlalchemy import text

from tests.benchmarks.installation import Store
from tests.support.api_face import ADMIN_KEY, Face, open_face
from tests.support.services import PostgresServer
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.schema import metadata
from webhookd.adapters.store.tx import Tx
from webhookd.core import activity, endpoint_stats
from webhookd.wiring.api import with_pages

OPENED = 12
DEAD_OF = 100
"""One delivery of so many is dead."""
PROCESSES = 10
"""Of each kind of worker."""
PATHS = (
    "now",
    "now?window=24h",
    "tasks",
    "tasks?state=running",
    "tasks?metadata.order=42",
    "tasks?metadata.order=42&state=running",
    "tasks?metadata.order=42&state=cancelled",
    "tasks/{task}",
    "batches",
    "endpoints",
    "endpoints/{endpoint}",
    "deliveries",
    "deliveries?state=dead",
    "deliveries?state=pending",
    "deliveries?endpoint={endpoint}&state=dead",
    "deliveries?status=5xx",
    "deliveries/{delivery}",
    "dead-letters",
    "dead-letters?error=http_500",
    "dead-letters?endpoint={endpoint}&error=http_500",
    "dead-letters?status=5xx",
    "dead-letters?partner={partner}",
    "dead-letters?text=http_5",
    "dead-letters?kind=task",
    "replays",
    "files",
    "partners",
    "partners/{partner}",
    "audit",
)
SLICE = 20_000
"""A transaction of the fill has so many tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One page: the time of the server, half of the times and the worst, and its size."""

    path: str
    median_ms: float
    worst_ms: float
    size: int


def measure(store: Store, *, tasks: int) -> list[Opened]:
    """Fill a database with so many tasks, three attempts each, and open every page."""
    with _database(store) as url:
        return asyncio.run(_measured(url, tasks))


@contextmanager
def _database(store: Store) -> Iterator[str]:
    with ExitStack() as stack:
        if store == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="webhookd-bench-"))
            yield f"sqlite:///{folder}/pages.db"
        else:
            server = PostgresServer(fsync=True)
            stack.callback(server.remove)
            server.start()
            yield server.create_database()


async def _measured(url: str, tasks: int) -> list[Opened]:
    await migrate(url)
    async with open_face(url) as face:
        ids = await _filled(face, tasks)
        await _looked_over(face, url)
        transport = httpx.ASGITransport(with_pages(face.parts), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://webhookd.test") as client:
            await _log_in(client)
            paths = [path.format(**ids) for path in PATHS]
            return [await _opened(client, path) for path in paths]


async def _opened(client: httpx.AsyncClient, path: str) -> Opened:
    times, size = [], 0
    for _ in range(OPENED):
        begun = time.perf_counter()
        answer = await client.get(f"/admin/{path}")
        times.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, (path, answer.text)
        size = len(answer.content)
    return Opened(path=path, median_ms=statistics.median(times), worst_ms=max(times), size=size)


async def _log_in(client: httpx.AsyncClient) -> None:
    page = (await client.get("/admin/log-in")).text
    token = page.partition('name="form_token" value="')[2].partition('"')[0]
    form = {"form_token": token, "key": ADMIN_KEY}
    answer = await client.post("/admin/log-in", data=form, headers={"Origin": "http://webhookd.test"})
    assert answer.status_code == 303


async def _looked_over(face: Face, url: str) -> None:
    """Do what PostgreSQL's autovacuum does within a minute of such a fill, and `webhookd` on SQLite."""
    if url.startswith("sqlite"):
        await face.store.write(lambda tx: tx.conn.execute(text("ANALYZE")))
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def _filled(face: Face, tasks: int) -> dict[str, str]:
    partner = await face.partner()
    endpoint = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/x"})).json()
    body = {"type": "test.echo", "endpoints": [endpoint["id"]], "metadata": {"order": "42"}}
    task = (await partner.client.post("/v1/tasks", json=body)).json()
    await partner.client.post(f"/v1/tasks/{task['id']}/cancel")
    [delivery] = (await partner.client.get("/v1/deliveries")).json()["data"]
    seed = (task["id"], delivery["id"], delivery["message_id"])
    for first in range(1, tasks + 1, SLICE):
        last = min(tasks, first + SLICE - 1)
        await face.store.write(_multiplied, first, last, seed)
    await face.store.write(_busy_day, endpoint["id"], face.clock.now_ms())
    return {
        "task": task["id"],
        "endpoint": endpoint["id"],
        "delivery": delivery["id"],
        "partner": partner.id,
    }


def _busy_day(tx: Tx, endpoint_id: str, now_ms: int) -> None:
    """Write the figures of a day without a pause: those of the endpoint, and those of every process."""
    times = {"64": 40, "70": 9, "76": 1}
    for name in ("runs", "attempts"):
        for length_ms in activity.SPANS_MS:
            rows = [
                {
                    "kind": name,
                    "length_ms": length_ms,
                    "at_ms": at_ms,
                    "process_id": f"ses_{process}",
                    "total": 50,
                    "succeeded": 49,
                    "times": json.dumps(times),
                }
                for at_ms in _until(now_ms, length_ms, activity.KEEP_MS[length_ms])
                for process in range(PROCESSES)
            ]
            tx.conn.execute(metadata.tables["activity_spans"].insert(), rows)
    for length_ms, keep_ms in endpoint_stats.KEEP_MS.items():
        rows = [
            {
                "endpoint_id": endpoint_id,
                "length_ms": length_ms,
                "at_ms": at_ms,
                "attempts": 50,
                "delivered": 49,
                "errors": json.dumps({"http_500": 1}),
                "times": json.dumps(times),
            }
            for at_ms in _until(now_ms, length_ms, keep_ms)
        ]
        tx.conn.execute(metadata.tables["endpoint_spans"].insert(), rows)


def _until(now_ms: int, length_ms: int, keep_ms: int) -> range:
    last_ms = now_ms - now_ms % length_ms
    return range(last_ms - keep_ms, last_ms + 1, length_ms)


def _multiplied(tx: Tx, first: int, last: int, seed: tuple[str, str, str]) -> None:
    """Make so many of the one task, its tag, its message and its delivery, and three attempts of each."""
    task_id, delivery_id, message_id = seed
    sqlite = tx.dialect == "sqlite"

    def name(prefix: str) -> str:
        return f"printf('{prefix}_%026d', i)" if sqlite else f"'{prefix}_' || lpad(i::text, 26, '0')"

    dead = f"i % {DEAD_OF} = 0"
    copied: dict[str, tuple[str, dict[str, str]]] = {
        "tasks": (f"id = '{task_id}'", {"id": name("task")}),
        "task_bodies": (f"task_id = '{task_id}'", {"task_id": name("task")}),
        "task_tags": (f"task_id = '{task_id}'", {"task_id": name("task")}),
        "messages": (f"id = '{message_id}'", {"id": name("msg"), "task_id": name("task"), "seq": "i + 1000"}),
        "deliveries": (
            f"id = '{delivery_id}'",
            {
                "id": name("dlv"),
                "message_id": name("msg"),
                "task_id": name("task"),
                "state": f"CASE WHEN {dead} THEN 'dead' ELSE 'delivered' END",
                "dead_reason": f"CASE WHEN {dead} THEN 'exhausted' END",
                "last_error": f"CASE WHEN {dead} THEN 'http_500' END",
                "last_status": f"CASE WHEN {dead} THEN 500 ELSE 200 END",
                "due_ms": "NULL",
                "ended_ms": "created_ms + i",
                "attempts": "3",
            },
        ),
    }
    counted = (
        f"(WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
        "SELECT i FROM n)"
        if sqlite
        else f"(SELECT i FROM generate_series({first}, {last}) AS i)"
    )
    for table, (wanted, changed) in copied.items():
        columns: Any = metadata.tables[table].c.keys()
        values = ", ".join(changed.get(column, f's."{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        tx.conn.execute(
            text(
                f"INSERT INTO {table} ({names}) SELECT {values} FROM {counted} AS n, "
                f"(SELECT * FROM {table} WHERE {wanted}) AS s"
            )
        )
    tx.conn.execute(
        text(
            "INSERT INTO attempts (delivery_id, number, at_ms, duration_us, status, error, headers, excerpt) "
            f"SELECT {name('dlv')}, k, 1000 * k, 42000, 500, 'http_500', '[]', 'no' FROM {counted} AS n, "
            "(SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3) AS three"
        )
    )
