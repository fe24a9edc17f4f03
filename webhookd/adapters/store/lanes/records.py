"""Writing what came of attempts: delivery, attempt log, the lane's pace and the endpoint's health together.

Outcomes are written in batches as they come, not when the slowest of a turn ends. A delivery that was
taken away meanwhile (its process was silent for longer than its lease) is left as it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import orjson
from sqlalchemy import select

from webhookd.adapters.store.endpoint_rows import EndpointRow, endpoint_from
from webhookd.adapters.store.lanes.changes import Changed, Written, change_of, given_back, write_outcomes
from webhookd.adapters.store.lanes.health import to_disable, write_health
from webhookd.adapters.store.lanes.settling import lock_with_endpoints, release_places, settle_lanes
from webhookd.adapters.store.publish import announce_to_others
from webhookd.adapters.store.rows import DeliveryRow, delivery_from, select_deliveries
from webhookd.adapters.store.rowset import insert_rows, named
from webhookd.adapters.store.schema import attempts, deliveries, endpoints
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.subscribers import partners_listening
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import NotCounted
from webhookd.core.dispatch import AttemptDone, AttemptRecorded, Handed
from webhookd.core.model import OPERATIONAL_EVENTS, DeliveryState
from webhookd.core.render import delivery_document, endpoint_document


def record_attempts(tx: Tx, done: Sequence[AttemptDone]) -> list[AttemptRecorded | Exception]:
    """Write the attempts' outcomes, in the order they came: an operation for `Database.grouped`."""
    locked = lock_with_endpoints(tx, {one.delivery.target.lane_id for one in done})
    disabled = to_disable(tx, done, locked)
    changes = [change_of(one, locked.get(one.delivery.target.lane_id), disabled) for one in done]
    kept = write_outcomes(tx, [change.row for change in changes])
    held = [(one, change) for one, change in zip(done, changes, strict=True) if _fence(one) in kept]
    told = [one for one, _ in held]
    write_health(tx, told, locked, disabled)
    _log_attempts(tx, told)
    wake_ms = settle_lanes(tx, told, locked)
    if held:
        _tell_of_dead(tx, held)
        _tell_of_disabled(tx, disabled, now_ms=told[-1].now_ms)
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


_DEAD: Final = Query(
    DeliveryRow, lambda dialect: select_deliveries().where(named(dialect, deliveries.c.id, "ids"))
)


def _tell_of_dead(tx: Tx, held: Sequence[tuple[AttemptDone, Changed]]) -> None:
    """Tell the partner's other endpoints about dead deliveries."""
    dead = [
        one.delivery.id
        for one, change in held
        if change.state is DeliveryState.DEAD
        and not one.delivery.once
        and one.delivery.event not in OPERATIONAL_EVENTS
    ]
    if not dead:
        return
    partners = {one.delivery.target.partner_id for one, _ in held}
    listening = partners_listening(tx, partners, "delivery.dead")
    for row in tx.run(_DEAD, ids=dead):
        if row.partner_id in listening:
            announce_to_others(
                tx,
                partner_id=row.partner_id,
                event="delivery.dead",
                data=delivery_document(delivery_from(row)),
                but_endpoint_id=row.endpoint_id,
                now_ms=held[-1][0].now_ms,
            )


_DISABLED: Final = Query(
    EndpointRow, lambda dialect: select(endpoints).where(named(dialect, endpoints.c.id, "ids"))
)


def _tell_of_disabled(tx: Tx, disabled: Mapping[str, str], *, now_ms: int) -> None:
    """Tell the partner's other endpoints about disabled ones. The lane of an endpoint has its id."""
    if not disabled:
        return
    for row in tx.run(_DISABLED, ids=disabled):
        announce_to_others(
            tx,
            partner_id=row.partner_id,
            event="endpoint.disabled",
            data=endpoint_document(endpoint_from(row)),
            but_endpoint_id=row.id,
            now_ms=now_ms,
        )
