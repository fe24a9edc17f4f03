"""One partner's many queued tasks: how long another's single task waits, and what the figures cost."""

import asyncio
import statistics
import time
from dataclasses import dataclass, replace

from tests.benchmarks.installation import Installation, Store, installation
from tests.support.seeds import partner
from tests.support.services import until
from tests.support.work import submission_of, task_of
from webhookd.adapters.broker import Ringer
from webhookd.adapters.store.store import Store as Opened
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.vault import Vault

_BATCH = 1_000
_SINGLES = 20
_LOOKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The single task's wait for its result, and one reading of all depths and ages, in ms."""

    store: Store
    queued: int
    depths_ms: float
    median_ms: float
    worst_ms: float


def behind_a_crowd(store: Store, *, queued: int) -> Crowd:
    """Queue one partner's tasks, start a task worker, then submit another partner's one by one."""
    with installation(store, WEBHOOKD_LOG_FORMAT="json") as made:
        return asyncio.run(_measure(made, store, queued))


async def _measure(made: Installation, name: Store, queued: int) -> Crowd:
    vault = Vault([made.environment["WEBHOOKD_ENCRYPTION_KEYS"]])
    options = Policy(session_id="ses_bench")
    store = await Opened.open(made.environment["WEBHOOKD_DATABASE_URL"], vault, options)
    ringer = Ringer(made.environment["WEBHOOKD_BROKER_URL"])
    try:
        crowd, other = [await partner(store.db, who) for who in ("crowd", "other")]
        for start in range(0, queued, _BATCH):
            await _submit(store, crowd, min(_BATCH, queued - start))
        began = time.perf_counter()
        for _ in range(_LOOKS):
            await store.queues.depths()
            await store.queues.partner_queued()
        depths_ms = (time.perf_counter() - began) / _LOOKS * 1000
        made.start("tasks", "webhookd.worker", "tasks", core=0)
        ringer.ring("default")
        await until(lambda: _running(store, queued), what="the crowd's first task", seconds=60)
        waits = [await _one(store, ringer, other) for _ in range(_SINGLES)]
    finally:
        await ringer.aclose()
        await store.close()
    return Crowd(
        store=name,
        queued=queued,
        depths_ms=depths_ms,
        median_ms=statistics.median(waits),
        worst_ms=max(waits),
    )


async def _submit(store: Opened, partner_id: str, count: int) -> tuple[str, ...]:
    now_ms = store.clock.now_ms()
    new = [replace(task_of(partner_id, now_ms=now_ms), input_json='{"text":"x"}') for _ in range(count)]
    return (await store.tasks.submit(submission_of(*new, now_ms=now_ms))).task_ids


async def _running(store: Opened, queued: int) -> bool:
    return sum((await store.queues.partner_queued()).values()) < queued


async def _one(store: Opened, ringer: Ringer, partner_id: str) -> float:
    began = time.perf_counter()
    (task_id,) = await _submit(store, partner_id, 1)
    ringer.ring("default")

    async def over() -> bool:
        task = await store.tasks.get(task_id, partner_id)
        return task is not None and task.state.value == "succeeded"

    await until(over, what="the single task", seconds=60)
    return (time.perf_counter() - began) * 1000
