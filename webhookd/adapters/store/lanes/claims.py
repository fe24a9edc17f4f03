"""A turn over the lanes: which deliveries this process may send now.

Ready lanes are locked with SKIP LOCKED, so any number of deliver processes take turns without a leader.
All lanes' due deliveries are found and taken in one statement each; no transaction is open while
anything is sent. Attempt + 1 is committed here, before the first byte goes out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from sqlalchemy import (
    Row,
)

from webhookd.adapters.store.lanes import claim_statements as statements
from webhookd.adapters.store.lanes.door import LaneDoor, Shares
from webhookd.adapters.store.lanes.rows import (
    LanePace,
    Taken,
    next_ready,
    pace_from_text,
    pace_to_text,
)
from webhookd.adapters.store.lanes.targets import read_targets
from webhookd.adapters.store.rowset import POSTGRESQL, pack
from webhookd.adapters.store.sessions import hold_session, live_processes
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import ClaimDeliveries, DueDelivery, LaneTarget, Turn
from webhookd.core.fairness import Contender, Dealt, deal
from webhookd.core.hosts import HostGate
from webhookd.core.pacing import allowance, rate_hold, ready_ms

DELIVERIES_A_LANE = 4
"""Few lanes with several deliveries each cost less than many with one: a lane is read and written once."""
COUNT_PROCESSES_MS = 5_000
UNDER_WAY_MOST_MS = 300_000
"""When what is under way is no longer believed to be: its claim's answer, or its record, was lost."""


class LaneClaims:
    """The grouped write that claims deliveries: pass `claim` to `Database.grouped`.

    `default_concurrency` bounds lanes that have no `max_concurrency` of their own, `host_rate` what all
    deliver processes together send to one host in a second, `retry_cap_seconds` a braked host's windows.
    """

    def __init__(self, *, default_concurrency: int, host_rate: float, retry_cap_seconds: float) -> None:
        self._default_concurrency = default_concurrency
        self._host_rate = host_rate
        self._retry_cap_seconds = retry_cap_seconds
        self._processes = 1
        self._counted_ms = 0

    def claim(self, tx: Tx, requests: Sequence[ClaimDeliveries]) -> list[Turn | Exception]:
        """Serve the requests one after the other."""
        return [self._claim(tx, request) for request in requests]

    def _claim(self, tx: Tx, request: ClaimDeliveries) -> Turn:
        nothing = Turn(
            clock=request.clock, partner_vtimes=request.partner_vtimes, host_states=request.hosts.states
        )
        if not hold_session(tx, request.session_id):
            return nothing
        shares = Shares(request)
        picked = _pick_lanes(tx, request, shares.taken)
        if not picked:
            return replace(nothing, again_ms=next_ready(tx, shares.taken))
        paces = {row.id: pace_from_text(row.pace) for row in picked}
        ceilings = {row.id: lane_ceiling(row, self._default_concurrency) for row in picked}
        room = {row.id: _room(row, paces[row.id], ceilings[row.id], request) for row in picked}
        waiting = _waiting(tx, request, picked, room)
        gate = HostGate(
            request.hosts,
            rate_per_second=self._own_rate(tx, request.now_ms),
            now_ms=request.now_ms,
            longest_window_seconds=self._retry_cap_seconds,
        )
        door = LaneDoor(request, picked, paces, shares, gate)
        dealt = _deal(picked, waiting, request, door.admits)
        counts = Counter(row.lane_id for row in dealt.items)
        taken = _take(tx, request, [row.id for row in dealt.items]) if dealt.items else []
        _move_lanes(
            tx,
            request.now_ms,
            picked,
            paces=paces,
            ceilings=ceilings,
            counts=counts,
            holds={lane_id: door.hold_ms(lane_id) for lane_id in sorted(door.refused)},
        )
        targets = read_targets(tx, request.now_ms, [row for row in picked if row.id in counts])
        vtimes = {**request.partner_vtimes, **dealt.vtimes}
        more = len(dealt.items) >= request.free or len(picked) >= _lanes_a_turn(request)
        return Turn(
            deliveries=tuple(due_delivery(row, targets[row.lane_id]) for row in taken),
            again_ms=request.now_ms if more else next_ready(tx, shares.taken),
            clock=dealt.clock,
            partner_vtimes={p: v for p, v in vtimes.items() if v > dealt.clock},
            host_states=gate.states,
        )

    def _own_rate(self, tx: Tx, now_ms: int) -> float:
        """Return this process's part of what one host may get: the deliver processes share it evenly."""
        if now_ms - self._counted_ms >= COUNT_PROCESSES_MS or now_ms < self._counted_ms:
            self._processes = max(1, live_processes(tx, "deliver", now_ms))
            self._counted_ms = now_ms
        return self._host_rate / self._processes


