"""Writing what came of attempts: delivery, attempt log, the lane's pace and the endpoint's health together.

Outcomes are written in batches as they come, not when the slowest of a turn ends. A delivery that was
taken away meanwhile (its process was silent for longer than its lease) is left as it is.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from webhookd.adapters.store.deliveries.dead_digests import note_dead
from webhookd.adapters.store.endpoints.endpoint_trouble import tell_of_endpoints
from webhookd.adapters.store.lanes.changes import Changed, Written, change_of, given_back, write_outcomes
from webhookd.adapters.store.lanes.health import to_disable, write_health
from webhookd.adapters.store.lanes.settling import lock_with_endpoints, release_places, settle_lanes
from webhookd.adapters.store.rowset import insert_rows
from webhookd.adapters.store.schema import attempts
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import NotCounted
from webhookd.core.dispatch import AttemptDone, AttemptRecorded, DueDelivery, Handed
from webhookd.core.model import OPERATIONAL_EVENTS, DeliveryState


def record_attempts(tx: Tx, done: Sequence[AttemptDone]) -> list[AttemptRecorded | Exception]:
    """Write the attempts' outcomes, in the order they came: an operation for `Database.grouped`."""
    locked = lock_with_endpoints(tx, {one.delivery.target.lane_id for one in done})
    disabled = to_disable(tx, done, locked)
    changes = [change_of(one, locked.get(one.delivery.target.lane_id), disabled) for one in done]
    kept = write_outcomes(tx, [change.row for change in changes])
    held = [(one, change) for one, change in zip(done, changes, strict=True) if _fence(one) in kept]
    told = [one for one, _ in held]
    recovered = write_health(tx, told, locked, disabled)
    _log_attempts(tx, told)
    wake_ms = settle_lanes(tx, told, locked)
    if held:
        now_ms = told[-1].now_ms
        note_dead(tx, _dead_of(held), now_ms)
        tell_of_endpoints(tx, "endpoint.disabled", disabled, now_ms)
        tell_of_endpoints(tx, "endpoint.recovered", recovered, now_ms)
    return [
        AttemptRecorded(lost=_fence(one) not in kept, wake_ms=wake_ms.get(one.delivery.target.lane_id))
        for one in done
    ]


def hand_back(tx: Tx, handed: Sequence[Handed]) -> list[bool | Exception]:
    """Give back deliveries that were claimed and not sent; their attempts are not used up."""
    locked = lock_with_endpoints(tx, {one.delivery.target.lane_id for one in handed})
    kept = write_outcomes(tx, [given_back(one, locked.get(one.delivery.target.lane_id)) for one in handed])
    release_places(tx, Counter(one.delivery.target.lane_id for one in handed if _fence(one) in kept), locked)
    return [_fence(one) in kept for one in handed]


def _fence(one: AttemptDone | Handed) -> Written:
    return Written(one.delivery.id, one.delivery.token)


class _Attempt(NamedTuple):
    delivery_id: str
    number: int
    at_ms: int
    duration_us: int
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    status: int | None
    error: str | None
    headers: str
    excerpt: str
    resent: bool


_LOG_ATTEMPTS: Final = Change(
    lambda dialect: insert_rows(dialect, attempts, "attempts_in", _Attempt).on_conflict_do_nothing()
)


def _log_attempts(tx: Tx, done: Sequence[AttemptDone]) -> None:
    # What did not count keeps its number for the next try, which is the one the partner sees.
    counted = [one.attempt for one in done if not isinstance(one.verdict, NotCounted)]
    if counted:
        tx.later(
            _LOG_ATTEMPTS,
            attempts_in=[
                _Attempt(
                    delivery_id=attempt.delivery_id,
                    number=attempt.number,
                    at_ms=attempt.at_ms,
                    duration_us=attempt.duration_us,
                    dns_us=attempt.dns_us,
                    connect_us=attempt.connect_us,
                    tls_us=attempt.tls_us,
                    first_byte_us=attempt.first_byte_us,
                    status=attempt.status,
                    error=attempt.error,
                    headers=orjson.dumps(attempt.headers).decode(),
                    excerpt=attempt.excerpt,
                    resent=attempt.resent,
                )
                for attempt in counted
            ],
        )


def _dead_of(held: Sequence[tuple[AttemptDone, Changed]]) -> list[DueDelivery]:
    """Return those that died and are to be told of."""
    return [
        one.delivery
        for one, change in held
        if change.state is DeliveryState.DEAD
        and not one.delivery.once
        and one.delivery.event not in OPERATIONAL_EVENTS
    ]
