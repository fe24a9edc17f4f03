"""Endpoints as the API sees them: making, reading, listing, changing.

Turning them on and off, deleting them and what that does to their deliveries is `endpoint_states`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Select, bindparam, case, func, select

from webhookd.adapters.store.access.partners import lock_partner
from webhookd.adapters.store.endpoints.endpoint_rows import (
    SETTINGS,
    EndpointRow,
    endpoint_from,
    row_of,
    settings_of,
)
from webhookd.adapters.store.lanes.release import LaneKey, lock_lanes, release_lanes
from webhookd.adapters.store.lanes.rows import pace_from_text
from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import endpoints, lanes
from webhookd.adapters.store.statement import Change, Count, Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import QuotaExceeded
from webhookd.core.model import EndpointState
from webhookd.core.pacing import Pace
from webhookd.core.records import Bounds, Endpoint

MAX_ENDPOINTS: Final = 1_000
QUOTA_RETRY_SECONDS: Final = 60.0  # nothing frees one but a person
"""Of one partner: each event of a task is matched against all of them."""

HEADERS_FIELD: Final = "headers"
"""The vault's `field` of an endpoint's own headers, which are sealed as one JSON object."""

_PACED: Final = ("url", "rate_limit", "max_concurrency", "ordering", "headers_sealed")
"""Settings whose change may mend what the lane is being held back for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacedEndpoint:
    """An endpoint and how its lane is driven; `pace` None: nothing was ever sent to it."""

    endpoint: Endpoint
    pace: Pace | None


_COUNT: Final = Query(
    Count,
    lambda _: (
        select(func.count().label("n"))
        .select_from(endpoints)
        .where(endpoints.c.partner_id == bindparam("partner_id"), endpoints.c.deleted_ms.is_(None))
    ),
)
_CREATE: Final = Change(lambda _: endpoints.insert())


def create_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    """Write a new endpoint. Raises QuotaExceeded where the partner has MAX_ENDPOINTS already."""
    # The partner's row stands for its endpoints, so that two creations at once are counted one by one.
    lock_partner(tx, endpoint.partner_id)
    if tx.one(_COUNT, partner_id=endpoint.partner_id).n >= MAX_ENDPOINTS:
        raise QuotaExceeded(
            f"A partner can have {MAX_ENDPOINTS:,} endpoints; delete one first.",
            retry_after_seconds=QUOTA_RETRY_SECONDS,
        )
    tx.run(_CREATE, **row_of(endpoint)._asdict())


def _owned(given: frozenset[str]) -> Select[Any]:
    there = select(endpoints).where(endpoints.c.deleted_ms.is_(None))
    return narrowed(there, given, partner_id=endpoints.c.partner_id == bindparam("partner_id"))


_MINE: Final = endpoints.c.id == bindparam("endpoint_id")
_ONE: Final = Listing(EndpointRow, lambda _, given: _owned(given).where(_MINE))
_PAGE: Final = Listing(
    EndpointRow,
    lambda _, given: narrowed(
        _owned(given).order_by(endpoints.c.id.desc()).limit(bindparam("most", type_=Integer)),
        given,
        cursor=endpoints.c.id < bindparam("cursor"),
        state=endpoints.c.state == bindparam("state"),
        failing=case((endpoints.c.failing_since_ms.is_(None), 0), else_=1)
        == bindparam("failing", type_=Integer),
    ),
)


def get_endpoint(tx: Tx, endpoint_id: str, partner_id: str | None) -> PacedEndpoint | None:
    """Return an endpoint; None where it does not exist, is deleted or is another partner's."""
    row = tx.first(_ONE, endpoint_id=endpoint_id, partner_id=partner_id)
    return None if row is None else _paced(tx, [row])[0]


def list_endpoints(
    tx: Tx,
    partner_id: str | None,
    page: Bounds,
    state: EndpointState | None = None,
    failing: bool | None = None,
) -> tuple[list[PacedEndpoint], str | None]:
    """Return a page of endpoints, newest first, and the cursor of the next page or None."""
    rows = tx.stream(
        _PAGE,
        partner_id=partner_id,
        cursor=page.cursor,
        most=page.limit + 1,
        state=None if state is None else state.value,
        failing=None if failing is None else int(failing),
    )
    shown, more = take_page(rows, page.limit)
    return _paced(tx, shown), shown[-1].id if more else None


class _LanePace(NamedTuple):
    id: str
    pace: str


_PACES: Final = Query(
    _LanePace, lambda dialect: select(lanes.c.id, lanes.c.pace).where(named(dialect, lanes.c.id, "ids"))
)


def _paced(tx: Tx, rows: Sequence[EndpointRow]) -> list[PacedEndpoint]:
    stored = tx.run(_PACES, ids=[row.id for row in rows])
    paces = {row.id: pace_from_text(row.pace).pace for row in stored}
    return [PacedEndpoint(endpoint=endpoint_from(row), pace=paces.get(row.id)) for row in rows]


_KNOWN: Final = Query(
    Id,
    lambda dialect: select(endpoints.c.id).where(
        named(dialect, endpoints.c.id, "ids"),
        endpoints.c.partner_id == bindparam("partner_id"),
        endpoints.c.deleted_ms.is_(None),
    ),
)


def unknown_endpoints(tx: Tx, partner_id: str, endpoint_ids: Iterable[str]) -> frozenset[str]:
    """Return those of the ids that name no endpoint of this partner; there may be tens of thousands."""
    wanted = frozenset(endpoint_ids)
    return wanted - {row.id for row in tx.run(_KNOWN, ids=wanted, partner_id=partner_id)}


_CHANGE: Final = Change(
    lambda _: endpoints.update().where(_MINE).values({name: bindparam(name) for name in SETTINGS})
)


def change_endpoint(
    tx: Tx,
    endpoint_id: str,
    partner_id: str | None,
    change: Callable[[Endpoint], Endpoint],
    now_ms: int,
) -> PacedEndpoint | None:
    """Change an endpoint's settings; `change` gets it locked and returns it as it shall be. None: unknown.

    Id, partner and state stay whatever `change` says. A setting its lane was held back for lets go of it.
    """
    before = lock_endpoint(tx, endpoint_id, partner_id)
    if before is None:
        return None
    after = change(before)
    tx.run(_CHANGE, endpoint_id=endpoint_id, **{**settings_of(after), "updated_ms": now_ms})
    if any(getattr(before, name) != getattr(after, name) for name in _PACED):
        release_lanes(tx, [lane_of(after)], now_ms=now_ms, forget_rate=before.rate_limit != after.rate_limit)
    return get_endpoint(tx, endpoint_id, partner_id)


_LOCK: Final = Listing(EndpointRow, lambda _, given: _owned(given).where(_MINE).with_for_update())


def lock_endpoint(tx: Tx, endpoint_id: str, partner_id: str | None) -> Endpoint | None:
    """Lock an endpoint after its lane, which is the order of the whole store. None as for `get_endpoint`."""
    lock_lanes(tx, [endpoint_id])
    row = tx.first(_LOCK, endpoint_id=endpoint_id, partner_id=partner_id)
    return None if row is None else endpoint_from(row)


def lane_of(endpoint: Endpoint) -> LaneKey:
    """Return what the endpoint's lane is made of: it bears the endpoint's id."""
    return LaneKey(
        id=endpoint.id,
        partner_id=endpoint.partner_id,
        endpoint_id=endpoint.id,
        fifo=endpoint.ordering == "fifo",
    )
