"""Deliveries as the API sees them: reading, cancelling, replaying. Lists are `delivery_listings`."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select

from webhookd.adapters.store.deliveries.attempt_rows import WHOLE, AttemptRow, attempt_from
from webhookd.adapters.store.deliveries.delivery_rows import DeliveryRow, delivery_from, select_deliveries
from webhookd.adapters.store.deliveries.replaying import replay_deliveries
from webhookd.adapters.store.deliveries.waiting import hasten
from webhookd.adapters.store.lanes.release import lock_lanes
from webhookd.adapters.store.lanes.rows import due_unless_under_way, lanes_wake
from webhookd.adapters.store.paging import MAX_ROWS, take_newest
from webhookd.adapters.store.rows import names
from webhookd.adapters.store.schema import attempts, deliveries, endpoints, messages
from webhookd.adapters.store.statement import Change, Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DELIVERIES, DeliveryMove, DeliveryState
from webhookd.core.records import Attempt, Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryHistory:
    """A delivery with all that was tried, and what a person needs to repeat a try.

    `body` is the exact text that was signed; `header_names` are the endpoint's own headers. `omitted` is how
    many of the oldest attempts are left out, where all would be too much.
    """

    delivery: Delivery
    attempts: tuple[Attempt, ...]
    body: str
    header_names: tuple[str, ...]
    omitted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedDelivery:
    """The delivery after a call. `changed`: the call moved it; `endpoint_deleted`: it can go nowhere.

    `disabled_reason` is why its endpoint is disabled.
    """

    delivery: Delivery
    changed: bool
    endpoint_deleted: bool = False
    disabled_reason: str | None = None


_OWNED: Final = deliveries.c.partner_id == bindparam("partner_id")
_ONE: Final = Listing(
    DeliveryRow,
    lambda _, given: narrowed(
        select_deliveries().where(deliveries.c.id == bindparam("delivery_id")), given, partner_id=_OWNED
    ),
)


def get_delivery(tx: Tx, delivery_id: str, partner_id: str | None) -> Delivery | None:
    """Return a delivery; None where it does not exist or is another partner's."""
    row = tx.first(_ONE, delivery_id=delivery_id, partner_id=partner_id)
    return None if row is None else delivery_from(row)


class _Signed(NamedTuple):
    body: str | None
    header_names: str | None


class _AttemptCount(NamedTuple):
    made: int


_SIGNED: Final = Query(
    _Signed,
    lambda _: (
        select(messages.c.body, endpoints.c.header_names)
        .select_from(deliveries)
        .outerjoin(messages, messages.c.id == deliveries.c.message_id)
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(deliveries.c.id == bindparam("delivery_id"))
    ),
)
_OF_DELIVERY: Final = attempts.c.delivery_id == bindparam("delivery_id")
_NEWEST: Final = Query(
    AttemptRow,
    lambda _: select(*WHOLE).where(_OF_DELIVERY).order_by(attempts.c.number.desc()).limit(MAX_ROWS + 1),
)
_COUNT: Final = Query(
    _AttemptCount, lambda _: select(func.count().label("made")).select_from(attempts).where(_OF_DELIVERY)
)


def get_history(tx: Tx, delivery_id: str, partner_id: str | None) -> DeliveryHistory | None:
    """Return a delivery with its attempts, oldest first; None as for `get_delivery`."""
    delivery = get_delivery(tx, delivery_id, partner_id)
    if delivery is None:
        return None
    (signed,) = tx.run(_SIGNED, delivery_id=delivery_id)
    made, complete = take_newest(tx.stream(_NEWEST, delivery_id=delivery_id))
    return DeliveryHistory(
        delivery=delivery,
        attempts=tuple(map(attempt_from, made)),
        omitted=0 if complete else tx.run(_COUNT, delivery_id=delivery_id)[0].made - len(made),
        body=signed.body or "",
        header_names=names(signed.header_names),
    )


_LOCK: Final = Listing(
    DeliveryRow,
    lambda _, given: narrowed(
        select_deliveries().where(deliveries.c.id == bindparam("delivery_id")).with_for_update(of=deliveries),
        given,
        partner_id=_OWNED,
    ),
)
_CANCEL: Final = Change(
    lambda _: (
        deliveries.update()
        .where(deliveries.c.id == bindparam("delivery_id"))
        .values(state=bindparam("state"), due_ms=due_unless_under_way(None), ended_ms=bindparam("now_ms"))
    )
)


def cancel_delivery(tx: Tx, delivery_id: str, partner_id: str | None, now_ms: int) -> MovedDelivery | None:
    """End a pending or parked delivery as cancelled; others are returned unchanged. None: unknown, foreign.

    One that is under way ends as cancelled too: what its receiver answers goes into its log only.
    """
    known = tx.first(_ONE, delivery_id=delivery_id, partner_id=partner_id)
    if known is None:
        return None
    lock_lanes(tx, [known.lane_id])  # before the delivery, which is the order of the whole store
    row = tx.first(_LOCK, delivery_id=delivery_id, partner_id=partner_id)
    if row is None:
        return None
    state = DeliveryState(row.state)
    if not DELIVERIES.allows(state, DeliveryMove.CANCEL):
        return MovedDelivery(delivery=delivery_from(row), changed=False)
    after = DELIVERIES.next(state, DeliveryMove.CANCEL)
    tx.run(_CANCEL, delivery_id=delivery_id, state=after, now_ms=now_ms)
    if state is DeliveryState.PENDING:
        # In a fifo lane the next in line may have been waiting for this one.
        lanes_wake(tx, {row.lane_id: now_ms})
    return MovedDelivery(delivery=_again(tx, delivery_id), changed=True)


class _Standing(NamedTuple):
    deleted_ms: int | None
    disabled_reason: str | None


_STANDING: Final = Listing(
    _Standing,
    lambda _, given: narrowed(
        select(endpoints.c.deleted_ms, endpoints.c.disabled_reason)
        .select_from(deliveries)
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(deliveries.c.id == bindparam("delivery_id")),
        given,
        partner_id=_OWNED,
    ),
)


def replay_delivery(tx: Tx, delivery_id: str, partner_id: str | None, now_ms: int) -> MovedDelivery | None:
    """Deliver again what has ended; what waits is due now, its budget as it is. None: unknown or foreign.

    What is under way stays. So does a parked one: it waits for its endpoint.
    """
    endpoint = tx.first(_STANDING, delivery_id=delivery_id, partner_id=partner_id)
    if endpoint is None:
        return None
    moved = bool(replay_deliveries(tx, [delivery_id], now_ms=now_ms))
    moved = moved or bool(hasten(tx, [delivery_id], now_ms=now_ms))
    return MovedDelivery(
        delivery=_again(tx, delivery_id),
        changed=moved,
        endpoint_deleted=endpoint.deleted_ms is not None,
        disabled_reason=endpoint.disabled_reason,
    )


def _again(tx: Tx, delivery_id: str) -> Delivery:
    (row,) = tx.run(_ONE, delivery_id=delivery_id)
    return delivery_from(row)
