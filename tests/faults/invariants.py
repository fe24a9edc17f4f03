"""What must hold after any faults, once the work has drained.

Asked of the database, of the receiver, and of what the API answered. `settled` waits for the end, `verify`
then checks all of it: every accepted id is there (I1), everything has ended and nothing is held (I2), what
was delivered was seen, with the same bytes every time and no oftener than faults excuse (I3), never more
often than is on record (I4), each end was written once (I5), nothing ran before its time (I6), every
signature was good and fresh (I8), and every closed batch that has ended has exactly one message (I11).
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, case, func, select

from tests.faults.load import Load
from tests.support.installation import Installation
from tests.support.work import counted_depths
from webhookd.adapters.store.clock import StoreClock
from webhookd.adapters.store.counters import read_depths
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.schema import (
    attempts,
    batches,
    deliveries,
    lanes,
    messages,
    runs,
    sessions,
    task_bodies,
    tasks,
)
from webhookd.adapters.store.tx import Tx
from webhookd.cli.receiver import Hit
from webhookd.core.errors import WebhookdError
from webhookd.core.model import BATCH_COMPLETED, TASK_DONE

_DELIVERY_DONE = frozenset({"delivered", "dead", "cancelled", "parked"})
_FRESH_SECONDS = 60.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came of a load: `dead` letters of either kind, `duplicates` as answers of 200 beyond the first."""

    accepted: int
    delivered: int
    dead: int
    duplicates: int


@asynccontextmanager
async def looking_into(installation: Installation) -> AsyncIterator[Database]:
    """Open the database, from outside of every process."""
    database = await Database.open(installation.database_url)
    try:
        yield database
    finally:
        await database.close()


async def settled(installation: Installation, *, seconds: float = 60.0) -> None:
    """Wait until every task and delivery has ended and nothing is held; fails saying what is not."""
    give_up_at = time.monotonic() + seconds
    while left := await _whats_left(installation):
        assert time.monotonic() < give_up_at, f"not within {seconds:.0f} s: {left}"
        await asyncio.sleep(_LOOK_SECONDS)


async def verify(
    installation: Installation, loads: Sequence[Load], hits: Sequence[Hit], *, most_duplicates: int = 0
) -> Tally:
    """Check every invariant of a settled installation; `hits` are those of all receivers the loads have."""
    ids = {task_id for load in loads for task_id in load.ids}
    assert len(ids) == sum(len(load.accepted) for load in loads), "two submissions share a task"
    async with looking_into(installation) as database:
        found = await database.read(_records, ids)
        assert await database.read(_kept_depths) == await database.read(counted_depths), "counters drifted"
    _check_tasks(ids, found)
    _check_batches({batch_id for load in loads for batch_id in load.batches}, found)
    seen = _check_hits(found, hits)
    duplicates = sum((seen - Counter(dict.fromkeys(seen, 1))).values())
    assert duplicates <= most_duplicates, f"{duplicates} duplicates, {most_duplicates} could be excused"
    states = Counter(row.state for row in found.deliveries)
    dead = states["dead"] + sum(row.dead_ms is not None for row in found.tasks)
    return Tally(accepted=len(ids), delivered=states["delivered"], dead=dead, duplicates=duplicates)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    tasks: Sequence[Row[Any]]
    bodies: int
    runs: Sequence[Row[Any]]
    messages: Sequence[Row[Any]]
    deliveries: Sequence[Row[Any]]
    attempts: Counter[str]
    resent: Counter[str]
    partners_tasks: int
    batches: Sequence[Row[Any]]


def _records(tx: Tx, ids: set[str]) -> _Records:
    """Everything of the partners whose tasks these are."""
    mine = tx.conn.execute(select(tasks).where(tasks.c.id.in_(ids))).all()
    partners = {row.partner_id for row in mine}
    all_tasks = tx.conn.execute(
        select(func.count()).select_from(tasks).where(tasks.c.partner_id.in_(partners))
    )
    rows = tx.conn.execute(select(deliveries).where(deliveries.c.partner_id.in_(partners))).all()
    resent = case((attempts.c.resent, 1))
    logged = tx.conn.execute(
        select(attempts.c.delivery_id, func.count().label("n"), func.count(resent).label("resent"))
        .where(attempts.c.delivery_id.in_([row.id for row in rows]))
        .group_by(attempts.c.delivery_id)
    ).all()
    bodies = tx.conn.execute(
        select(func.count()).select_from(task_bodies).where(task_bodies.c.task_id.in_(ids))
    )
    return _Records(
        tasks=mine,
        bodies=bodies.scalar_one(),
        runs=tx.conn.execute(select(runs).where(runs.c.task_id.in_(ids))).all(),
        messages=tx.conn.execute(select(messages).where(messages.c.partner_id.in_(partners))).all(),
        deliveries=rows,
        attempts=Counter({row.delivery_id: row.n for row in logged}),
        resent=Counter({row.delivery_id: row.resent for row in logged}),
        partners_tasks=all_tasks.scalar_one(),
        batches=tx.conn.execute(select(batches).where(batches.c.partner_id.in_(partners))).all(),
    )


