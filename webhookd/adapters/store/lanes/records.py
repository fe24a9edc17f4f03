"""Writing what came of attempts: delivery, attempt log, the lane's pace and the endpoint's health together.

Outcomes are written in batches as they come, not when the slowest of a turn ends. A delivery that was
taken away meanwhile (its process was silent for longer than its lease) is left as it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from webhookd.adapters.store.deliveries.attempt_rows import LOG_ATTEMPTS
from webhookd.adapters.store.deliveries.dead_digests import note_dead
from webhookd.adapters.store.endpoints.endpoint_trouble import tell_of_endpoints
from webhookd.adapters.store.lanes.changes import Fence, given_back, outcome_of, write_outcomes
from webhookd.adapters.store.lanes.health import to_disable, write_health
from webhookd.adapters.store.lanes.settling import lock_with_endpoints, release_places, settle_lanes
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import NotCounted
from webhookd.core.dispatch import AttemptDone, AttemptRecorded, Handed
from webhookd.core.model import OPERATIONAL_EVENTS, DeliveryState


def record_attempts(tx: Tx, done: Sequence[AttemptDone]) -> list[AttemptRecorded | Exception]:
    """Write the attempts' outcomes, in the order they came: an operation for `Database.grouped`."""
    locked = lock_with_endpoints(tx, {one.delivery.target.lane_id for one in done})
    disabled = to_disable(tx, done, locked)
    outcomes = [outcome_of(one, locked.get(one.delivery.target.lane_id), disabled) for one in done]
    kept = write_outcomes(tx, outcomes, now_ms=done[-1].now_ms)
    told = [one for one in done if _fence(one) in kept]
    recovered = write_health(tx, told, locked, disabled)
    _log_attempts(tx, told)
    wake_ms = settle_lanes(tx, told, locked)
    if told:
        now_ms = told[-1].now_ms
        note_dead(tx, [one.delivery for one in told if _is_told_dead(one, kept)], now_ms)
        tell_of_endpoints(tx, "endpoint.disabled", disabled, now_ms)
        tell_of_endpoints(tx, "endpoint.recovered", recovered, now_ms)
    return [
        AttemptRecorded(lost=_fence(one) not in kept, wake_ms=wake_ms.get(one.delivery.target.lane_id))
        for one in done
    ]


def hand_back(tx: Tx, handed: Sequence[Handed]) -> list[bool | Exception]:
    """Give back deliveries that were claimed and not sent; their attempts are not used up."""
    locked = lock_with_endpoints(tx, {one.delivery.target.lane_id for one in handed})
    outcomes = [given_back(one, locked.get(one.delivery.target.lane_id)) for one in handed]
    kept = write_outcomes(tx, outcomes, now_ms=handed[-1].now_ms)
    release_places(tx, Counter(one.delivery.target.lane_id for one in handed if _fence(one) in kept), locked)
    return [_fence(one) in kept for one in handed]


def _fence(one: AttemptDone | Handed) -> Fence:
    return one.delivery.id, one.delivery.token


def _log_attempts(tx: Tx, done: Sequence[AttemptDone]) -> None:
    # What did not count keeps its number for the next try, which is the one the partner sees.
    counted = [one.attempt for one in done if not isinstance(one.verdict, NotCounted)]
    if counted:
        tx.later(LOG_ATTEMPTS, rows=LOG_ATTEMPTS.rows(counted))


def _is_told_dead(one: AttemptDone, kept: Mapping[Fence, DeliveryState]) -> bool:
    """Tell whether it died, and is to be told of."""
    return (
        kept[_fence(one)] is DeliveryState.DEAD
        and not one.delivery.once
        and one.delivery.event not in OPERATIONAL_EVENTS
    )
