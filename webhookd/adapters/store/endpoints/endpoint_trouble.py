"""Telling a partner's other endpoints that one of them fails, takes deliveries again, or was disabled.

That an endpoint fails is noticed by the sweep, because one that fails for long is hardly tried any more.
"""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, bindparam, select, text

from webhookd.adapters.store.deliveries.publish import announce_to_others
from webhookd.adapters.store.endpoints.endpoint_rows import EndpointRow, endpoint_from
from webhookd.adapters.store.lanes.release import lock_lanes
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import endpoints
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.render import endpoint_document

ROWS_A_STEP: Final = 100

_THESE: Final = Query(
    EndpointRow, lambda dialect: select(endpoints).where(named(dialect, endpoints.c.id, "ids"))
)


def tell_of_endpoints(tx: Tx, event: str, endpoint_ids: Collection[str], now_ms: int) -> None:
    """Tell of each of these endpoints to the partner's others that name the event."""
    if not endpoint_ids:
        return
    for row in tx.run(_THESE, ids=endpoint_ids):
        announce_to_others(
            tx,
            partner_id=row.partner_id,
            event=event,
            data=endpoint_document(endpoint_from(row)),
            but_endpoint_id=row.id,
            now_ms=now_ms,
        )


def _failing() -> tuple[Any, ...]:
    return (
        text(
            "endpoints.failing_since_ms IS NOT NULL AND endpoints.failing_told_ms IS NULL "
            "AND endpoints.state = 'enabled' AND endpoints.deleted_ms IS NULL"
        ),
        endpoints.c.failing_since_ms <= bindparam("before_ms", type_=BigInteger),
    )


_FAILING_LONG: Final = Query(
    Id,
    lambda _: (
        select(endpoints.c.id)
        .where(*_failing())
        .order_by(endpoints.c.failing_since_ms)
        .limit(bindparam("most", type_=Integer))
    ),
)
_MARK: Final = Query(
    Id,
    lambda dialect: (
        endpoints.update()
        .where(named(dialect, endpoints.c.id, "ids"), *_failing())
        .values(failing_told_ms=bindparam("now_ms", type_=BigInteger))
        .returning(endpoints.c.id)
    ),
)


def tell_of_failing(tx: Tx, now_ms: int) -> bool:
    """Tell of endpoints without a success for `failing_after_ms`, once each. True: there may be more."""
    before_ms = now_ms - tx.policy.failing_after_ms
    found = [row.id for row in tx.run(_FAILING_LONG, before_ms=before_ms, most=ROWS_A_STEP)]
    if not found:
        return False
    lock_lanes(tx, found)  # a record of attempts holds its lane while it writes how the endpoint does
    marked = [row.id for row in tx.run(_MARK, ids=found, before_ms=before_ms, now_ms=now_ms)]
    tell_of_endpoints(tx, "endpoint.failing", marked, now_ms)
    return len(found) == ROWS_A_STEP
