"""The lanes of what has ended: locked with their endpoints first, freed and paced last."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import case, select

from webhookd.adapters.store.endpoints.endpoint_spans import EndpointSpan, counted, keep_spans
from webhookd.adapters.store.lanes.picking import lane_ceiling
from webhookd.adapters.store.lanes.rows import next_due, pace_from_text, pace_to_text
from webhookd.adapters.store.rowset import Id, Int4, rowset
from webhookd.adapters.store.schema import endpoints, lanes
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import AttemptDone
from webhookd.core.pacing import after_many, ready_ms


class LockedLane(NamedTuple):
    """A lane, and how its endpoint stands now; None for those of callbacks."""

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
    open_until_ms: int | None
    endpoint_state: str | None
    endpoint_deleted_ms: int | None
    failing_since_ms: int | None
    failing_told_ms: int | None
    max_concurrency: int | None
    retry_cap_seconds: float | None


LockedLanes: TypeAlias = Mapping[str, LockedLane]


def _lock(dialect: str) -> Any:
    rows = rowset(dialect, "lane_ids", Id)
    return (
        select(
            lanes,
            endpoints.c.state.label("endpoint_state"),
            endpoints.c.deleted_ms.label("endpoint_deleted_ms"),
            endpoints.c.failing_since_ms,
            endpoints.c.failing_told_ms,
            endpoints.c.max_concurrency,
            endpoints.c.retry_cap_seconds,
        )
        .join(rows, rows.c.id == lanes.c.id)
        .outerjoin(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .order_by(lanes.c.id)
        .with_for_update(of=lanes)
    )


_LOCK: Final = Query(LockedLane, _lock)


def lock_with_endpoints(tx: Tx, lane_ids: Iterable[str]) -> LockedLanes:
    """Lock the lanes in the order of their ids and read them with their endpoints."""
    return {row.id: row for row in tx.run(_LOCK, lane_ids=map(Id, sorted(lane_ids)))}


def settle_lanes(tx: Tx, done: Sequence[AttemptDone], locked: LockedLanes) -> dict[str, int]:
    """Write the lanes' pace and tallies; return when each is to be looked at again, where anything waits."""
    by_lane: dict[str, list[AttemptDone]] = {}
    for one in done:
        by_lane.setdefault(one.delivery.target.lane_id, []).append(one)
    settled: list[_Settled] = []
    over: list[EndpointSpan] = []
    for lane_id, group in sorted(by_lane.items()):
        if lane_id in locked:
            paced, ended = _paced(tx, locked[lane_id], group)
            settled.append(paced)
            over += ended
    keep_spans(tx, over)
    return {
        row.id: max(row.ready_ms, row.hold_ms) for row in _settle(tx, settled) if row.ready_ms is not None
    }


def release_places(tx: Tx, counts: Mapping[str, int], locked: LockedLanes) -> None:
    """Free the places of what was given back; the lanes' pace stays."""
    _settle(
        tx,
        [
            _Settled(
                id=lane_id,
                ended=count,
                hold_ms=locked[lane_id].hold_ms,
                cap=locked[lane_id].cap,
                slow=locked[lane_id].slow,
                heard=locked[lane_id].heard,
                pace=locked[lane_id].pace,
                open_until_ms=locked[lane_id].open_until_ms,
            )
            for lane_id, count in sorted(counts.items())
        ],
    )


class _Settled(NamedTuple):
    id: str
    ended: Int4
    hold_ms: int
    cap: Int4
    slow: bool
    heard: bool
    pace: str
    open_until_ms: int | None


def _paced(tx: Tx, lane: LockedLane, group: Sequence[AttemptDone]) -> tuple[_Settled, Sequence[EndpointSpan]]:
    """Return what to write of a lane, and the spans of its tally that are over."""
    stored = pace_from_text(lane.pace)
    ceiling = lane_ceiling(
        fifo=lane.fifo, max_concurrency=lane.max_concurrency, default=tx.policy.lane_concurrency
    )
    pace = after_many(
        stored.pace,
        [one.outcome for one in group],
        now_ms=group[-1].now_ms,
        ceiling=ceiling,
        policy_cap_seconds=lane.retry_cap_seconds or tx.policy.retry_cap_seconds,
    )
    tally = stored.tally
    over: Sequence[EndpointSpan] = ()
    if lane.endpoint_id is not None:
        tally, over = counted(lane.endpoint_id, stored.tally, group)
    paced = _Settled(
        id=lane.id,
        ended=len(group),
        hold_ms=max(ready_ms(pace), 0 if stored.tat_ms == 0 else int(stored.tat_ms)),
        cap=min(pace.cap, ceiling),
        slow=pace.slow,
        heard=lane.heard or pace.samples > 0,
        pace=pace_to_text(replace(stored, pace=pace, tally=tally)),
        open_until_ms=pace.open_until_ms,
    )
    return paced, over


class _Looked(NamedTuple):
    id: str
    ready_ms: int | None
    hold_ms: int


def _free(dialect: str) -> Any:
    r = rowset(dialect, "settled", _Settled).c
    left = lanes.c.in_flight - r.ended
    return (
        lanes.update()
        .where(lanes.c.id == r.id)
        .values(
            in_flight=case((left < 0, 0), else_=left),
            hold_ms=r.hold_ms,
            cap=r.cap,
            slow=r.slow,
            heard=r.heard,
            pace=r.pace,
            open_until_ms=r.open_until_ms,
            ready_ms=case((lanes.c.fifo, next_due(fifo=True)), else_=next_due(fifo=False)),
        )
        .returning(lanes.c.id, lanes.c.ready_ms, lanes.c.hold_ms)
    )


_FREE: Final = Query(_Looked, _free)


def _settle(tx: Tx, settled: Sequence[_Settled]) -> list[_Looked]:
    return tx.run_with_later(_FREE, settled=settled) if settled else []
