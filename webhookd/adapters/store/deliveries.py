"""Deliveries as the API sees them: reading, listing, cancelling. Sending them is the lanes' business."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, Select, func, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.lanes.release import lock_lanes
from webhookd.adapters.store.lanes.rows import lanes_wake
from webhookd.adapters.store.paging import first_id, read_newest, read_page
from webhookd.adapters.store.replaying import replay_deliveries
from webhookd.adapters.store.rows import delivery_from, names, select_deliveries
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import attempts, deliveries, endpoints, messages
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.model import DELIVERIES, DeliveryMove, DeliveryState
from webhookd.core.records import Attempt, Delivery, Page


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list; None is any. Times bound `created_ms`: since inclusive, until exclusive."""

    state: DeliveryState | None = None
    endpoint_id: str | None = None
    task_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


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
    """The delivery after a call. `changed`: the call moved it; `endpoint_deleted`: it can go nowhere."""

    delivery: Delivery
    changed: bool
    endpoint_deleted: bool = False


class Deliveries:
    """Reading deliveries; moves are functions over a request's own connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, delivery_id: str, partner_id: str | None) -> Delivery | None:
        """Return a delivery; None where it is unknown or another partner's."""
        return await self._db.read(get_delivery, delivery_id, partner_id)

    async def history(self, delivery_id: str, partner_id: str | None) -> DeliveryHistory | None:
        """Return a delivery with its attempts; None as for `get`."""
        return await self._db.read(get_history, delivery_id, partner_id)

    async def page(
        self, partner_id: str | None, wanted: DeliveryFilter, page: Page
    ) -> tuple[list[Delivery], str | None]:
        """Return a page, newest first, and the next cursor."""
        return await self._db.read(list_deliveries, partner_id, wanted, page)


def get_delivery(tx: Tx, delivery_id: str, partner_id: str | None) -> Delivery | None:
    """Return a delivery; None where it does not exist or is another partner's."""
    row = tx.execute(_one(delivery_id, partner_id)).one_or_none()
    return None if row is None else delivery_from(row)


def get_history(tx: Tx, delivery_id: str, partner_id: str | None) -> DeliveryHistory | None:
    """Return a delivery with its attempts, oldest first; None as for `get_delivery`."""
    statement = (
        _one(delivery_id, partner_id)
        .add_columns(messages.c.body, endpoints.c.header_names)
        .outerjoin(messages, messages.c.id == deliveries.c.message_id)
    )
    row = tx.execute(statement).one_or_none()
    if row is None:
        return None
    of_delivery = attempts.c.delivery_id == delivery_id
    newest_first = select(attempts).where(of_delivery).order_by(attempts.c.number.desc())
    made, complete = read_newest(tx, newest_first)
    count = select(func.count()).select_from(attempts).where(of_delivery)
    return DeliveryHistory(
        delivery=delivery_from(row),
        attempts=tuple(_attempt_from(one) for one in made),
        omitted=0 if complete else tx.execute(count).scalar_one() - len(made),
        body=row.body or "",
        header_names=names(row.header_names),
    )


def list_attempts(tx: Tx, delivery_ids: Sequence[str]) -> list[Attempt]:
    """Return the attempts of these deliveries, in the order they were made."""
    rows = tx.execute(
        select(attempts)
        .where(among(tx, attempts.c.delivery_id, delivery_ids))
        .order_by(attempts.c.at_ms, attempts.c.delivery_id, attempts.c.number)
    )
    return [_attempt_from(row) for row in rows]


