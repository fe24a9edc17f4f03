"""Endpoints as the API sees them: making, reading, listing, changing.

Turning them on and off, deleting them and what that does to their deliveries is `endpoint_states`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, Select, func, select

from webhookd.adapters.store.lanes.release import LaneKey, lock_lanes, release_lanes
from webhookd.adapters.store.lanes.rows import pace_from_text
from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.rows import endpoint_from, names_json
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import endpoints, lanes, partners
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import QuotaExceeded
from webhookd.core.pacing import Pace
from webhookd.core.records import Endpoint, Page

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


def create_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    """Write a new endpoint. Raises QuotaExceeded where the partner has MAX_ENDPOINTS already."""
    # The partner's row stands for its endpoints, so that two creations at once are counted one by one.
    tx.execute(select(partners.c.id).where(partners.c.id == endpoint.partner_id).with_for_update()).all()
    count = tx.execute(
        select(func.count())
        .select_from(endpoints)
        .where(endpoints.c.partner_id == endpoint.partner_id, endpoints.c.deleted_ms.is_(None))
    ).scalar_one()
    if count >= MAX_ENDPOINTS:
        raise QuotaExceeded(
            f"A partner can have {MAX_ENDPOINTS:,} endpoints; delete one first.",
            retry_after_seconds=QUOTA_RETRY_SECONDS,
        )
    tx.execute(
        endpoints.insert(),
        {
            "id": endpoint.id,
            "partner_id": endpoint.partner_id,
            "state": endpoint.state,
            "disabled_reason": endpoint.disabled_reason,
            "failing_since_ms": None,
            "created_ms": endpoint.created_ms,
            **_settings(endpoint),
        },
    )


def get_endpoint(tx: Tx, endpoint_id: str, partner_id: str | None) -> PacedEndpoint | None:
    """Return an endpoint; None where it does not exist, is deleted or is another partner's."""
    row = tx.execute(_paced(endpoint_id, partner_id)).one_or_none()
    return None if row is None else _paced_from(row)


def list_endpoints(tx: Tx, partner_id: str | None, page: Page) -> tuple[list[PacedEndpoint], str | None]:
    """Return a page of endpoints, newest first, and the cursor of the next page or None."""
    statement = _owned(_select_paced(), partner_id).order_by(endpoints.c.id.desc())
    if page.cursor is not None:
        statement = statement.where(endpoints.c.id < page.cursor)
    rows, more = read_page(tx, statement, page.limit)
    shown = [_paced_from(row) for row in rows]
    return shown, shown[-1].endpoint.id if more else None


def unknown_endpoints(tx: Tx, partner_id: str, endpoint_ids: Iterable[str]) -> frozenset[str]:
    """Return those of the ids that name no endpoint of this partner; there may be tens of thousands."""
    wanted = frozenset(endpoint_ids)
    known = tx.execute(
        select(endpoints.c.id).where(
            among(tx, endpoints.c.id, wanted),
            endpoints.c.partner_id == partner_id,
            endpoints.c.deleted_ms.is_(None),
        )
    )
    return wanted - {row.id for row in known}


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
    tx.execute(
        endpoints.update()
        .where(endpoints.c.id == endpoint_id)
        .values(**{**_settings(after), "updated_ms": now_ms})
    )
    if any(getattr(before, name) != getattr(after, name) for name in _PACED):
        release_lanes(tx, [lane_of(after)], now_ms=now_ms, forget_rate=before.rate_limit != after.rate_limit)
    return get_endpoint(tx, endpoint_id, partner_id)


def lock_endpoint(tx: Tx, endpoint_id: str, partner_id: str | None) -> Endpoint | None:
    """Lock an endpoint after its lane, which is the order of the whole store. None as for `get_endpoint`."""
    lock_lanes(tx, [endpoint_id])
    statement = select(endpoints).where(endpoints.c.id == endpoint_id, endpoints.c.deleted_ms.is_(None))
    row = tx.execute(_owned(statement, partner_id).with_for_update()).one_or_none()
    return None if row is None else endpoint_from(row)


def lane_of(endpoint: Endpoint) -> LaneKey:
    """Return what the endpoint's lane is made of: it bears the endpoint's id."""
    return LaneKey(
        id=endpoint.id,
        partner_id=endpoint.partner_id,
        endpoint_id=endpoint.id,
        fifo=endpoint.ordering == "fifo",
    )


def _settings(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "events": names_json(endpoint.events) or "[]",
        "task_types": names_json(endpoint.task_types) or "[]",
        "headers_sealed": endpoint.headers_sealed,
        "header_names": names_json(endpoint.header_names),
        "rate_limit": endpoint.rate_limit,
        "max_concurrency": endpoint.max_concurrency,
        "ordering": endpoint.ordering,
        "retry_max_attempts": endpoint.retry_max_attempts,
        "retry_base_seconds": endpoint.retry_base_seconds,
        "retry_factor": endpoint.retry_factor,
        "retry_cap_seconds": endpoint.retry_cap_seconds,
        "signature": names_json(endpoint.signature) or "[]",
        "public_key": endpoint.public_key,
        "updated_ms": endpoint.updated_ms,
    }


def _select_paced() -> Select[Any]:
    return (
        select(endpoints, lanes.c.pace)
        .outerjoin(lanes, lanes.c.id == endpoints.c.id)
        .where(endpoints.c.deleted_ms.is_(None))
    )


def _paced(endpoint_id: str, partner_id: str | None) -> Select[Any]:
    return _owned(_select_paced().where(endpoints.c.id == endpoint_id), partner_id)


def _paced_from(row: Row[Any]) -> PacedEndpoint:
    pace = None if row.pace is None else pace_from_text(row.pace).pace
    return PacedEndpoint(endpoint=endpoint_from(row), pace=pace)


def _owned(statement: Select[Any], partner_id: str | None) -> Select[Any]:
    return statement if partner_id is None else statement.where(endpoints.c.partner_id == partner_id)
