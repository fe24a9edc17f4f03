"""How an endpoint does: what its attempts came to in a window of time, and what waits for it now.

Flat in the number of rows: attempts are read as spans, and what waits is counted by index up to MOST.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Text, bindparam, func, select, text

from webhookd.adapters.store.endpoints.endpoint_rows import EndpointRow, endpoint_from
from webhookd.adapters.store.endpoints.endpoint_spans import spans_since
from webhookd.adapters.store.lanes.rows import pace_from_text
from webhookd.adapters.store.schema import deliveries, endpoints, lanes
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.endpoint_stats import Span, Window, drawn, from_json, window_begins
from webhookd.core.pacing import Pace
from webhookd.core.records import Endpoint

MOST: Final = 10_000
"""How far what waits, and what is dead, is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStats:
    """`steps` are the window's, in order. `pace` None: nothing was ever sent to it."""

    endpoint: Endpoint
    pace: Pace | None
    last_success_ms: int | None
    steps: Sequence[Span]
    pending: int
    parked: int
    dead: int


class _Pace(NamedTuple):
    pace: str


class _StateCounts(NamedTuple):
    pending: int
    parked: int
    dead: int


_ENDPOINT: Final = Listing(
    EndpointRow,
    lambda _, given: narrowed(
        select(endpoints).where(endpoints.c.id == bindparam("endpoint_id"), endpoints.c.deleted_ms.is_(None)),
        given,
        partner_id=endpoints.c.partner_id == bindparam("partner_id"),
    ),
)
_PACE: Final = Query(_Pace, lambda _: select(lanes.c.pace).where(lanes.c.id == bindparam("endpoint_id")))


def _waiting(_dialect: str) -> Any:
    endpoint_id: Any = bindparam("endpoint_id", type_=Text)
    most = bindparam("most", type_=Integer)

    def up_to_most(condition: str, owner: Any) -> Any:
        some = select(deliveries.c.id).where(text(condition), owner == endpoint_id).limit(most).subquery()
        return select(func.count()).select_from(some).scalar_subquery()

    dead = "deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL"
    return select(
        up_to_most("deliveries.state = 'pending'", deliveries.c.lane_id).label("pending"),
        up_to_most("deliveries.state = 'parked'", deliveries.c.endpoint_id).label("parked"),
        up_to_most(dead, deliveries.c.endpoint_id).label("dead"),
    )


_WAITING: Final = Query(_StateCounts, _waiting)


def read_stats(tx: Tx, endpoint_id: str, partner_id: str | None, window: Window) -> EndpointStats | None:
    """Return how an endpoint does; None where there is none, or it is another partner's."""
    row = tx.first(_ENDPOINT, endpoint_id=endpoint_id, partner_id=partner_id)
    if row is None:
        return None
    lane = tx.first(_PACE, endpoint_id=endpoint_id)
    stored = None if lane is None else pace_from_text(lane.pace)
    tally = from_json(None if stored is None else stored.tally)
    spans = spans_since(tx, endpoint_id, length_ms=window.span_ms, since_ms=window_begins(window, tx.now_ms))
    spans += [span for span in tally.spans if span.length_ms == window.span_ms]
    (waiting,) = tx.run(_WAITING, endpoint_id=endpoint_id, most=MOST)
    return EndpointStats(
        endpoint=endpoint_from(row),
        pace=None if stored is None else stored.pace,
        last_success_ms=tally.last_success_ms,
        steps=drawn(spans, window, tx.now_ms),
        pending=waiting.pending,
        parked=waiting.parked,
        dead=waiting.dead,
    )
