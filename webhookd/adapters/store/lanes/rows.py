"""The rows of lanes: a lane's pace and tally as text (to be read without code), and its waking."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import starmap
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Boolean, Text, and_, bindparam, case, exists, func, or_, select, text

from webhookd.adapters.store.rowset import Id, rowset
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, sessions
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DELIVER_QUEUE, EndpointState
from webhookd.core.pacing import Pace

_PACE_FIELDS: Final = dict.fromkeys(field.name for field in fields(Pace)).keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePace:
    """The pace, and the rate limiter's theoretical time of the next attempt (`pacing.rate_hold`).

    `tally` is what `core.endpoint_stats` keeps of an endpoint's attempts, as JSON values.
    """

    pace: Pace
    tat_ms: float = 0.0
    tally: Sequence[Any] | None = None


def pace_to_text(lane: LanePace) -> str:
    """Return the JSON text for `lanes.pace`."""
    values: dict[str, Any] = {name: getattr(lane.pace, name) for name in _PACE_FIELDS}
    values["tat_ms"] = lane.tat_ms
    if lane.tally:
        values["tally"] = lane.tally
    return orjson.dumps(values).decode()


def pace_from_text(stored: str) -> LanePace:
    """Read `lanes.pace`. Fields of a newer or older release are left at their defaults."""
    values: dict[str, Any] = orjson.loads(stored)
    tat_ms, tally = values.pop("tat_ms", 0.0), values.pop("tally", None)
    if values.keys() != _PACE_FIELDS:
        values = {name: value for name, value in values.items() if name in _PACE_FIELDS}
    return LanePace(pace=Pace(**values), tat_ms=tat_ms, tally=tally)


def due_unless_under_way(due_ms: Any) -> Any:
    """Return what becomes of `due_ms`: of what is under way it is when its record is given up, and stays."""
    return case((deliveries.c.session_id.is_(None), due_ms), else_=deliveries.c.due_ms)


INITIAL_PACE: Final = pace_to_text(LanePace(pace=Pace()))


class _Woken(NamedTuple):
    id: str
    due_ms: int


def _wake(dialect: str) -> Any:
    woken = rowset(dialect, "woken", _Woken).c
    return (
        lanes.update()
        .where(lanes.c.id == woken.id)
        .values(ready_ms=case((lanes.c.ready_ms < woken.due_ms, lanes.c.ready_ms), else_=woken.due_ms))
    )


_WAKE: Final = Change(_wake)


def lanes_wake(tx: Tx, due: dict[str, int]) -> None:
    """Let lanes be looked at no later than `due[lane_id]` (ms). Lanes that do not exist are left out."""
    if due:
        tx.wakes.ring(DELIVER_QUEUE)
        tx.run(_WAKE, woken=starmap(_Woken, sorted(due.items())))


def next_due(*, fifo: bool) -> Any:
    """Return the scalar subquery of when a lane's next delivery falls due; NULL where none waits.

    In a fifo lane only the head of the line counts, and nothing while it is under way.
    """
    waiting = deliveries.alias("waiting")
    free = text("waiting.state = 'pending' AND waiting.session_id IS NULL")
    if not fifo:
        return (
            select(func.min(waiting.c.due_ms))
            .where(free, waiting.c.lane_id == lanes.c.id)
            .correlate(lanes)
            .scalar_subquery()
        )
    head = deliveries.alias("head")
    first = (
        select(func.min(head.c.id))
        .where(text("head.state = 'pending'"), head.c.lane_id == lanes.c.id)
        .correlate(lanes)
        .scalar_subquery()
    )
    return select(waiting.c.due_ms).where(free, waiting.c.id == first).correlate(lanes).scalar_subquery()


SERVED: Final = tuple(column for column in lanes.c if column is not lanes.c.open_until_ms)
"""What a claim reads of a lane. `open_until_ms` is for people: the pace has it too."""


def open_lane() -> Any:
    """Return the condition that a lane (joined to its endpoint) may be sent to at all.

    Disabling and deleting settle what waits; this holds back whatever was on its way in meanwhile.
    """
    alive = and_(endpoints.c.state == EndpointState.ENABLED.value, endpoints.c.deleted_ms.is_(None))
    return or_(lanes.c.endpoint_id.is_(None), alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenShares:
    """Whose share of the sockets is taken: a claim leaves these out, and their answers wake it."""

    slow: bool = False
    unheard: bool = False
    full: frozenset[str] = frozenset()
    full_slow: frozenset[str] = frozenset()
    full_unheard: frozenset[str] = frozenset()


def first_ready(dialect: str) -> Any:
    """Return the query of when the next lane may be served: NULL where nothing waits.

    Its parameters are `waking`.
    """
    later = case((lanes.c.hold_ms > lanes.c.ready_ms, lanes.c.hold_ms), else_=lanes.c.ready_ms)
    full, full_slow, full_unheard = (
        select(rowset(dialect, name, Id).c.id) for name in ("full", "full_slow", "full_unheard")
    )
    slow_too, unheard_too = (bindparam(name, type_=Boolean) for name in ("slow_too", "unheard_too"))
    return (
        select(func.min(later))
        .outerjoin_from(lanes, endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(
            text("lanes.ready_ms IS NOT NULL"),
            lanes.c.in_flight < lanes.c.cap,
            or_(lanes.c.slow.is_(False), and_(slow_too, lanes.c.partner_id.not_in(full_slow))),
            or_(lanes.c.heard.is_(True), and_(unheard_too, lanes.c.partner_id.not_in(full_unheard))),
            lanes.c.partner_id.not_in(full),
            open_lane(),
        )
    )


def waking(taken: TakenShares) -> dict[str, Any]:
    """Return the parameters of `first_ready`."""
    return {
        "slow_too": not taken.slow,
        "unheard_too": not taken.unheard,
        "full": map(Id, taken.full),
        "full_slow": map(Id, taken.full_slow),
        "full_unheard": map(Id, taken.full_unheard),
    }


class _NextReady(NamedTuple):
    min_1: int | None


_NEXT_READY: Final = Query(_NextReady, first_ready)
_NEXT_READY_FOR: Final = Query(
    _NextReady,
    lambda dialect: first_ready(dialect).where(
        exists().where(sessions.c.id == bindparam("session", type_=Text))
    ),
)


def next_ready(tx: Tx, taken: TakenShares, session_id: str | None = None) -> int | None:
    """Return when the next lane may be served; None where nothing waits. A full lane wakes by its record.

    With a session: None where that is gone, which claims nothing however much waits.
    """
    if session_id is None:
        (found,) = tx.run(_NEXT_READY, **waking(taken))
    else:
        (found,) = tx.run(_NEXT_READY_FOR, session=session_id, **waking(taken))
    return found.min_1
