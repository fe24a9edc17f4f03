"""Writing what came of attempts: delivery, attempt log, the lane's pace and the endpoint's health together.

Outcomes are written in batches as they come, not when the slowest of a turn ends. A delivery that was
taken away meanwhile (its process was silent for longer than its lease) is left as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Row, select, text

from webhookd.adapters.store.lanes import record_statements as statements
from webhookd.adapters.store.lanes.changes import Change, change_of, standing
from webhookd.adapters.store.lanes.picking import lane_ceiling
from webhookd.adapters.store.lanes.rows import pace_from_text, pace_to_text
from webhookd.adapters.store.publish import announce_to_others, partners_listening
from webhookd.adapters.store.rows import delivery_from, endpoint_from, select_deliveries
from webhookd.adapters.store.rowset import among, pack
from webhookd.adapters.store.schema import deliveries, endpoints
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import Delivered, GiveUp, NotCounted
from webhookd.core.dispatch import AttemptDone, AttemptRecorded, Handed
from webhookd.core.model import DELIVERIES, OPERATIONAL_EVENTS, DeliveryMove, DeliveryState
from webhookd.core.pacing import Kind, after_many, ready_ms
from webhookd.core.render import delivery_document, endpoint_document


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDefaults:
    """What lanes fall back to: the longest pause bounds the breaker's hold; auto-disable after this long."""

    concurrency: int
    host_rate: float
    retry_cap_seconds: float
    disable_after_ms: int


