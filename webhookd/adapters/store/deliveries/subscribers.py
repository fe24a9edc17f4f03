"""Endpoints as routing sees them: who is to be told of what."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Text, bindparam, or_, select

from webhookd.adapters.store.rows import names
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import endpoints
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import EndpointState
from webhookd.core.records import Task
from webhookd.core.routing import Subscriber


class SubscriberRow(NamedTuple):
    """What routing reads of a row of `endpoints`."""

    id: str
    partner_id: str
    events: str
    task_types: str
    state: str
    deleted_ms: int | None
    ordering: str
    retry_max_attempts: int | None


_SELECT_SUBSCRIBERS: Final = select(*(endpoints.c[name] for name in SubscriberRow._fields))
_OF_PARTNER: Final = Query(
    SubscriberRow,
    lambda _: _SELECT_SUBSCRIBERS.where(
        endpoints.c.partner_id == bindparam("partner_id"), endpoints.c.deleted_ms.is_(None)
    ),
)
_SUBSCRIBERS: Final = Query(
    SubscriberRow,
    lambda dialect: _SELECT_SUBSCRIBERS.where(
        or_(
            named(dialect, endpoints.c.partner_id, "partners") & endpoints.c.deleted_ms.is_(None),
            named(dialect, endpoints.c.id, "ids"),
        )
    ),
)


def subscribers_of_partner(tx: Tx, partner_id: str) -> list[Subscriber]:
    """Return a partner's endpoints."""
    return [subscriber_from(tx, row) for row in tx.run(_OF_PARTNER, partner_id=partner_id)]


def subscriber_from(tx: Tx, row: Any) -> Subscriber:
    """Return the part of an endpoint that routing needs, of a SubscriberRow or a whole row."""
    return Subscriber(
        endpoint_id=row.id,
        partner_id=row.partner_id,
        events=names(row.events),
        task_types=names(row.task_types),
        enabled=row.state == EndpointState.ENABLED,
        deleted=row.deleted_ms is not None,
        fifo=row.ordering == "fifo",
        max_attempts=row.retry_max_attempts or tx.policy.default_max_attempts,
    )


def subscribers_of_tasks(tx: Tx, happenings: Sequence[tuple[Task, str]]) -> dict[str, list[Subscriber]]:
    """Read the endpoints the tasks may go to; a task with only a callback needs none."""
    open_partners = {t.partner_id for t, _ in happenings if t.callback_url is None and t.endpoint_ids is None}
    chosen = {endpoint_id for t, _ in happenings for endpoint_id in t.endpoint_ids or ()}
    return read_subscribers(tx, open_partners, chosen)


def read_subscribers(
    tx: Tx, partner_ids: Collection[str], endpoint_ids: Collection[str]
) -> dict[str, list[Subscriber]]:
    """Return, by partner, the endpoints of these partners that are there, and those named, deleted or not."""
    if not partner_ids and not endpoint_ids:
        return {}
    found: defaultdict[str, list[Subscriber]] = defaultdict(list)
    for row in tx.run(_SUBSCRIBERS, partners=partner_ids, ids=endpoint_ids):
        found[row.partner_id].append(subscriber_from(tx, row))
    return found


class _PartnerId(NamedTuple):
    partner_id: str


_LISTENING: Final = Query(
    _PartnerId,
    lambda dialect: (
        select(endpoints.c.partner_id)
        .where(
            named(dialect, endpoints.c.partner_id, "partners"),
            endpoints.c.deleted_ms.is_(None),
            endpoints.c.events.contains(bindparam("event", type_=Text)),
        )
        .distinct()
    ),
)


def partners_listening(tx: Tx, partner_ids: Collection[str], event: str) -> set[str]:
    """Return which of the partners have an endpoint that names `event`."""
    return {row.partner_id for row in tx.run(_LISTENING, partners=partner_ids, event=f'"{event}"')}
