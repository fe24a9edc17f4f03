"""Rows that store tests begin with, made by the store's own writes."""

from dataclasses import dataclass, field, replace

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.deliveries.publish import Announcement, announce
from webhookd.adapters.store.deliveries.subscribers import subscriber_from
from webhookd.adapters.store.endpoints.endpoint_settings import create_endpoint
from webhookd.adapters.store.rowset import upsert
from webhookd.adapters.store.schema import endpoints, partners, sessions
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx, Wakes
from webhookd.adapters.store.upkeep.retention import RetentionPolicy
from webhookd.core import ids
from webhookd.core.delivery import Delivered, GiveUp, RetryAt, Verdict
from webhookd.core.dispatch import AttemptDone, ClaimDeliveries, DueDelivery
from webhookd.core.pacing import outcome_of
from webhookd.core.records import Attempt, Endpoint, TaskSignal
from webhookd.core.reply import Reply, Timing
from webhookd.core.routing import Subscriber, to_endpoint
from webhookd.core.trace import TraceContext

TRACE = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", parent_id="b7ad6b7169203331", flags=1)

NOW = 1_790_000_000_000
SESSION = "ses_test"
KEEP_ALL = RetentionPolicy(
    tasks_ms=None, attempts_ms=None, dead_letters_ms=None, audit_ms=None, idempotency_ms=86_400_000
)


@dataclass(slots=True)
class Woken:
    """Whom the store woke after its commits: queues that were rung, tasks that were published."""

    rung: list[str] = field(default_factory=list)
    told: list[TaskSignal] = field(default_factory=list)

    def wake(self, wakes: Wakes) -> None:
        self.rung += sorted(wakes.queues)
        self.told += wakes.tasks

    def forget(self) -> None:
        self.rung.clear()
        self.told.clear()


def at(store: Store, now_ms: int) -> None:
    """Let it be this time in the store from now on."""
    store.db.now_ms = lambda: now_ms


async def partner(database: Database, name: str = "acme") -> str:
    """A partner's id."""
    partner_id = new_id(ids.PARTNER, NOW)
    row = {"id": partner_id, "name": name, "weight": 1, "created_ms": NOW}
    await database.write(lambda tx: tx.conn.execute(partners.insert(), row))
    return partner_id


def endpoint_of(partner_id: str, **settings: object) -> Endpoint:
    """An endpoint with the defaults, not yet in the database."""
    plain = Endpoint(
        id=new_id(ids.ENDPOINT, NOW),
        partner_id=partner_id,
        url="https://hooks.partner.example/in",
        created_ms=NOW,
        updated_ms=NOW,
    )
    return replace(plain, **settings)  # type: ignore[arg-type]  # names checked by dataclasses.replace


async def endpoint(store: Store, partner_id: str, **settings: object) -> Endpoint:
    """An endpoint in the database."""
    made = endpoint_of(partner_id, **settings)
    await store.db.write(create_endpoint, made)
    return made


async def message_to(
    store: Store,
    target: Endpoint,
    *,
    now_ms: int = NOW,
    event: str = "task.succeeded",
    body: str | None = None,
) -> str:
    """The id of a delivery of a new message to this endpoint, as it is announced for its state now."""
    current = await store.read(_subscriber, target.id)
    announcement = Announcement(
        partner_id=target.partner_id,
        event=event,
        body=body or '{"type":"task.succeeded","timestamp":"2026-09-21T00:00:00.000Z","data":{}}',
        recipients=(to_endpoint(current),),
    )
    announced = await store.write(announce, [announcement], now_ms=now_ms)
    return announced[0].delivery_ids[0]


def _subscriber(tx: Tx, endpoint_id: str) -> Subscriber:
    row = tx.conn.execute(endpoints.select().where(endpoints.c.id == endpoint_id)).one()
    return subscriber_from(tx, row)


async def session(store: Store) -> None:
    """Make sure the session that claims in these tests is there: nothing is claimed without one."""
    row = {
        "id": SESSION,
        "kind": "deliver",
        "host": "here",
        "pid": 1,
        "detail": "{}",
        "started_ms": NOW,
        "lease_until_ms": 2 * NOW,
    }
    insert = upsert(store.db.dialect)(sessions).on_conflict_do_nothing()
    await store.db.write(lambda tx: tx.conn.execute(insert, row))


async def due(store: Store, now_ms: int, free: int = 100) -> list[DueDelivery]:
    """What the lanes hand out at `now_ms`: it is under way then."""
    await session(store)
    turn = await store.lanes.claim(
        ClaimDeliveries(
            session_id=SESSION,
            free=free,
            slow_free=free,
            unheard_free=free,
            now_ms=now_ms,
            clock=0.0,
            partner_vtimes={},
        )
    )
    return list(turn.deliveries)


async def answered(store: Store, delivery: DueDelivery, verdict: Verdict, *, now_ms: int) -> bool:
    """Record an attempt with this verdict. False where the delivery had been taken away."""
    status = 200 if isinstance(verdict, Delivered) else 500
    answer = Reply(status=status, timing=Timing(total_us=5_000))
    recorded = await store.lanes.record(
        AttemptDone(
            delivery=delivery,
            session_id=SESSION,
            attempt=Attempt(
                delivery_id=delivery.id,
                number=delivery.attempt,
                at_ms=now_ms,
                duration_us=5_000,
                dns_us=None,
                connect_us=900,
                tls_us=None,
                first_byte_us=3_000,
                status=status,
                error=None if status == 200 else "http_500",
                headers=(("content-type", "text/plain"),),
                excerpt="no",
            ),
            verdict=verdict,
            outcome=outcome_of(answer, now_ms=now_ms),
            now_ms=now_ms,
        )
    )
    return not recorded.lost


EXHAUSTED = GiveUp(reason="exhausted", error="http_500", disable_endpoint=False)


def later(ms: int) -> RetryAt:
    """A verdict: try again at `ms`."""
    return RetryAt(due_ms=ms, error="http_500")


async def dead_delivery(store: Store, target: Endpoint, *, now_ms: int = NOW) -> str:
    """The id of a delivery that has just run out of attempts. The tenth in a row opens the breaker."""
    delivery_id = await message_to(store, target, now_ms=now_ms)
    (delivery,) = await due(store, now_ms)
    assert delivery.id == delivery_id
    assert await answered(store, delivery, EXHAUSTED, now_ms=now_ms)
    return delivery_id