class LaneRecords:
    """The grouped writes after sending: pass `record` or `hand_back` to `Database.grouped`."""

    def __init__(self, *, defaults: LaneDefaults) -> None:
        self._defaults = defaults

    def record(self, tx: Tx, done: Sequence[AttemptDone]) -> list[AttemptRecorded | Exception]:
        """Write the attempts' outcomes, in the order they came."""
        lane_rows = _lock_lanes(tx, {d.delivery.target.lane_id for d in done})
        disabled = self._endpoints_to_disable(done, lane_rows)
        if disabled:
            # Rare, and grave: only what still holds its delivery may say so.
            disabled = self._endpoints_to_disable(_still_holding(tx, done), lane_rows)
        changes = [change_of(d, lane_rows.get(d.delivery.target.lane_id), disabled) for d in done]
        kept = _write_deliveries(tx, [change.row for change in changes])
        held = [
            (d, change)
            for d, change in zip(done, changes, strict=True)
            if (d.delivery.id, d.delivery.token) in kept
        ]
        _write_attempts(tx, [d for d, _ in held])
        self._write_health(tx, [d for d, _ in held], lane_rows, disabled)
        wake_ms = self._write_lanes(tx, [d for d, _ in held], lane_rows)
        if held:
            self._tell(tx, held, disabled)
        return [
            AttemptRecorded(
                lost=(d.delivery.id, d.delivery.token) not in kept,
                wake_ms=wake_ms.get(d.delivery.target.lane_id),
            )
            for d in done
        ]

    def hand_back(self, tx: Tx, handed: Sequence[Handed]) -> list[bool | Exception]:
        """Give back deliveries that were claimed and not sent; their attempts are not used up."""
        lane_rows = _lock_lanes(tx, {h.delivery.target.lane_id for h in handed})
        rows = []
        for h in handed:
            state, reason = standing(lane_rows.get(h.delivery.target.lane_id), {})
            due_ms = h.now_ms if state is DeliveryState.PENDING else None
            ended_ms = h.now_ms if state is DeliveryState.DEAD else None
            fence = (h.delivery.id, h.session_id, h.delivery.token)
            rows.append((*fence, state.value, due_ms, 1, None, None, reason, ended_ms))
        kept = _write_deliveries(tx, rows)
        counts: dict[str, int] = {}
        for h in handed:
            if (h.delivery.id, h.delivery.token) in kept:
                counts[h.delivery.target.lane_id] = counts.get(h.delivery.target.lane_id, 0) + 1
        _release(tx, [(lane_rows[lane_id], count) for lane_id, count in sorted(counts.items())])
        return [(h.delivery.id, h.delivery.token) in kept for h in handed]

    def _endpoints_to_disable(
        self, done: Sequence[AttemptDone], lane_rows: dict[str, Row[Any]]
    ) -> dict[str, str]:
        """Return the lanes whose endpoints are to be disabled now, with the reason."""
        reasons: dict[str, str] = {}
        for d in done:
            lane = lane_rows.get(d.delivery.target.lane_id)
            if lane is None or lane.endpoint_id is None or lane.endpoint_state != "enabled":
                continue
            if isinstance(d.verdict, GiveUp) and d.verdict.disable_endpoint:
                reasons[lane.id] = "gone"
            elif isinstance(d.verdict, Delivered) and reasons.get(lane.id) == "failing":
                del reasons[lane.id]
            elif (
                d.outcome.kind is not Kind.NEUTRAL
                and lane.failing_since_ms is not None
                and d.now_ms - lane.failing_since_ms >= self._defaults.disable_after_ms
            ):
                reasons.setdefault(lane.id, "failing")
        return reasons

    def _write_health(
        self,
        tx: Tx,
        done: Sequence[AttemptDone],
        lane_rows: dict[str, Row[Any]],
        disabled: dict[str, str],
    ) -> None:
        """Write since when endpoints fail, and disable those that are to be."""
        since: dict[str, int | None] = {}
        for d in done:
            lane = lane_rows.get(d.delivery.target.lane_id)
            if lane is None or lane.endpoint_id is None:
                continue
            current = since.get(lane.endpoint_id, lane.failing_since_ms)
            if d.outcome.kind is Kind.SUCCESS:
                since[lane.endpoint_id] = None
            elif d.outcome.kind is not Kind.NEUTRAL:
                since[lane.endpoint_id] = current if current is not None else d.now_ms
        known = {lane.endpoint_id: lane.failing_since_ms for lane in lane_rows.values()}
        for endpoint_id, failing_since_ms in sorted(since.items()):
            if known[endpoint_id] != failing_since_ms:
                tx.execute(
                    endpoints.update()
                    .where(endpoints.c.id == endpoint_id)
                    .values(failing_since_ms=failing_since_ms)
                )
        now_ms = max((d.now_ms for d in done), default=0)
        for lane_id, reason in sorted(disabled.items()):
            disable_endpoint(tx, lane_rows[lane_id].endpoint_id, reason=reason, now_ms=now_ms)

    def _write_lanes(
        self, tx: Tx, done: Sequence[AttemptDone], lane_rows: dict[str, Row[Any]]
    ) -> dict[str, int]:
        """Write the lanes' pace; return when each is to be looked at again, where anything waits in it."""
        by_lane: dict[str, list[AttemptDone]] = {}
        for d in done:
            by_lane.setdefault(d.delivery.target.lane_id, []).append(d)
        rows = []
        for lane_id, group in sorted(by_lane.items()):
            lane = lane_rows.get(lane_id)
            if lane is None:
                continue
            stored = pace_from_text(lane.pace)
            ceiling = lane_ceiling(
                fifo=lane.fifo, max_concurrency=lane.max_concurrency, default=self._defaults.concurrency
            )
            pace = after_many(
                stored.pace,
                [d.outcome for d in group],
                now_ms=group[-1].now_ms,
                ceiling=ceiling,
                policy_cap_seconds=lane.retry_cap_seconds or self._defaults.retry_cap_seconds,
            )
            rows.append(
                (
                    lane_id,
                    len(group),
                    max(ready_ms(pace), 0 if stored.tat_ms == 0 else int(stored.tat_ms)),
                    min(pace.cap, ceiling),
                    pace.slow,
                    bool(lane.heard) or pace.samples > 0,
                    pace_to_text(replace(stored, pace=pace)),
                )
            )
        if not rows:
            return {}
        settled = tx.execute(statements.settle_lanes(tx.dialect), {"settled": pack(rows)})
        return {row.id: max(row.ready_ms, row.hold_ms) for row in settled if row.ready_ms is not None}

    def _tell(
        self,
        tx: Tx,
        held: Sequence[tuple[AttemptDone, Change]],
        disabled: dict[str, str],
    ) -> None:
        """Tell the partner's other endpoints about dead deliveries and disabled endpoints."""
        dead = [
            d.delivery.id
            for d, change in held
            if change.state is DeliveryState.DEAD
            and not d.delivery.once
            and d.delivery.event not in OPERATIONAL_EVENTS
        ]
        if dead:
            listening = partners_listening(
                tx, {d.delivery.target.partner_id for d, _ in held}, "delivery.dead"
            )
            for row in tx.execute(select_deliveries().where(among(tx, deliveries.c.id, dead))):
                if row.partner_id in listening:
                    announce_to_others(
                        tx,
                        partner_id=row.partner_id,
                        event="delivery.dead",
                        data=delivery_document(delivery_from(row)),
                        but_endpoint_id=row.endpoint_id,
                        now_ms=held[-1][0].now_ms,
                    )
        if not disabled:
            return
        for row in tx.execute(select(endpoints).where(endpoints.c.id.in_(sorted(disabled)))):
            announce_to_others(
                tx,
                partner_id=row.partner_id,
                event="endpoint.disabled",
                data=endpoint_document(endpoint_from(row)),
                but_endpoint_id=row.id,
                now_ms=held[-1][0].now_ms,
            )


