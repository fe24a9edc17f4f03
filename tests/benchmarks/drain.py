"""One deliver worker against a backlog: few lanes and many, with history, and beside hanging endpoints."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select, text

from tests.benchmarks.installation import Installation, Store, installation, sink, sink_counts, wait_for
from webhookd.adapters.broker import Ringer
from webhookd.adapters.entropy import new_id, new_signing_secret
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.deliveries.publish import Announcement, announce
from webhookd.adapters.store.endpoints import secrets as secret_rows
from webhookd.adapters.store.schema import deliveries, endpoints, partners
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault
from webhookd.core.model import DELIVER_QUEUE, DeliveryState
from webhookd.core.render import event_body
from webhookd.core.routing import Recipient

_PARTNERS = 10
_WARM_UP_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One drain: deliveries recorded per second, and what the deliver process used."""

    store: Store
    lanes: int
    deliveries: int
    history: int
    per_second: float
    cpu_us: float
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Healthy endpoints' latency from message to delivered, in ms, alone and beside hanging ones."""

    store: Store
    hanging: int
    p50_ms: float
    p99_ms: float


def drain(store: Store, *, lanes: int, count: int, history: int = 0) -> Drain:
    """Fill a backlog with no worker running, then time one pinned deliver worker until all is recorded."""
    with installation(store, WEBHOOKD_LOG_FORMAT="json") as made, sink(core=1) as (url, _):
        asyncio.run(_fill(made, lambda _number: url, lanes=lanes, count=count, history=history))
        made.start("deliver", "webhookd.worker", "deliver", core=0)
        wait_for(lambda: sink_counts(url)["posts"] > 0, 60, "the first delivery")
        started, already = time.monotonic(), int(sink_counts(url)["posts"])
        wait_for(lambda: sink_counts(url)["posts"] >= count, 600, "the backlog's end", every=0.2)
        wait_for(lambda: asyncio.run(_pending(made)) == 0, 60, "the records")
        seconds = time.monotonic() - started
        return Drain(
            store=store,
            lanes=lanes,
            deliveries=count,
            history=history,
            per_second=(count - already) / seconds,
            cpu_us=made.cpu_seconds("deliver") / count * 1e6,
            memory_mb=made.memory_mb("deliver"),
        )


