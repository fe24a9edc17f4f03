"""Which values of filters there are: an unknown endpoint, type or error code could match nothing."""

from typing import Any, Final

from sqlalchemy import bindparam, select

from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import deliveries, endpoints, partners, task_bodies, tasks
from webhookd.adapters.store.statement import Listing, narrowed
from webhookd.adapters.store.tx import Tx

_ENDPOINT: Final = Listing(
    Id,
    lambda _, given: narrowed(
        select(endpoints.c.id).where(endpoints.c.id == bindparam("value")),
        given,
        partner_id=endpoints.c.partner_id == bindparam("partner_id"),
    ),
)


def _partner_with_type(given: frozenset[str]) -> Any:
    """One probe a partner, by the index of its types: no index has a type first."""
    one = (
        select(tasks.c.id)
        .where(tasks.c.partner_id == partners.c.id, tasks.c.type == bindparam("value"))
        .correlate(partners)
        .limit(1)
    )
    return narrowed(
        select(partners.c.id).where(one.exists()).limit(1),
        given,
        partner_id=partners.c.id == bindparam("partner_id"),
    )


def _task_with_code(given: frozenset[str]) -> Any:
    statement = select(task_bodies.c.task_id.label("id")).where(
        task_bodies.c.error_code == bindparam("value")
    )
    if "partner_id" in given:
        statement = statement.join(tasks, tasks.c.id == task_bodies.c.task_id).where(
            tasks.c.partner_id == bindparam("partner_id")
        )
    return statement.limit(1)


_DELIVERY_WITH_ERROR: Final = Listing(
    Id,
    lambda _, given: narrowed(
        select(deliveries.c.id).where(deliveries.c.last_error == bindparam("value")).limit(1),
        given,
        partner_id=deliveries.c.partner_id == bindparam("partner_id"),
    ),
)
_PARTNER_WITH_TYPE: Final = Listing(Id, lambda _, given: _partner_with_type(given))
_TASK_WITH_CODE: Final = Listing(Id, lambda _, given: _task_with_code(given))


def unknown_values(tx: Tx, partner_id: str | None, wanted: dict[str, str]) -> set[str]:
    """Return which of `endpoint`, `type`, `error` and `code` have a value that nothing here ever had.

    `partner_id` None is all partners. Deleted endpoints are known; a type is, where a task was of it, an
    error, where it is a delivery's last, and a code, where a task ended with it, or as an error.
    """
    there = {
        "endpoint": (_ENDPOINT,),
        "type": (_PARTNER_WITH_TYPE,),
        "error": (_DELIVERY_WITH_ERROR,),
        "code": (_TASK_WITH_CODE, _DELIVERY_WITH_ERROR),
    }
    return {
        name
        for name, value in wanted.items()
        if not any(tx.run(one, value=value, partner_id=partner_id) for one in there[name])
    }