def _check_tasks(ids: set[str], found: _Records) -> None:
    missing = ids - {row.id for row in found.tasks}
    assert not missing, f"I1: accepted and not in the database: {missing}"
    assert found.bodies == len(ids), "I1: a task without its body"
    assert found.partners_tasks == len(ids), "a submission was accepted twice"
    ends = Counter(row.task_id for row in found.messages if row.event.removeprefix("task.") in TASK_DONE)
    assert set(ends) == ids, "I2: an end without a message"
    assert set(ends.values()) == {1}, "I5: one end made two messages"
    good = Counter(run.task_id for run in found.runs if run.outcome == "succeeded")
    succeeded = {row.id for row in found.tasks if row.state == "succeeded"}
    assert set(good) == succeeded, "I5: a success without its run"
    assert set(good.values()) <= {1}, "I5: a success was written twice"
    due = {row.id: row.run_at_ms for row in found.tasks if row.run_at_ms is not None}
    early = [run.task_id for run in found.runs if run.started_ms < due.get(run.task_id, 0)]
    assert not early, f"I6: ran before their time: {early}"


def _check_batches(accepted: set[str], found: _Records) -> None:
    assert {row.id for row in found.batches} == accepted, "I1: batches accepted and batches there differ"
    told = Counter(
        orjson.loads(row.body)["data"]["id"] for row in found.messages if row.event == BATCH_COMPLETED
    )
    closed = {row.id for row in found.batches if row.closed_ms is not None}
    assert told == Counter(dict.fromkeys(closed, 1)), "I11: a closed batch without its one message"
    assert {row.id for row in found.batches if row.completed_ms is not None} == closed, "I11: not completed"
    in_batches = Counter(row.batch_id for row in found.tasks if row.batch_id is not None)
    assert {row.id: row.total for row in found.batches if row.total} == dict(in_batches), "I11: wrong totals"


def _check_hits(found: _Records, hits: Sequence[Hit]) -> Counter[str]:
    """Return how often each message was taken (answered with 200)."""
    bodies = {row.id: row.body.encode() for row in found.messages}
    assert not [hit.problem for hit in hits if not hit.verified], "I8: a signature does not verify"
    stale = [hit for hit in hits if abs(hit.at - int(hit.headers["webhook-timestamp"])) > _FRESH_SECONDS]
    assert not stale, "I8: a timestamp is not fresh"
    assert all(bodies.get(hit.webhook_id) == hit.body for hit in hits), "I3: other bytes than on record"
    taken = Counter(hit.webhook_id for hit in hits if hit.status == 200)
    unseen = [row.id for row in found.deliveries if row.state == "delivered" and row.message_id not in taken]
    assert not unseen, f"I3: delivered and never seen: {unseen}"
    claimed: Counter[str] = Counter()
    for row in found.deliveries:
        claimed[row.message_id] += row.attempts + found.resent[row.id]
        assert found.attempts[row.id] <= row.attempts, "I4: more attempts logged than counted"
    unclaimed = Counter(hit.webhook_id for hit in hits) - claimed
    assert not unclaimed, f"I4: sent oftener than on record: {unclaimed}"
    return taken


def _kept_depths(tx: Tx) -> dict[str, dict[str, int]]:
    names = ("scheduled", "queued", "running", "finished")
    kept = {depth.queue: {name: getattr(depth, name) for name in names} for depth in read_depths(tx)}
    return {queue: counts for queue, counts in kept.items() if any(counts.values())}


async def _whats_left(installation: Installation) -> str:
    try:
        async with looking_into(installation) as database:
            clock = StoreClock(database)
            await clock.sync()
            return await database.read(_left, clock.now_ms())
    except WebhookdError as error:
        return error.detail


def _left(tx: Tx, now_ms: int) -> str:
    """Return what is not over yet, in words; empty where all is."""

    def count(*conditions: Any) -> int:
        return int(tx.conn.execute(select(func.count()).where(*conditions)).scalar_one())

    left = {
        "open tasks": count(tasks.c.state.not_in(TASK_DONE)),
        "held tasks": count(tasks.c.session_id.is_not(None)),
        "pending deliveries": count(deliveries.c.state.not_in(_DELIVERY_DONE)),
        "held deliveries": count(deliveries.c.session_id.is_not(None)),
        "lanes in flight": count(lanes.c.in_flight != 0),
        "expired leases": count(sessions.c.lease_until_ms < now_ms),
    }
    return ", ".join(f"{number} {what}" for what, number in left.items() if number)
