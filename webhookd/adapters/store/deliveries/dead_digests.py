"""Telling of dead deliveries at most once a minute for each lane, with how many they are.

The first death is told at once and begins a minute; those within it are counted and told together at its end,
by the sweep or by the next that dies. A lane without deaths for a minute has no row.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Integer, bindparam, select

from webhookd.adapters.store.deliveries.delivery_rows import DeliveryRow, delivery_from, select_deliveries
from webhookd.adapters.store.deliveries.publish import announce_to_others
from webhookd.adapters.store.deliveries.subscribers import partners_listening
from webhookd.adapters.store.lanes.release import lock_lanes
from webhookd.adapters.store.rowset import Id, insert_rows, named
from webhookd.adapters.store.schema import dead_digests, deliveries
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import DueDelivery
from webhookd.core.render import dead_delivery_document

EVENT: Final = "delivery.dead"
PAUSE_MS: Final = 60_000
ROWS_A_STEP: Final = 100


class _Digest(NamedTuple):
    lane_id: str
    next_ms: int
    died: int
    delivery_id: str


def _write(dialect: str) -> Any:
    insert = insert_rows(dialect, dead_digests, "digests", _Digest)
    return insert.on_conflict_do_update(
        index_elements=[dead_digests.c.lane_id],
        set_={name: insert.excluded[name] for name in ("next_ms", "died", "delivery_id")},
    )


_OF_LANES: Final = Query(
    _Digest, lambda dialect: select(dead_digests).where(named(dialect, dead_digests.c.lane_id, "lane_ids"))
)
_WRITE: Final = Change(_write)
_DELIVERIES: Final = Query(
    DeliveryRow, lambda dialect: select_deliveries().where(named(dialect, deliveries.c.id, "ids"))
)


def note_dead(tx: Tx, dead: Sequence[DueDelivery], now_ms: int) -> None:
    """Tell of deliveries that have just died, or count them. Their lanes are locked."""
    if not dead:
        return
    listening = partners_listening(tx, {one.target.partner_id for one in dead}, EVENT)
    by_lane: dict[str, list[str]] = {}
    for one in dead:
        if one.target.partner_id in listening:
            by_lane.setdefault(one.target.lane_id, []).append(one.id)
    if not by_lane:
        return
    known = {row.lane_id: row for row in tx.run(_OF_LANES, lane_ids=by_lane)}
    told, noted = [], []
    for lane_id, ids in sorted(by_lane.items()):
        before = known.get(lane_id)
        count = len(ids) + (0 if before is None else before.died)
        if before is not None and now_ms < before.next_ms:
            noted.append(_Digest(lane_id, before.next_ms, count, ids[-1]))
        else:
            told.append(_Digest(lane_id, now_ms + PAUSE_MS, count, ids[-1]))
    tx.run(_WRITE, digests=sorted([*noted, *(row._replace(died=0) for row in told)]))
    _tell(tx, told, now_ms)


_DUE: Final = Query(
    Id,
    lambda _: (
        select(dead_digests.c.lane_id.label("id"))
        .where(dead_digests.c.next_ms <= bindparam("now_ms", type_=BigInteger))
        .order_by(dead_digests.c.next_ms)
        .limit(bindparam("most", type_=Integer))
    ),
)
_FORGET: Final = Change(
    lambda dialect: dead_digests.delete().where(named(dialect, dead_digests.c.lane_id, "lane_ids"))
)


def tell_of_dead(tx: Tx, now_ms: int) -> bool:
    """Tell of what died in minutes that are over. True: there may be more."""
    lane_ids = [row.id for row in tx.run(_DUE, now_ms=now_ms, most=ROWS_A_STEP)]
    if not lane_ids:
        return False
    lock_lanes(tx, lane_ids)
    over = [row for row in tx.run(_OF_LANES, lane_ids=lane_ids) if row.next_ms <= now_ms]
    told = [row for row in over if row.died]
    quiet = [row.lane_id for row in over if not row.died]
    if quiet:
        tx.run(_FORGET, lane_ids=quiet)
    if told:
        begun = [row._replace(next_ms=now_ms + PAUSE_MS, died=0) for row in told]
        tx.run(_WRITE, digests=sorted(begun))
    _tell(tx, told, now_ms)
    return len(lane_ids) == ROWS_A_STEP


def _tell(tx: Tx, digests: Sequence[_Digest], now_ms: int) -> None:
    counts = {row.delivery_id: row.died for row in digests}
    for row in tx.run(_DELIVERIES, ids=counts) if counts else ():
        announce_to_others(
            tx,
            partner_id=row.partner_id,
            event=EVENT,
            data=dead_delivery_document(delivery_from(row), counts[row.id]),
            but_endpoint_id=row.endpoint_id,
            now_ms=now_ms,
        )
