"""Listing deliveries: which index a page goes along, by what it is narrowed to."""

from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, select

from webhookd.adapters.store.deliveries.delivery_rows import DeliveryRow, delivery_from, select_deliveries
from webhookd.adapters.store.deliveries.letter_filters import OF_DELIVERIES, status_parameters
from webhookd.adapters.store.paging import first_id, take_page
from webhookd.adapters.store.rowset import Id, first_of_each, named
from webhookd.adapters.store.schema import deliveries, partners
from webhookd.adapters.store.statement import Listing, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.listing import DeliveryFilter
from webhookd.core.records import Bounds, Delivery

_MOST: Final = bindparam("most", type_=Integer)
_OWNED: Final = deliveries.c.partner_id == bindparam("partner_id")


def _of_page(statement: Select[Any], given: frozenset[str]) -> Select[Any]:
    return narrowed(
        statement,
        given,
        cursor=deliveries.c.id < bindparam("cursor"),
        state=deliveries.c.state == bindparam("state"),
        endpoint_id=deliveries.c.endpoint_id == bindparam("endpoint_id"),
        task_id=deliveries.c.task_id == bindparam("task_id"),
        since=deliveries.c.id >= bindparam("since"),
        until=deliveries.c.id < bindparam("until"),
        **OF_DELIVERIES,
    )


def _page(dialect: str, given: frozenset[str]) -> Select[Any]:
    return narrowed(
        _of_page(select_deliveries().order_by(deliveries.c.id.desc()).limit(_MOST), given),
        given,
        partner_id=_OWNED,
        among=named(dialect, deliveries.c.id, "among"),
    )


def _ids(given: frozenset[str]) -> Select[Any]:
    of_all = select(deliveries.c.id).order_by(deliveries.c.id.desc()).limit(_MOST)
    return narrowed(_of_page(of_all, given), given, partner_id=_OWNED)


def _of_each_partner(dialect: str, given: frozenset[str]) -> Select[Any]:
    """Select a page among the newest of each partner: by index, however few there are in a state."""
    whose, inner = select(partners.c.id).subquery("whose"), deliveries.alias("inner_deliveries")
    line = narrowed(
        select(inner.c.id)
        .where(inner.c.partner_id == whose.c.id, inner.c.state == bindparam("state"))
        .order_by(inner.c.id.desc())
        .limit(_MOST),
        given,
        cursor=inner.c.id < bindparam("cursor"),
        since=inner.c.id >= bindparam("since"),
        until=inner.c.id < bindparam("until"),
        type=inner.c.task_type == bindparam("type"),
        event=inner.c.event == bindparam("event"),
    ).correlate(whose)
    newest = first_of_each(dialect, whose, inner, line, give=("id",), order=("id",))
    return (
        select_deliveries().where(deliveries.c.id.in_(newest)).order_by(deliveries.c.id.desc()).limit(_MOST)
    )


_PAGE: Final = Listing(DeliveryRow, _page)


_IDS: Final = Listing(Id, lambda _, given: _ids(given))


_OF_EACH_PARTNER: Final = Listing(DeliveryRow, _of_each_partner)


def list_deliveries(
    tx: Tx, partner_id: str | None, wanted: DeliveryFilter, page: Bounds
) -> tuple[list[Delivery], str | None]:
    """Return a page of deliveries, newest first, and the cursor of the next page or None."""
    asked: dict[str, Any] = {
        "cursor": page.cursor,
        "state": wanted.state,
        "endpoint_id": wanted.endpoint_id,
        "task_id": wanted.task_id,
        "since": None if wanted.since_ms is None else first_id(ids.DELIVERY, wanted.since_ms),
        "until": None if wanted.until_ms is None else first_id(ids.DELIVERY, wanted.until_ms),
        "type": wanted.type,
        "event": wanted.event,
        "error": wanted.error,
        **status_parameters(wanted.status),
        "most": page.limit + 1,
    }
    among = None
    if "error_low" in asked:  # what is in no order of ids yet is put into it before it is read in full
        among = [one.id for one in tx.run(_IDS, partner_id=partner_id, **asked)]
    by_another_index = partner_id or wanted.endpoint_id or wanted.task_id or wanted.error or wanted.status
    if wanted.state and not by_another_index:
        rows = tx.stream(_OF_EACH_PARTNER, **asked)
    else:
        rows = tx.stream(_PAGE, partner_id=partner_id, among=among, **asked)
    shown, more = take_page(rows, page.limit)
    found = [delivery_from(row) for row in shown]
    return found, found[-1].id if more else None