def beside_hanging(store: Store, *, lanes: int, hanging: int, rounds: int) -> Beside:
    """Give every endpoint one delivery per round; `hanging` of the endpoints never answer (5 s deadline)."""
    settings = {"WEBHOOKD_DELIVERY_TIMEOUT_SECONDS": "5", "WEBHOOKD_LOG_FORMAT": "json"}
    with installation(store, **settings) as made, sink(core=1) as (url, hang_url):
        made.start("deliver", "webhookd.worker", "deliver", core=0)
        latencies = asyncio.run(
            _rounds(made, lambda number: hang_url if number < hanging else url, lanes=lanes, rounds=rounds)
        )
    latencies.sort()
    return Beside(
        store=store,
        hanging=hanging,
        p50_ms=latencies[len(latencies) // 2],
        p99_ms=latencies[int(len(latencies) * 0.99)],
    )


async def _fill(
    made: Installation, url_of: Callable[[int], str], *, lanes: int, count: int, history: int
) -> None:
    database = await Database.open(made.environment["WEBHOOKD_DATABASE_URL"])
    ids = await database.write(_make_endpoints, _vault(made), url_of, lanes)
    await _announce(database, ids, history, DeliveryState.DELIVERED)
    await _announce(database, ids, count, DeliveryState.PENDING)
    await database.write(lambda tx: tx.conn.execute(text("ANALYZE")))
    await database.close()


async def _announce(database: Database, ids: list[tuple[str, str]], count: int, state: DeliveryState) -> None:
    for start in range(0, count, 2_000):
        now_ms = int(time.time() * 1000)
        chunk = [
            _announcement(*ids[number % len(ids)], state=state, now_ms=now_ms)
            for number in range(start, min(start + 2_000, count))
        ]
        await database.write(announce, chunk, now_ms=now_ms)


async def _rounds(
    made: Installation, url_of: Callable[[int], str], *, lanes: int, rounds: int
) -> list[float]:
    """Announce round by round, then read how long each healthy delivery took.

    The first rounds, in which the worker starts and its lanes warm up, do not count.
    """
    database = await Database.open(made.environment["WEBHOOKD_DATABASE_URL"])
    ids = await database.write(_make_endpoints, _vault(made), url_of, lanes)
    ringer = Ringer(made.environment["WEBHOOKD_BROKER_URL"])
    for number in range(_WARM_UP_ROUNDS + rounds):
        now_ms = int(time.time() * 1000)
        if number == _WARM_UP_ROUNDS:
            counted_from_ms = now_ms
        chunk = [_announcement(*one, state=DeliveryState.PENDING, now_ms=now_ms) for one in ids]
        await database.write(announce, chunk, now_ms=now_ms)
        ringer.ring(DELIVER_QUEUE)
        await asyncio.sleep(1.0)
    await ringer.aclose()
    well = url_of(len(ids) - 1)
    healthy = [endpoint_id for number, (_, endpoint_id) in enumerate(ids) if url_of(number) == well]
    for _ in range(300):
        rows = await database.read(
            lambda tx: tx.conn.execute(
                select(deliveries.c.created_ms, deliveries.c.ended_ms).where(
                    deliveries.c.endpoint_id.in_(healthy), deliveries.c.created_ms >= counted_from_ms
                )
            ).all()
        )
        if all(row.ended_ms is not None for row in rows):
            break
        await asyncio.sleep(0.1)
    await database.close()
    return [float(row.ended_ms - row.created_ms) for row in rows if row.ended_ms is not None]


def _make_endpoints(tx: Tx, vault: Vault, url_of: Callable[[int], str], lanes: int) -> list[tuple[str, str]]:
    now_ms = int(time.time() * 1000)
    owners = [new_id("prt", now_ms) for _ in range(min(_PARTNERS, lanes))]
    for number, owner in enumerate(owners):
        tx.conn.execute(
            partners.insert().values(id=owner, name=f"bench {number}", weight=1, created_ms=now_ms)
        )
    made = []
    for number in range(lanes):
        owner, endpoint_id = owners[number % len(owners)], new_id("ep", now_ms)
        tx.conn.execute(
            endpoints.insert().values(
                id=endpoint_id,
                partner_id=owner,
                url=url_of(number),
                description="",
                events='["task.*"]',
                task_types="[]",
                ordering="none",
                signature='["v1"]',
                state="enabled",
                created_ms=now_ms,
                updated_ms=now_ms,
            )
        )
        sealed = vault.seal(
            new_signing_secret("v1").encode(),
            partner=owner,
            endpoint=endpoint_id,
            field=secret_rows.SECRET_FIELD,
        )
        secret_rows.add(tx, owner, endpoint_id, scheme="v1", sealed=sealed, created_ms=now_ms)
        made.append((owner, endpoint_id))
    return made


def _announcement(owner: str, endpoint_id: str, *, state: DeliveryState, now_ms: int) -> Announcement:
    return Announcement(
        partner_id=owner,
        event="task.succeeded",
        body=event_body("task.succeeded", timestamp_ms=now_ms, data={"a": "x" * 430}),
        recipients=(
            Recipient(
                lane_id=endpoint_id,
                endpoint_id=endpoint_id,
                url=None,
                fifo=False,
                max_attempts=14,
                state=state,
            ),
        ),
    )


def _vault(made: Installation) -> Vault:
    return Vault([made.environment["WEBHOOKD_ENCRYPTION_KEYS"]])


async def _pending(made: Installation) -> int:
    database = await Database.open(made.environment["WEBHOOKD_DATABASE_URL"])
    try:
        counted = select(func.count()).select_from(deliveries).where(text("state = 'pending'"))
        count: int = await database.read(lambda tx: tx.conn.execute(counted).scalar_one())
        return count
    finally:
        await database.close()