def disable_endpoint(tx: Tx, endpoint_id: str, *, reason: str, now_ms: int) -> None:
    """Disable an endpoint and park what is waiting for it; what is under way is settled by its record."""
    tx.execute(
        endpoints.update()
        .where(endpoints.c.id == endpoint_id)
        .values(state="disabled", disabled_reason=reason, updated_ms=now_ms)
    )
    tx.execute(
        deliveries.update()
        .where(
            deliveries.c.lane_id == endpoint_id,
            text("deliveries.state = 'pending' AND deliveries.session_id IS NULL"),
        )
        .values(state=DELIVERIES.next(DeliveryState.PENDING, DeliveryMove.PARK).value, due_ms=None)
    )


def _lock_lanes(tx: Tx, lane_ids: set[str]) -> dict[str, Row[Any]]:
    """Lock the lanes in the order of their ids and read them with their endpoints."""
    wanted = {"lane_ids": pack((i,) for i in sorted(lane_ids))}
    rows = tx.execute(statements.lock_lanes(tx.dialect), wanted)
    return {row.id: row for row in rows}


def _still_holding(tx: Tx, done: Sequence[AttemptDone]) -> list[AttemptDone]:
    """Return those whose delivery nobody has taken away. The lanes are locked, so it stays so."""
    ids = [d.delivery.id for d in done]
    rows = tx.execute(
        select(deliveries.c.id, deliveries.c.session_id, deliveries.c.token).where(deliveries.c.id.in_(ids))
    )
    held = {(row.id, row.session_id, row.token) for row in rows}
    return [d for d in done if (d.delivery.id, d.session_id, d.delivery.token) in held]


def _write_deliveries(tx: Tx, rows: Sequence[tuple[object, ...]]) -> set[tuple[str, int]]:
    written = tx.execute(statements.write_outcomes(tx.dialect), {"outcomes": pack(rows)})
    return {(row.id, row.token) for row in written}


def _write_attempts(tx: Tx, done: Sequence[AttemptDone]) -> None:
    # What did not count keeps its number for the next try, which is the one the partner sees.
    counted = [d.attempt for d in done if not isinstance(d.verdict, NotCounted)]
    if counted:
        tx.execute(
            statements.insert_attempts(tx.dialect),
            {
                "attempts_in": pack(
                    (
                        a.delivery_id,
                        a.number,
                        a.at_ms,
                        a.duration_us,
                        a.dns_us,
                        a.connect_us,
                        a.tls_us,
                        a.first_byte_us,
                        a.status,
                        a.error,
                        orjson.dumps(a.headers).decode(),
                        a.excerpt,
                        a.resent,
                    )
                    for a in counted
                )
            },
        )


def _release(tx: Tx, counts: Sequence[tuple[Row[Any], int]]) -> None:
    rows = [
        (row.id, count, row.hold_ms, row.cap, bool(row.slow), bool(row.heard), row.pace)
        for row, count in counts
    ]
    if rows:
        tx.execute(statements.settle_lanes(tx.dialect), {"settled": pack(rows)})
