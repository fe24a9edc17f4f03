"""What a verdict makes of a delivery, given how its endpoint stands by then, and writing it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, and_, bindparam, case, not_, or_

from webhookd.adapters.store.lanes.settling import LockedLane
from webhookd.adapters.store.rowset import Int4, rowset
from webhookd.adapters.store.schema import deliveries
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import Delivered, GiveUp, NotCounted, RetryAt
from webhookd.core.dispatch import AttemptDone, Handed
from webhookd.core.model import DELIVERIES, DeliveryMove, DeliveryState, EndpointState


class OutcomeRow(NamedTuple):
    """What became of a delivery that was under way, with its fence."""

    id: str
    session_id: str
    token: Int4
    state: str
    due_ms: int | None
    attempts_back: Int4
    last_status: Int4 | None
    last_error: str | None
    dead_reason: str | None
    ended_ms: int | None


def outcome_of(done: AttemptDone, lane: LockedLane | None, disabled: Mapping[str, str]) -> OutcomeRow:
    """Return what the verdict makes of the delivery, given how its endpoint stands now."""
    delivery, verdict, now_ms = done.delivery, done.verdict, done.now_ms
    state = DeliveryState.PENDING
    due_ms: int | None = None
    reason: str | None = None
    if isinstance(verdict, Delivered):
        state = DELIVERIES.next(state, DeliveryMove.DELIVER)
    elif isinstance(verdict, GiveUp):
        state, reason = DELIVERIES.next(state, DeliveryMove.GIVE_UP), verdict.reason
    elif delivery.once and isinstance(verdict, RetryAt):
        state, reason = DELIVERIES.next(state, DeliveryMove.GIVE_UP), "exhausted"
    else:
        state, reason = _standing(lane, disabled)
        due_ms = verdict.due_ms if state is DeliveryState.PENDING else None
    return OutcomeRow(
        id=delivery.id,
        session_id=done.session_id,
        token=delivery.token,
        state=state,
        due_ms=due_ms,
        attempts_back=1 if isinstance(verdict, NotCounted) else 0,
        last_status=done.attempt.status,
        last_error=None if isinstance(verdict, Delivered) else done.attempt.error or "protocol",
        dead_reason=reason,
        ended_ms=now_ms if state in (DeliveryState.DELIVERED, DeliveryState.DEAD) else None,
    )


def given_back(handed: Handed, lane: LockedLane | None) -> OutcomeRow:
    """Return what becomes of a delivery that was claimed and not sent."""
    state, reason = _standing(lane, {})
    return OutcomeRow(
        id=handed.delivery.id,
        session_id=handed.session_id,
        token=handed.delivery.token,
        state=state,
        due_ms=handed.now_ms if state is DeliveryState.PENDING else None,
        attempts_back=1,
        last_status=None,
        last_error=None,
        dead_reason=reason,
        ended_ms=handed.now_ms if state is DeliveryState.DEAD else None,
    )


def _standing(lane: LockedLane | None, disabled: Mapping[str, str]) -> tuple[DeliveryState, str | None]:
    """Return what an unfinished delivery becomes, given how its endpoint stands now, and why it is dead."""
    state = DeliveryState.PENDING
    if lane is not None and lane.endpoint_deleted_ms is not None:
        return DELIVERIES.next(state, DeliveryMove.GIVE_UP), "endpoint_deleted"
    if lane is not None and (lane.endpoint_state == EndpointState.DISABLED or lane.id in disabled):
        return DELIVERIES.next(state, DeliveryMove.PARK), None
    return state, None


Fence: TypeAlias = tuple[str, int]
"""The id and the token of a delivery that was claimed."""


class _Written(NamedTuple):
    id: str
    token: int
    state: str


def _write_outcomes(dialect: str) -> Any:
    """Write what became of deliveries, where the fence still holds."""
    r = rowset(dialect, "outcomes", OutcomeRow).c
    # Somebody cancelled it meanwhile: the lane is released, the state stays theirs.
    open_still = deliveries.c.state == DeliveryState.PENDING.value
    # Or cancelled and then replayed: the attempt is none of the new budget, which begins at once.
    back = deliveries.c.attempts - r.attempts_back
    afresh = and_(
        open_still,
        deliveries.c.attempts_before == deliveries.c.attempts,
        or_(r.state == DeliveryState.PENDING.value, r.dead_reason.is_not_distinct_from("exhausted")),
    )
    ended = and_(open_still, not_(afresh))
    unsent = and_(r.attempts_back == 1, r.last_error.is_(None))
    transient = and_(deliveries.c.once.is_(True), r.state == DeliveryState.DEAD.value, not_(afresh))
    return (
        deliveries.update()
        .where(
            deliveries.c.id == r.id,
            deliveries.c.session_id.is_not_distinct_from(r.session_id),  # by id, not by ix_deliveries_held
            deliveries.c.token == r.token,
        )
        .values(
            session_id=None,
            state=case((ended, r.state), else_=deliveries.c.state),
            due_ms=case((afresh, bindparam("now", type_=BigInteger)), (open_still, r.due_ms), else_=None),
            attempts=back,
            attempts_before=case(
                (deliveries.c.attempts_before > back, back), else_=deliveries.c.attempts_before
            ),
            last_status=case((unsent, deliveries.c.last_status), else_=r.last_status),
            last_error=case((unsent, deliveries.c.last_error), else_=r.last_error),
            dead_reason=case((ended, r.dead_reason), else_=deliveries.c.dead_reason),
            discarded_ms=case((transient, r.ended_ms), else_=deliveries.c.discarded_ms),
            ended_ms=case((ended, r.ended_ms), else_=deliveries.c.ended_ms),
        )
        .returning(deliveries.c.id, deliveries.c.token, deliveries.c.state)
    )


_WRITE_OUTCOMES: Final = Query(_Written, _write_outcomes)


def write_outcomes(tx: Tx, outcomes: Sequence[OutcomeRow], *, now_ms: int) -> dict[Fence, DeliveryState]:
    """Write outcomes; return the states of those whose delivery nobody had taken away."""
    written = tx.run(_WRITE_OUTCOMES, outcomes=outcomes, now=now_ms)
    return {(row.id, row.token): DeliveryState(row.state) for row in written}
