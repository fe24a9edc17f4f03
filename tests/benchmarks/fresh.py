"""A PostgreSQL that knows nothing of its tables: fresh and growing under load, and restored with many rows.

Autovacuum is off, so nothing is ever analysed; plans are what they are without statistics.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import httpx

from tests.benchmarks.installation import (
    Installation,
    installation,
    make_partner,
    sink,
    sink_counts,
    wait_for,
)

TABLES: Final = ("tasks", "task_bodies", "deliveries", "messages", "runs", "attempts")
_BATCH: Final = 100
_COPIED: Final = {
    "tasks": {"id": "'task_0' || i"},
    "task_bodies": {"task_id": "'task_0' || i"},
    "runs": {"task_id": "'task_0' || i"},
    "messages": {"id": "'msg_0' || i", "task_id": "'task_0' || i", "seq": "-i"},
    "deliveries": {"id": "'dlv_0' || i", "task_id": "'task_0' || i", "message_id": "'msg_0' || i"},
    "attempts": {"delivery_id": "'dlv_0' || i"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many tasks, submitted at a steady rate. `by_index` False: the planner decides, by its defaults."""

    by_index: bool
    tasks: int
    per_second: float = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """Tasks a second from submission to record, their ms, and sequential scans and rows read by them."""

    load: Load
    restored: int
    tasks_per_second: float
    p50_ms: float
    p99_ms: float
    scans: int
    scanned_rows: int


def measure(loads: Sequence[Load], *, restored: int) -> Iterator[Fresh]:
    """Put the loads on one database after the other, each with processes of its own."""
    with installation("postgresql", WEBHOOKD_LOG_FORMAT="json") as made, sink() as (url, _):
        database_url = made.environment["WEBHOOKD_DATABASE_URL"]
        asyncio.run(_execute(database_url, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"))
        key = ""
        if restored:
            _start(made, by_index=True)
            key = make_partner(made.api_url)
            _submit(made, key, url, tasks=1, per_second=1)
            made.stop_all()
            asyncio.run(_copy(database_url, restored))
        for load in loads:
            _start(made, by_index=load.by_index)
            key = key or make_partner(made.api_url)
            asyncio.run(_execute(database_url, "SELECT pg_stat_reset()"))
            started, started_ms = time.monotonic(), int(time.time() * 1000)
            _submit(made, key, url, tasks=load.tasks, per_second=load.per_second)
            seconds = time.monotonic() - started
            waits, scans, rows = asyncio.run(_figures(database_url, started_ms))
            yield Fresh(
                load=load,
                restored=restored,
                tasks_per_second=load.tasks / seconds,
                p50_ms=waits[len(waits) // 2],
                p99_ms=waits[int(len(waits) * 0.99)],
                scans=scans,
                scanned_rows=rows,
            )
            made.stop_all()


def _start(made: Installation, *, by_index: bool) -> None:
    through = () if by_index else ("tests.benchmarks.unplanned",)
    for name, arguments in (
        ("api", ("webhookd.asgi",)),
        ("tasks", ("webhookd.worker", "tasks")),
        ("deliver", ("webhookd.worker", "deliver")),
    ):
        made.start(name, *through, *arguments)
    made.wait_ready()


def _submit(made: Installation, key: str, url: str, *, tasks: int, per_second: float) -> None:
    """Submit at a steady rate, or as fast as it is taken in; return once all is delivered and recorded."""
    task = {"type": "demo.echo", "input": {"order": "42"}, "callback_url": url}
    started, already = time.monotonic(), sink_counts(url)["posts"]
    with httpx.Client(
        base_url=made.api_url, headers={"Authorization": f"Bearer {key}"}, timeout=60
    ) as client:
        for start in range(0, tasks, _BATCH):
            count = min(_BATCH, tasks - start)
            time.sleep(max(0.0, started + start / per_second - time.monotonic()))
            client.post("/v1/tasks/batch", json={"tasks": [task] * count}).raise_for_status()
    wait_for(lambda: sink_counts(url)["posts"] - already >= tasks, 1_200, "the deliveries", every=0.2)
    database_url = made.environment["WEBHOOKD_DATABASE_URL"]
    wait_for(lambda: asyncio.run(_pending(database_url)) == 0, 60, "their records", every=0.1)


async def _pending(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET enable_seqscan = off")
    count: int = await connection.fetchval("SELECT count(*) FROM deliveries WHERE state = 'pending'")
    await connection.close()
    return count


async def _execute(database_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def _copy(database_url: str, rows: int) -> None:
    """Multiply the one row of each table: what a restore leaves behind, without statistics."""
    connection = await asyncpg.connect(database_url, command_timeout=1_200)
    for table, changed in _COPIED.items():
        columns = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table
        )
        names = [f'"{row["column_name"]}"' for row in columns]
        values = [changed.get(row["column_name"], f'"{row["column_name"]}"') for row in columns]
        await connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 - names of ours
            f"SELECT {', '.join(values)} FROM {table}, generate_series(1, {rows}) AS i"
        )
    await connection.close()


async def _figures(database_url: str, since_ms: int) -> tuple[list[float], int, int]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("SELECT pg_stat_force_next_flush()")
    seen = await connection.fetchrow(
        "SELECT sum(seq_scan)::bigint AS scans, sum(seq_tup_read)::bigint AS rows "
        "FROM pg_stat_user_tables WHERE relname = ANY($1::text[])",
        list(TABLES),
    )
    waits = await connection.fetch(
        "SELECT d.ended_ms - t.created_ms AS ms FROM deliveries d JOIN tasks t ON t.id = d.task_id "
        "WHERE t.created_ms >= $1 AND d.ended_ms IS NOT NULL",
        since_ms,
    )  # it scans; so the scans were read before
    await connection.close()
    return sorted(float(row["ms"]) for row in waits), seen["scans"], seen["rows"]
