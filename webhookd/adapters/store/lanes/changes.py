"""What a verdict makes of a delivery, given how its endpoint stands by then."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from webhookd.core.delivery import Delivered, GiveUp, NotCounted, RetryAt
from webhookd.core.dispatch import AttemptDone
from webhookd.core.model import DELIVERIES, DeliveryMove, DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The delivery's new state, when it is due next, and its row for `record_statements.write_outcomes`."""

    state: DeliveryState
    due_ms: int | None
    row: tuple[object, ...]


def change_of(done: AttemptDone, lane: Row[Any] | None, disabled: dict[str, str]) -> Change:
    """Return what the verdict makes of the delivery, given how its endpoint stands now."""
    delivery, verdict, now_ms = done.delivery, done.verdict, done.now_ms
    state, attempts_back = DeliveryState.PENDING, 0
    due_ms: int | None = None
    reason: str | None = None
    if isinstance(verdict, Delivered):
        state = DELIVERIES.next(state, DeliveryMove.DELIVER)
    elif isinstance(verdict, GiveUp):
        state, reason = DELIVERIES.next(state, DeliveryMove.GIVE_UP), verdict.reason
    elif delivery.once and isinstance(verdict, RetryAt):
        state, reason = DELIVERIES.next(state, DeliveryMove.GIVE_UP), "exhausted"
    else:
        state, reason = standing(lane, disabled)
        due_ms = verdict.due_ms if state is DeliveryState.PENDING else None
    if isinstance(verdict, NotCounted):
        attempts_back = 1
    ended_ms = now_ms if state in (DeliveryState.DELIVERED, DeliveryState.DEAD) else None
    error = None if isinstance(verdict, Delivered) else done.attempt.error or "protocol"
    row = (
        delivery.id,
        done.session_id,
        delivery.token,
        state.value,
        due_ms,
        attempts_back,
        done.attempt.status,
        error,
        reason,
        ended_ms,
    )
    return Change(state=state, due_ms=due_ms, row=row)


def standing(lane: Row[Any] | None, disabled: dict[str, str]) -> tuple[DeliveryState, str | None]:
    """Return what an unfinished delivery becomes, given how its endpoint stands now, and why it is dead."""
    state = DeliveryState.PENDING
    if lane is not None and lane.endpoint_deleted_ms is not None:
        return DELIVERIES.next(state, DeliveryMove.GIVE_UP), "endpoint_deleted"
    if lane is not None and (lane.endpoint_state == "disabled" or lane.id in disabled):
        return DELIVERIES.next(state, DeliveryMove.PARK), None
    return state, None
