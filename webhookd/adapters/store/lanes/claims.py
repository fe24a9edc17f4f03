"""A turn over the lanes: which deliveries this process may send now.

Ready lanes are locked with SKIP LOCKED, so any number of deliver processes take turns without a leader.
All lanes' due deliveries are found and taken in one statement each; no transaction is open while
anything is sent. Attempt + 1 is committed here, before the first byte goes out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from sqlalchemy import case

from webhookd.adapters.store.lanes.door import LaneDoor, Shares
from webhookd.adapters.store.lanes.picking import (
    PickedLane,
    lane_ceiling,
    lane_room,
    lanes_a_turn,
    pick_lanes,
)
from webhookd.adapters.store.lanes.rows import (
    LanePace,
    next_due,
    next_ready,
    pace_from_text,
    pace_to_text,
)
from webhookd.adapters.store.lanes.taking import WaitingRow, due_delivery, due_in_lanes, take
from webhookd.adapters.store.lanes.targets import targets_and_next
from webhookd.adapters.store.rowset import Int4, rowset
from webhookd.adapters.store.schema import lanes
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.sessions import live_processes
from webhookd.core.dispatch import ClaimDeliveries, Turn
from webhookd.core.fairness import Contender, Dealt, deal
from webhookd.core.hosts import HostGate
from webhookd.core.pacing import rate_hold, ready_ms

COUNT_PROCESSES_MS = 5_000


class LaneClaims:
    """The grouped write that claims deliveries: pass `claim` to `Database.grouped`.

    It remembers how many deliver processes there are, which together keep to the policy's `host_rate`.
    """

    def __init__(self) -> None:
        self._processes = 1
        self._counted_ms = 0

    def claim(self, tx: Tx, requests: Sequence[ClaimDeliveries]) -> list[Turn | Exception]:
        """Serve the requests one after the other."""
        return [self._claim(tx, request) for request in requests]

    def _claim(self, tx: Tx, request: ClaimDeliveries) -> Turn:
        nothing = Turn(
            clock=request.clock, partner_vtimes=request.partner_vtimes, host_states=request.hosts.states
        )
        shares = Shares(request)
        picked = pick_lanes(tx, request, shares.taken)
        if not picked:
            return replace(nothing, again_ms=next_ready(tx, shares.taken, request.session_id))
        paces = {row.id: pace_from_text(row.pace) for row in picked}
        default = tx.policy.lane_concurrency
        ceilings = {
            row.id: lane_ceiling(fifo=row.fifo, max_concurrency=row.max_concurrency, default=default)
            for row in picked
        }
        room = {row.id: lane_room(row, paces[row.id], ceilings[row.id], request) for row in picked}
        waiting = due_in_lanes(tx, request, picked, room)
        gate = HostGate(
            request.hosts,
            rate_per_second=self._own_rate(tx, request.now_ms),
            now_ms=request.now_ms,
            longest_window_seconds=tx.policy.retry_cap_seconds,
        )
        door = LaneDoor(request, picked, paces, shares, gate)
        dealt = _deal(picked, waiting, request, door.admits)
        counts = Counter(row.lane_id for row in dealt.items)
        taken = take(tx, request, [row.id for row in dealt.items]) if dealt.items else []
        _move_lanes(
            tx,
            request.now_ms,
            picked,
            paces=paces,
            ceilings=ceilings,
            counts=counts,
            holds={lane_id: door.hold_ms(lane_id) for lane_id in sorted(door.refused)},
        )
        more = len(dealt.items) >= request.free or len(picked) >= lanes_a_turn(request)
        served = [row for row in picked if row.id in counts]
        targets, next_ms = targets_and_next(tx, request.now_ms, served, None if more else shares.taken)
        vtimes = {**request.partner_vtimes, **dealt.vtimes}
        return Turn(
            deliveries=tuple(due_delivery(row, targets[row.lane_id]) for row in taken),
            again_ms=request.now_ms if more else next_ms,
            clock=dealt.clock,
            partner_vtimes={p: v for p, v in vtimes.items() if v > dealt.clock},
            host_states=gate.states,
        )

    def _own_rate(self, tx: Tx, now_ms: int) -> float:
        """Return this process's part of what one host may get: the deliver processes share it evenly."""
        if now_ms - self._counted_ms >= COUNT_PROCESSES_MS or now_ms < self._counted_ms:
            self._processes = max(1, live_processes(tx, "deliver", now_ms))
            self._counted_ms = now_ms
        return tx.policy.host_rate / self._processes


def _deal(
    picked: Sequence[PickedLane],
    waiting: dict[str, list[WaitingRow]],
    request: ClaimDeliveries,
    admit: Callable[[WaitingRow], bool],
) -> Dealt[WaitingRow]:
    """Deal the free sockets out: partners by virtual time, each partner's lanes one delivery at a time."""
    by_partner: dict[str, list[PickedLane]] = {}
    for row in picked:
        by_partner.setdefault(row.partner_id, []).append(row)
    contenders = (
        Contender(
            id=partner_id,
            vtime=request.partner_vtimes.get(partner_id, 0.0),
            weight=rows[0].weight or 1,
            waiting=[
                item
                for rank in zip_longest(*(waiting[row.id] for row in rows))
                for item in rank
                if item is not None
            ],
        )
        for partner_id, rows in by_partner.items()
    )
    return deal(contenders, slots=request.free, clock=request.clock, admit=admit)


class _ServedLane(NamedTuple):
    id: str
    started: Int4
    served_ms: int
    hold_ms: int
    cap: Int4
    pace: str


def _move(dialect: str) -> Any:
    moved = rowset(dialect, "moved", _ServedLane).c
    return (
        lanes.update()
        .where(lanes.c.id == moved.id)
        .values(
            in_flight=lanes.c.in_flight + moved.started,
            served_ms=moved.served_ms,
            hold_ms=moved.hold_ms,
            cap=moved.cap,
            pace=moved.pace,
            ready_ms=case((lanes.c.fifo, next_due(fifo=True)), else_=next_due(fifo=False)),
        )
    )


_MOVE: Final = Change(_move)


def _move_lanes(
    tx: Tx,
    now_ms: int,
    picked: Sequence[PickedLane],
    *,
    paces: dict[str, LanePace],
    ceilings: dict[str, int],
    counts: Counter[str],
    holds: dict[str, int],
) -> None:
    """Write what is in flight, what holds each visited lane, and when it is to be looked at again.

    A lane that its host holds back counts as served: the lanes of other hosts are looked at before it.
    """
    moved = []
    for row in sorted(picked, key=lambda row: row.id):
        lane = paces[row.id]
        grant = rate_hold(
            lane.tat_ms, rate_limit_per_second=row.rate_limit, wanted=counts[row.id], now_ms=now_ms
        )
        moved.append(
            _ServedLane(
                id=row.id,
                started=counts[row.id],
                served_ms=now_ms if counts[row.id] or row.id in holds else row.served_ms,
                hold_ms=max(
                    ready_ms(lane.pace),
                    grant.ready_ms if row.rate_limit is not None else 0,
                    holds.get(row.id, 0),
                ),
                cap=min(lane.pace.cap, ceilings[row.id]),
                pace=pace_to_text(replace(lane, tat_ms=grant.tat_ms)),
            )
        )
    tx.run(_MOVE, moved=moved)
