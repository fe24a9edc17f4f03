"""What one task costs that comes alone: single POSTs at a steady rate, and a few in flight, beside bare.

Processor time is that of all processes, the database's and the broker's too; a latency is from the client's
sending to the receiver's hearing. Read the ratios: both sides had the same machine in the same minute.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from tests.benchmarks.installation import ask_api, forget_posts, sink_counts, wait_for
from tests.benchmarks.usage import Usage
from tests.benchmarks.whole import Whole
from webhookd.runtime.loop_policy import loop_factory

IN_FLIGHT = 32
_WARM_UP_SECONDS = 1.0
_SETTLED_SECONDS = 0.5
_NAMES = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What `tasks` single POSTs cost. `rate` None: as many a second as IN_FLIGHT at a time give."""

    rate: int | None
    tasks: int
    per_second: float
    used: Usage
    p50_ms: float
    p99_ms: float

    @property
    def cpu_ms(self) -> float:
        """Processor time a task."""
        return self.used.cpu_ms / self.tasks

    @property
    def switches(self) -> float:
        """Context switches a task."""
        return self.used.switches.total() / self.tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What it needs with nothing to do."""

    seconds: float
    used: Usage
    memory_mb: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Statements and commits a task, and statements a second with nothing to do."""

    statements: float
    commits: float
    idle_statements: float


@dataclass(slots=True, kw_only=True)
class Measured:
    """The figures of one installation."""

    name: str
    start_seconds: float = 0.0
    start_cpu_seconds: float = 0.0
    rest: Rest | None = None
    loads: list[Load] = field(default_factory=list)
    counted: Counted | None = None
    disk_kb: float = 0.0


def rest(subject: Whole, seconds: float) -> Rest:
    """Look on while nothing comes in."""
    time.sleep(1.0)
    before = subject.usage()
    time.sleep(seconds)
    used = subject.usage() - before
    return Rest(
        seconds=seconds,
        used=used,
        memory_mb=subject.memory_mb(),
    )


def steady(subject: Whole, callback_url: str, *, rate: int, seconds: float) -> Load:
    """Send `rate` a second, each at its own time, whatever becomes of those before."""
    warm_up = int(rate * _WARM_UP_SECONDS)
    forget_posts(callback_url)
    _run(_send_steadily(subject, callback_url, rate, warm_up))
    wait_for(lambda: sink_counts(callback_url)["posts"] >= warm_up, 60, "the first deliveries")
    _settle(callback_url)
    before = subject.usage()
    sent = _run(_send_steadily(subject, callback_url, rate, int(rate * seconds)))
    return _load(subject, callback_url, before, sent, rate)


def in_flight(subject: Whole, callback_url: str, *, tasks: int) -> Load:
    """Send with IN_FLIGHT at a time until `tasks` were accepted; the rate is until all are recorded."""
    _settle(callback_url)
    before, started = subject.usage(), time.monotonic()
    sent = _run(_send_in_flight(subject, callback_url, tasks))
    wait_for(lambda: sink_counts(callback_url)["posts"] >= tasks, 300, "the deliveries", every=0.1)
    if subject.key:
        wait_for(lambda: _recorded(subject), 60, "their records")
    return _load(subject, callback_url, before, sent, None, seconds=time.monotonic() - started)


def count_statements(subject: Whole, callback_url: str, *, rate: int, seconds: float) -> Counted:
    """Count with nothing to do, and while tasks come in."""
    time.sleep(1.0)
    resting = subject.statements()
    time.sleep(seconds)
    before = subject.statements()
    forget_posts(callback_url)
    tasks = int(rate * seconds)
    _run(_send_steadily(subject, callback_url, rate, tasks))
    wait_for(lambda: sink_counts(callback_url)["posts"] >= tasks, 60, "the deliveries")
    time.sleep(_SETTLED_SECONDS)
    after = subject.statements()
    idle = (before[0] - resting[0]) / seconds
    return Counted(
        statements=(after[0] - before[0]) / tasks - idle / rate,
        commits=(after[1] - before[1]) / tasks,
        idle_statements=idle,
    )


def disk_bytes(subject: Whole) -> int:
    """Return the size of the database, without what its log still holds."""
    if subject.server is not None:
        return asyncio.run(_database_size(subject.server.admin_url))
    assert subject.folder is not None
    path = subject.folder / "data" / "webhookd.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    return int(pages * size)


def _load(
    subject: Whole,
    callback_url: str,
    before: Usage,
    sent: dict[str, float],
    rate: int | None,
    *,
    seconds: float = 0.0,
) -> Load:
    wait_for(lambda: sink_counts(callback_url)["posts"] >= len(sent), 120, "the deliveries", every=0.2)
    time.sleep(_SETTLED_SECONDS)
    used = subject.usage() - before
    waits = sorted(at - sent[name] for name, at in sink_counts(callback_url)["arrivals"] if name in sent)
    return Load(
        rate=rate,
        tasks=len(sent),
        per_second=len(sent) / seconds if seconds else float(rate or 0),
        used=used,
        p50_ms=waits[len(waits) // 2] * 1e3,
        p99_ms=waits[int(len(waits) * 0.99)] * 1e3,
    )


def _settle(callback_url: str) -> None:
    """Let what came before be recorded, then the receiver begin to count."""
    time.sleep(_SETTLED_SECONDS)
    forget_posts(callback_url)


async def _send_steadily(subject: Whole, callback_url: str, rate: int, tasks: int) -> dict[str, float]:
    sent: dict[str, float] = {}
    async with _session(subject) as session, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for number in range(tasks):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            group.create_task(_send(session, subject, callback_url, sent))
    return sent


async def _send_in_flight(subject: Whole, callback_url: str, tasks: int) -> dict[str, float]:
    sent: dict[str, float] = {}
    async with _session(subject) as session, asyncio.TaskGroup() as group:
        numbers = iter(range(tasks))

        async def one_after_another(left: Iterable[int]) -> None:
            for _ in left:
                await _send(session, subject, callback_url, sent)

        for _ in range(IN_FLIGHT):
            group.create_task(one_after_another(numbers))
    return sent


async def _send(
    session: aiohttp.ClientSession, subject: Whole, callback_url: str, sent: dict[str, float]
) -> None:
    name = f"{next(_NAMES)}"
    sent[name] = time.time()
    async with session.post(f"{subject.url}/v1/tasks", json=_task(subject, callback_url, name)) as answer:
        assert answer.status == 202, await answer.text()
        await answer.read()


def _task(subject: Whole, callback_url: str, name: str) -> dict[str, Any]:
    metadata = {"latency": name}
    if not subject.key:  # bare passes on what it gets: what the receiver looks for
        return {"type": "task.succeeded", "data": {"metadata": metadata, "result": "x" * 300}}
    return {
        "type": "demo.echo",
        "input": {"text": "x" * 300},
        "callback_url": callback_url,
        "metadata": metadata,
    }


def _session(subject: Whole) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=IN_FLIGHT), headers={"Authorization": f"Bearer {subject.key}"}
    )


def _recorded(subject: Whole) -> bool:
    return not ask_api(subject.url, subject.key, "/v1/deliveries?state=pending&limit=1")["data"]


def _run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


async def _database_size(url: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(url)
    size: int = await connection.fetchval("SELECT sum(pg_database_size(oid)) FROM pg_database")
    await connection.close()
    return size