def _lanes_a_turn(request: ClaimDeliveries) -> int:
    return max(16, request.free // DELIVERIES_A_LANE)


def _pick_lanes(tx: Tx, request: ClaimDeliveries, taken: Taken) -> list[Row[Any]]:
    """Lock the lanes of this turn: slow ones as many as there is room for, so they crowd nobody out."""
    pick, now_ms = statements.pick_lanes(tx.dialect), request.now_ms
    quick = {
        "now": now_ms,
        "slow": False,
        "unheard_too": not taken.unheard,
        "full": pack((partner,) for partner in taken.full),
        "full_unheard": pack((partner,) for partner in taken.full_unheard),
        "most": _lanes_a_turn(request),
    }
    picked = list(tx.execute(pick, quick))
    if not taken.slow:
        full = pack((partner,) for partner in taken.full | taken.full_slow)
        slow = quick | {"slow": True, "unheard_too": True, "full": full, "most": request.slow_free}
        picked += tx.execute(pick, slow | {"full_unheard": pack(())})
    return picked


def _move_lanes(
    tx: Tx,
    now_ms: int,
    picked: Sequence[Row[Any]],
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
            (
                row.id,
                counts[row.id],
                now_ms if counts[row.id] or row.id in holds else row.served_ms,
                max(
                    ready_ms(lane.pace),
                    grant.ready_ms if row.rate_limit is not None else 0,
                    holds.get(row.id, 0),
                ),
                min(lane.pace.cap, ceilings[row.id]),
                pace_to_text(LanePace(pace=lane.pace, tat_ms=grant.tat_ms)),
            )
        )
    tx.execute(statements.move_lanes(tx.dialect), {"moved": pack(moved)})


def lane_ceiling(row: Row[Any], default: int) -> int:
    """Return how many attempts a lane (joined to its endpoint) may ever have under way."""
    return 1 if row.fifo else row.max_concurrency or default


def _room(row: Row[Any], lane: LanePace, ceiling: int, request: ClaimDeliveries) -> int:
    """Return how many deliveries of this lane may start now."""
    room = allowance(lane.pace, in_flight=row.in_flight, ceiling=ceiling, now_ms=request.now_ms)
    grant = rate_hold(lane.tat_ms, rate_limit_per_second=row.rate_limit, wanted=room, now_ms=request.now_ms)
    return min(room, grant.allowed, request.free)


def _waiting(
    tx: Tx, request: ClaimDeliveries, picked: Sequence[Row[Any]], room: dict[str, int]
) -> dict[str, list[Row[Any]]]:
    """Return the due deliveries of each lane, in its own order, as many as it may start."""
    dialect = tx.dialect
    even_share = -(-2 * request.free // len(picked)) + 1
    open_lanes = [row for row in picked if room[row.id] > 0]
    wanted = [(row.id,) for row in open_lanes if not row.fifo]
    heads = [(row.id,) for row in open_lanes if row.fifo]
    found: dict[str, list[Row[Any]]] = {row.id: [] for row in picked}
    if wanted:
        most = min(even_share, max(room.values()))
        first = {"wanted": pack(wanted), "now": request.now_ms, "most": most}
        for row in tx.execute(statements.first_due(dialect), first):
            if len(found[row.lane_id]) < room[row.lane_id]:
                found[row.lane_id].append(row)
    if heads:
        head = {"wanted": pack(heads), "now": request.now_ms}
        for row in tx.execute(statements.fifo_heads(dialect), head):
            found[row.lane_id].append(row)
    return found


def _deal(
    picked: Sequence[Row[Any]],
    waiting: dict[str, list[Row[Any]]],
    request: ClaimDeliveries,
    admit: Callable[[Row[Any]], bool],
) -> Dealt[Row[Any]]:
    """Deal the free sockets out: partners by virtual time, each partner's lanes one delivery at a time."""
    by_partner: dict[str, list[Row[Any]]] = {}
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


def _take(tx: Tx, request: ClaimDeliveries, chosen: list[str]) -> list[Row[Any]]:
    dialect = tx.dialect
    taken = tx.execute(
        statements.take(dialect),
        {
            "ids": pack((delivery_id,) for delivery_id in chosen),
            "session": request.session_id,
            "due": request.now_ms + UNDER_WAY_MOST_MS,
        },
    ).all()
    return list(taken) if dialect == POSTGRESQL else with_messages(tx, [row.id for row in taken])


def with_messages(tx: Tx, delivery_ids: Sequence[str]) -> list[Row[Any]]:
    """Return the rows of deliveries, with what is sent."""
    ids = pack((delivery_id,) for delivery_id in delivery_ids)
    return list(tx.execute(statements.with_messages(tx.dialect), {"ids": ids}))


def due_delivery(row: Row[Any], target: LaneTarget) -> DueDelivery:
    """Return a claimed delivery, from its row as the claim left it."""
    return DueDelivery(
        id=row.id,
        message_id=row.message_id,
        url=row.url,
        event=row.event,
        body=row.body,
        attempt=row.attempts,
        attempts_in_budget=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        once=bool(row.once),
        token=row.token,
        task_id=row.task_id,
        created_ms=row.created_ms,
        trace_id=row.trace_id,
        trace_parent_id=row.trace_parent_id,
        trace_flags=row.trace_flags,
        trace_state=row.trace_state,
        target=target,
    )
