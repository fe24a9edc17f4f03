"""Partners: who submits tasks, under which limits."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Update, bindparam, select
from sqlalchemy.exc import IntegrityError

from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rows import filled, names, names_json
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import partners
from webhookd.adapters.store.statement import Amendment, Change, Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, FieldError
from webhookd.core.records import Bounds, Limits, Partner

CHANGEABLE = frozenset(
    {"name", "weight", "rate_per_second", "burst", "max_queued", "suspended_ms", "task_types"}
)


class PartnerRow(NamedTuple):
    """A row of `partners`."""

    id: str
    name: str
    weight: int
    rate_per_second: float | None
    burst: int | None
    max_queued: int | None
    suspended_ms: int | None
    created_ms: int
    task_types: str | None


def partner_from(row: PartnerRow) -> Partner:
    """Return the partner of a row."""
    return filled(
        Partner,
        row,
        limits=filled(Limits, row),
        suspended=row.suspended_ms is not None,
        task_types=names(row.task_types),
    )


_ADD: Final = Change(lambda _: partners.insert())


def add_partner(tx: Tx, partner: Partner) -> None:
    """Add a partner. Raises Conflict where the name is taken."""
    row = filled(
        PartnerRow,
        partner,
        partner.limits,
        suspended_ms=partner.created_ms if partner.suspended else None,
        task_types=names_json(partner.task_types),
    )
    try:
        tx.run(_ADD, **row._asdict())
    except IntegrityError:
        raise _name_taken(partner.name) from None


def _amended(_dialect: str, given: frozenset[str]) -> Update:
    values: dict[str, Any] = {name: bindparam(name) for name in given & CHANGEABLE}
    return partners.update().where(partners.c.id == bindparam("partner_id")).values(values)


_AMEND: Final = Amendment(_amended)


def change_partner(tx: Tx, partner_id: str, changes: Mapping[str, object]) -> Partner | None:
    """Set columns out of CHANGEABLE; None where there is no such partner. Raises Conflict: name taken."""
    unknown = changes.keys() - CHANGEABLE
    if unknown:
        raise ValueError(f"a partner's {sorted(unknown)} cannot be changed")
    if changes:
        try:
            tx.run(_AMEND, partner_id=partner_id, **changes)
        except IntegrityError:
            raise _name_taken(str(changes.get("name"))) from None
    return read_partner(tx, partner_id)


_ONE: Final = Query(PartnerRow, lambda _: select(partners).where(partners.c.id == bindparam("partner_id")))
_LOCK: Final = Query(
    Id, lambda _: select(partners.c.id).where(partners.c.id == bindparam("partner_id")).with_for_update()
)


def read_partner(tx: Tx, partner_id: str) -> Partner | None:
    """Return one partner."""
    row = tx.first(_ONE, partner_id=partner_id)
    return None if row is None else partner_from(row)


_BY_NAME: Final = Query(PartnerRow, lambda _: select(partners).where(partners.c.name == bindparam("name")))


def find_partner(tx: Tx, called: str) -> Partner | None:
    """Return the partner with this id, or with this name."""
    row = tx.first(_ONE, partner_id=called) or tx.first(_BY_NAME, name=called)
    return None if row is None else partner_from(row)


class _Named(NamedTuple):
    id: str
    name: str


_NAMES: Final = Query(
    _Named, lambda dialect: select(partners.c.id, partners.c.name).where(named(dialect, partners.c.id, "ids"))
)


def partner_names(tx: Tx, partner_ids: Iterable[str]) -> dict[str, str]:
    """Return what these partners are called, by id."""
    return {row.id: row.name for row in tx.run(_NAMES, ids=partner_ids)}


def lock_partner(tx: Tx, partner_id: str) -> None:
    """Hold the partner's row until the commit, so that what is decided by it is decided one by one."""
    tx.run(_LOCK, partner_id=partner_id)


_PAGE: Final = Listing(
    PartnerRow,
    lambda _, given: narrowed(
        select(partners).order_by(partners.c.id.desc()).limit(bindparam("most", type_=Integer)),
        given,
        cursor=partners.c.id < bindparam("cursor"),
    ),
)


def read_partners(tx: Tx, page: Bounds) -> tuple[list[Partner], str | None]:
    """Return partners, newest first, and the cursor of the next page."""
    rows, more = take_page(tx.stream(_PAGE, cursor=page.cursor, most=page.limit + 1), page.limit)
    found = [partner_from(row) for row in rows]
    return found, found[-1].id if more else None


def _name_taken(name: str) -> Conflict:
    return Conflict(
        f"There is a partner named '{name}' already.",
        errors=[FieldError(path="$.name", message="is taken by another partner")],
    )
