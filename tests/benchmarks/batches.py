"""Ends of tasks in one batch beside ends of tasks in none, recorded by four stores on one database.

A pair is a round of each side, one right after the other, every second pair the other way round: both had
the same machine in the same seconds. Read the median of the pairs' ratios, and how far its quartiles lie.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median, quantiles

from tests.benchmarks.installation import Store as Kind
from tests.benchmarks.installation import installation
from tests.support.batching import batch_of, make, seen
from tests.support.seeds import NOW, at, partner
from tests.support.work import claim, finish, session, submit, task_of
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.records import ClaimedTask

WORKERS = 4
_CLAIMED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Ends recorded per second, the median round of each side, and the quartiles of a pair's ratio."""

    store: Kind
    tasks: int
    alone_per_second: float
    in_batch_per_second: float
    ratios: tuple[float, float, float]


def measure(store: Kind, *, tasks: int, pairs: int) -> Ends:
    """Record the ends of so many tasks a round, `pairs` (at least 2) rounds without a batch and in one."""
    with installation(store) as made:
        url = made.environment["WEBHOOKD_DATABASE_URL"]
        rates = asyncio.run(_rounds(url, tasks, pairs))
    ratios = quantiles((in_batch / alone for alone, in_batch in rates), n=4)
    return Ends(
        store=store,
        tasks=tasks,
        alone_per_second=median(alone for alone, _ in rates),
        in_batch_per_second=median(in_batch for _, in_batch in rates),
        ratios=(ratios[0], ratios[1], ratios[2]),
    )


async def _rounds(url: str, tasks: int, pairs: int) -> list[tuple[float, float]]:
    """Return the rates of each pair: without a batch, in one."""
    rates = []
    async with AsyncExitStack() as stack:
        stores = []
        for number in range(WORKERS):
            opened = await Store.open(url, Vault([generate_key()]), Policy(session_id=f"ses_{number}"))
            stack.push_async_callback(opened.close)
            at(opened, NOW)
            await session(opened, f"ses_{number}")
            stores.append(opened)
        owner = await partner(stores[0].db)
        for number in range(-1, pairs):  # the first pair warms up
            sides = (False, True) if number % 2 else (True, False)
            rate = {side: await _round(stores, owner, tasks, in_batch=side) for side in sides}
            rates.append((rate[False], rate[True]))
    return rates[1:]


async def _round(stores: list[Store], owner: str, tasks: int, *, in_batch: bool) -> float:
    batch = batch_of(owner)
    if in_batch:
        await make(stores[0], batch, tasks)
    else:
        await submit(stores[0], *(task_of(owner, endpoint_ids=()) for _ in range(tasks)))
    held: list[tuple[int, ClaimedTask]] = []
    while len(held) < tasks:
        for number, store in enumerate(stores):
            claimed = await claim(store, _CLAIMED_AT_ONCE, by=f"ses_{number}")
            held += [(number, task) for task in claimed.tasks]
    started = time.monotonic()
    await asyncio.gather(*(finish(stores[number], task, by=f"ses_{number}") for number, task in held))
    seconds = time.monotonic() - started
    if in_batch and not (await seen(stores[0], batch)).done:
        raise RuntimeError("the batch was not completed")
    return tasks / seconds
