"""Which lanes a claim looks at: those that are ready, in turn, and how much each may start now."""

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Integer,
    Text,
    and_,
    bindparam,
    column,
    literal_column,
    or_,
    select,
    union_all,
)

from webhookd.adapters.store.lanes.rows import SERVED, LanePace, TakenShares, open_lane
from webhookd.adapters.store.rowset import POSTGRESQL, Id, rowset
from webhookd.adapters.store.schema import endpoints, lanes, partners, sessions
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import ClaimDeliveries
from webhookd.core.pacing import allowance, rate_hold

DELIVERIES_A_LANE: Final = 4
"""Few lanes with several deliveries each cost less than many with one: a lane is read and written once."""


class PickedLane(NamedTuple):
    """A lane, the weight of its partner, and what its endpoint says; None for those of callbacks."""

    id: str
    partner_id: str
    endpoint_id: str | None
    fifo: bool
    ready_ms: int | None
    hold_ms: int
    served_ms: int
    in_flight: int
    cap: int
    slow: bool
    heard: bool
    pace: str
    weight: int | None
    url: str | None
    headers_sealed: str | None
    rate_limit: float | None
    max_concurrency: int | None
    retry_max_attempts: int | None
    retry_base_seconds: float | None
    retry_factor: float | None
    retry_cap_seconds: float | None


def _ready(dialect: str, holding: Any, *, slow: bool) -> Any:
    """Lock the lanes that are ready, those served longest ago first, but for full partners' lanes."""
    now = bindparam("now", type_=BigInteger)
    full = rowset(dialect, "full_slow" if slow else "full", Id)
    statement = (
        select(
            *SERVED,
            partners.c.weight,
            endpoints.c.url,
            endpoints.c.headers_sealed,
            endpoints.c.rate_limit,
            endpoints.c.max_concurrency,
            endpoints.c.retry_max_attempts,
            endpoints.c.retry_base_seconds,
            endpoints.c.retry_factor,
            endpoints.c.retry_cap_seconds,
        )
        .join_from(lanes, holding, literal_column("true"))
        .outerjoin(partners, partners.c.id == lanes.c.partner_id)
        .outerjoin(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(
            lanes.c.ready_ms <= now,
            lanes.c.hold_ms <= now,
            lanes.c.in_flight < lanes.c.cap,
            lanes.c.slow.is_(slow),
            lanes.c.partner_id.not_in(select(full.c.id)),
            open_lane(),
        )
        .order_by(lanes.c.served_ms, lanes.c.id)
        .limit(bindparam("most_slow" if slow else "most", type_=Integer))
    )
    if not slow:
        full_unheard = rowset(dialect, "full_unheard", Id)
        others = and_(
            bindparam("unheard_too", type_=Boolean), lanes.c.partner_id.not_in(select(full_unheard.c.id))
        )
        statement = statement.where(or_(lanes.c.heard, others))
    if dialect == POSTGRESQL:
        statement = statement.with_for_update(of=lanes, skip_locked=True)
    return select(statement.subquery("slow_lanes" if slow else "quick_lanes"))


def _pick(dialect: str) -> Any:
    """The lanes of a turn, the slow ones last. None where the session that claims is gone.

    A session that is held is not taken back until this transaction ends: a claim that commits after the
    sweep's look would leave rows with a holder nobody watches. A renewal does not wait for it (FOR KEY
    SHARE).
    """
    holding = (
        select(sessions.c.id)
        .where(sessions.c.id == bindparam("session", type_=Text))
        .with_for_update(read=True, key_share=True)
        .cte("holding")
    )
    both = union_all(*(_ready(dialect, holding, slow=slow) for slow in (False, True)))
    return both.order_by(*(column(name) for name in ("slow", "served_ms", "id")))


_PICK: Final = Query(PickedLane, _pick)


def pick_lanes(tx: Tx, request: ClaimDeliveries, taken: TakenShares) -> list[PickedLane]:
    """Lock the lanes of this turn: slow ones as many as there is room for, so they crowd nobody out."""
    return tx.run(
        _PICK,
        session=request.session_id,
        now=request.now_ms,
        unheard_too=not taken.unheard,
        full=map(Id, taken.full),
        full_unheard=map(Id, taken.full_unheard),
        full_slow=map(Id, taken.full | taken.full_slow),
        most=lanes_a_turn(request),
        most_slow=0 if taken.slow else request.slow_free,
    )


def lanes_a_turn(request: ClaimDeliveries) -> int:
    """Return how many lanes that are not slow a claim looks at."""
    return max(16, request.free // DELIVERIES_A_LANE)


def lane_ceiling(*, fifo: bool, max_concurrency: int | None, default: int) -> int:
    """Return how many attempts a lane may ever have under way."""
    return 1 if fifo else max_concurrency or default


def lane_room(row: PickedLane, lane: LanePace, ceiling: int, request: ClaimDeliveries) -> int:
    """Return how many deliveries of this lane may start now."""
    room = allowance(lane.pace, in_flight=row.in_flight, ceiling=ceiling, now_ms=request.now_ms)
    grant = rate_hold(lane.tat_ms, rate_limit_per_second=row.rate_limit, wanted=room, now_ms=request.now_ms)
    return min(room, grant.allowed, request.free)