def list_deliveries(
    tx: Tx, partner_id: str | None, wanted: DeliveryFilter, page: Page
) -> tuple[list[Delivery], str | None]:
    """Return a page of deliveries, newest first, and the cursor of the next page or None."""
    statement = _owned(select_deliveries(), partner_id)
    if page.cursor is not None:
        statement = statement.where(deliveries.c.id < page.cursor)
    if wanted.state is not None:
        statement = statement.where(deliveries.c.state == wanted.state.value)
    if wanted.endpoint_id is not None:
        statement = statement.where(deliveries.c.endpoint_id == wanted.endpoint_id)
    if wanted.task_id is not None:
        statement = statement.where(deliveries.c.task_id == wanted.task_id)
    if wanted.since_ms is not None:
        statement = statement.where(deliveries.c.id >= first_id(ids.DELIVERY, wanted.since_ms))
    if wanted.until_ms is not None:
        statement = statement.where(deliveries.c.id < first_id(ids.DELIVERY, wanted.until_ms))
    rows, more = read_page(tx, statement.order_by(deliveries.c.id.desc()), page.limit)
    found = [delivery_from(row) for row in rows]
    return found, found[-1].id if more else None


def cancel_delivery(tx: Tx, delivery_id: str, partner_id: str | None, now_ms: int) -> MovedDelivery | None:
    """End a pending or parked delivery as cancelled; others are returned unchanged. None: unknown, foreign.

    One that is under way ends as cancelled too: what its receiver answers goes into its log only.
    """
    row = _lock(tx, delivery_id, partner_id)
    if row is None:
        return None
    state = DeliveryState(row.state)
    if not DELIVERIES.allows(state, DeliveryMove.CANCEL):
        return MovedDelivery(delivery=delivery_from(row), changed=False)
    tx.execute(
        deliveries.update()
        .where(deliveries.c.id == delivery_id)
        .values(state=DELIVERIES.next(state, DeliveryMove.CANCEL).value, due_ms=None, ended_ms=now_ms)
    )
    if row.state == DeliveryState.PENDING.value:
        # In a fifo lane the next in line may have been waiting for this one.
        lanes_wake(tx, {row.lane_id: now_ms})
    return MovedDelivery(delivery=_again(tx, delivery_id), changed=True)


def replay_delivery(tx: Tx, delivery_id: str, partner_id: str | None, now_ms: int) -> MovedDelivery | None:
    """Deliver again what has ended; what is still pending or parked stays. None: unknown or foreign."""
    row = tx.execute(_one(delivery_id, partner_id).add_columns(endpoints.c.deleted_ms)).one_or_none()
    if row is None:
        return None
    moved = replay_deliveries(tx, [delivery_id], now_ms=now_ms)
    return MovedDelivery(
        delivery=_again(tx, delivery_id),
        changed=delivery_id in moved,
        endpoint_deleted=row.deleted_ms is not None,
    )


def _again(tx: Tx, delivery_id: str) -> Delivery:
    return delivery_from(tx.execute(_one(delivery_id, None)).one())


def _lock(tx: Tx, delivery_id: str, partner_id: str | None) -> Row[Any] | None:
    """Lock a delivery after its lane, which is the order of the whole store."""
    known = tx.execute(_one(delivery_id, partner_id)).one_or_none()
    if known is None:
        return None
    lock_lanes(tx, [known.lane_id])
    return tx.execute(_one(delivery_id, partner_id).with_for_update(of=deliveries)).one_or_none()


def _one(delivery_id: str, partner_id: str | None) -> Select[Any]:
    return _owned(select_deliveries().where(deliveries.c.id == delivery_id), partner_id)


def _owned(statement: Select[Any], partner_id: str | None) -> Select[Any]:
    return statement if partner_id is None else statement.where(deliveries.c.partner_id == partner_id)


def _attempt_from(row: Row[Any]) -> Attempt:
    headers: Iterable[Sequence[str]] = orjson.loads(row.headers)
    return Attempt(
        delivery_id=row.delivery_id,
        number=row.number,
        at_ms=row.at_ms,
        duration_us=row.duration_us,
        dns_us=row.dns_us,
        connect_us=row.connect_us,
        tls_us=row.tls_us,
        first_byte_us=row.first_byte_us,
        status=row.status,
        error=row.error,
        headers=tuple((name, value) for name, value in headers),
        excerpt=row.excerpt,
        resent=bool(row.resent),
    )
