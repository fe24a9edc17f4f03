"""The rows of deliveries, the deliveries they stand for, and how many of each state a task has."""

from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, select

from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.schema import deliveries, endpoints, lanes
from webhookd.core.model import DeliveryState
from webhookd.core.records import Delivery, DeliveryCounts


class DeliveryRow(NamedTuple):
    """A row of `select_deliveries`."""

    id: str
    message_id: str
    partner_id: str
    task_id: str | None
    task_type: str | None
    endpoint_id: str | None
    lane_id: str
    url: str | None
    event: str
    state: str
    once: bool
    attempts: int
    attempts_before: int
    max_attempts: int
    due_ms: int | None
    session_id: str | None
    token: int
    last_status: int | None
    last_error: str | None
    dead_reason: str | None
    discarded_ms: int | None
    created_ms: int
    ended_ms: int | None
    replay_id: str | None
    replayed_attempts: int | None
    target_url: str
    next_ms: int | None


class CountsRow(NamedTuple):
    """A row of `select_counts`."""

    task_id: str
    pending: int
    delivered: int
    dead: int
    parked: int


def select_counts() -> Select[Any]:
    """Select `task_id, pending, delivered, dead, parked`; add a WHERE on deliveries.task_id."""

    def counted(state: DeliveryState) -> Any:
        return func.sum(case((deliveries.c.state == state.value, 1), else_=0)).label(state.value)

    return select(
        deliveries.c.task_id,
        counted(DeliveryState.PENDING),
        counted(DeliveryState.DELIVERED),
        counted(DeliveryState.DEAD),
        counted(DeliveryState.PARKED),
    ).group_by(deliveries.c.task_id)


def counts_from(row: CountsRow) -> DeliveryCounts:
    """Return the counts of a row of `select_counts`."""
    return DeliveryCounts(
        pending=int(row.pending), delivered=int(row.delivered), dead=int(row.dead), parked=int(row.parked)
    )


def select_deliveries() -> Select[Any]:
    """Select deliveries with the URL they go to now, and not before when (their lane may be held)."""
    held = case((lanes.c.hold_ms > deliveries.c.due_ms, lanes.c.hold_ms), else_=deliveries.c.due_ms)
    return (
        select(
            deliveries,
            func.coalesce(deliveries.c.url, endpoints.c.url, "").label("target_url"),
            held.label("next_ms"),
        )
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .outerjoin(lanes, lanes.c.id == deliveries.c.lane_id)
    )


def delivery_from(row: DeliveryRow) -> Delivery:
    """Return the delivery of a row of `select_deliveries`."""
    return filled(
        Delivery,
        row,
        url=row.target_url,
        state=DeliveryState(row.state),
        attempts_in_budget=row.attempts - row.attempts_before,
        due_ms=row.next_ms,
        in_flight=row.session_id is not None,
        delivered_ms=row.ended_ms if row.state == DeliveryState.DELIVERED else None,
    )
