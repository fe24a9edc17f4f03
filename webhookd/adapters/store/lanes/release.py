"""Lanes that a person set going again: made if missing, holds dropped, looked at at once.

The order of locks is that of the whole store: lanes by id first, then endpoints, then deliveries that are
not under way. Whoever changes a delivery or an endpoint by hand calls `lock_lanes` before anything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Text, bindparam, select, update

from webhookd.adapters.store.lanes.rows import INITIAL_PACE, pace_from_text, pace_to_text
from webhookd.adapters.store.rowset import upsert
from webhookd.adapters.store.schema import lanes
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DELIVER_QUEUE
from webhookd.core.pacing import INITIAL_CAP, ready_ms, released


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneKey:
    """What a lane's row needs to be made."""

    id: str
    partner_id: str
    endpoint_id: str | None
    fifo: bool


def lock_lanes(tx: Tx, lane_ids: Iterable[str]) -> None:
    """Lock these lanes' rows, in the order of their ids; lanes that do not exist are left out."""
    wanted = select(lanes.c.id).where(lanes.c.id.in_(sorted(set(lane_ids))))
    tx.execute(wanted.order_by(lanes.c.id).with_for_update()).all()


def release_lanes(tx: Tx, keys: Sequence[LaneKey], *, now_ms: int, forget_rate: bool = False) -> None:
    """Let these lanes be served now: no hold, an open breaker half open. Makes those that are missing.

    `forget_rate` drops what the rate limiter remembers, for a limit that has changed.
    """
    if not keys:
        return
    tx.wakes.ring(DELIVER_QUEUE)
    missing = upsert(tx.dialect)(lanes).on_conflict_do_nothing()
    tx.execute(missing, [_new_row(key, now_ms) for key in sorted(keys, key=lambda key: key.id)])
    known = select(lanes.c.id, lanes.c.ready_ms, lanes.c.pace).where(lanes.c.id.in_([key.id for key in keys]))
    fifo = {key.id: key.fifo for key in keys}
    changes = []
    for row in tx.execute(known.order_by(lanes.c.id).with_for_update()):
        stored = pace_from_text(row.pace)
        pace = released(stored.pace, now_ms)
        changes.append(
            {
                "lane_id": row.id,
                "ready": now_ms if row.ready_ms is None else min(row.ready_ms, now_ms),
                "hold": ready_ms(pace),
                "text": pace_to_text(
                    replace(stored, pace=pace, tat_ms=0.0 if forget_rate else stored.tat_ms)
                ),
                "is_fifo": fifo[row.id],
            }
        )
    tx.execute(
        update(lanes)
        .where(lanes.c.id == bindparam("lane_id", type_=Text))
        .values(
            ready_ms=bindparam("ready", type_=BigInteger),
            hold_ms=bindparam("hold", type_=BigInteger),
            pace=bindparam("text", type_=Text),
            fifo=bindparam("is_fifo"),
        ),
        changes,
    )


def _new_row(key: LaneKey, now_ms: int) -> dict[str, object]:
    return {
        "id": key.id,
        "partner_id": key.partner_id,
        "endpoint_id": key.endpoint_id,
        "fifo": key.fifo,
        "ready_ms": now_ms,
        "hold_ms": 0,
        "served_ms": 0,
        "in_flight": 0,
        "cap": INITIAL_CAP,
        "slow": False,
        "heard": False,
        "pace": INITIAL_PACE,
    }
