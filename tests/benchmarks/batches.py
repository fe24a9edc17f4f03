"""Ends of tasks in one batch beside ends of tasks in none, recorded by four stores on one database.

The rounds take turns, so that both sides had the same machine in the same minutes: read the ratio.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.installation import Store as Kind
from tests.benchmarks.installation import installation
from tests.contract.batching import batch_of, make, seen
from tests.contract.seeds import NOW, at, partner
from tests.contract.work import claim, finish, session, submit, task_of
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.records import ClaimedTask

WORKERS = 4
_CLAIMED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Ends recorded per second, the median round of each side."""

    store: Kind
    tasks: int
    alone_per_second: float
    in_batch_per_second: float


def measure(store: Kind, *, tasks: int, rounds: int) -> Ends:
    """Record the ends of so many tasks a round, without a batch and in one, in turns."""
    with installation(store) as made:
        url = made.environment["WEBHOOKD_DATABASE_URL"]
        rates = asyncio.run(_rounds(url, tasks, rounds))
    return Ends(
        store=store,
        tasks=tasks,
        alone_per_second=median(rates[False]),
        in_batch_per_second=median(rates[True]),
    )


async def _rounds(url: str, tasks: int, rounds: int) -> dict[bool, list[float]]:
    rates: dict[bool, list[float]] = {False: [], True: []}
    async with AsyncExitStack() as stack:
        stores = []
        for number in range(WORKERS):
            opened = await Store.open(url, Vault([generate_key()]), Policy(session_id=f"ses_{number}"))
            stack.push_async_callback(opened.close)
            at(opened, NOW)
            await session(opened, f"ses_{number}")
            stores.append(opened)
        owner = await partner(stores[0].db)
        for in_batch in (False, True) * (rounds + 1):
            rates[in_batch].append(await _round(stores, owner, tasks, in_batch=in_batch))
    return {side: found[1:] for side, found in rates.items()}  # the first of each warms up


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
