"""Partners: who submits tasks, under which limits."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.rows import names_json, partner_from
from webhookd.adapters.store.schema import partners
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, FieldError
from webhookd.core.records import Page, Partner

CHANGEABLE = frozenset(
    {"name", "weight", "rate_per_second", "burst", "max_queued", "suspended_ms", "task_types"}
)


def add_partner(tx: Tx, partner: Partner) -> None:
    """Add a partner. Raises Conflict where the name is taken."""
    values = {
        "id": partner.id,
        "name": partner.name,
        "weight": partner.weight,
        "rate_per_second": partner.limits.rate_per_second,
        "burst": partner.limits.burst,
        "max_queued": partner.limits.max_queued,
        "suspended_ms": partner.created_ms if partner.suspended else None,
        "created_ms": partner.created_ms,
        "task_types": names_json(partner.task_types),
    }
    try:
        tx.execute(partners.insert().values(values))
    except IntegrityError:
        raise _name_taken(partner.name) from None


def change_partner(tx: Tx, partner_id: str, changes: Mapping[str, object]) -> Partner | None:
    """Set columns out of CHANGEABLE; None where there is no such partner. Raises Conflict: name taken."""
    unknown = changes.keys() - CHANGEABLE
    if unknown:
        raise ValueError(f"a partner's {sorted(unknown)} cannot be changed")
    if changes:
        try:
            tx.execute(partners.update().where(partners.c.id == partner_id).values(**changes))
        except IntegrityError:
            raise _name_taken(str(changes.get("name"))) from None
    return read_partner(tx, partner_id)


def read_partner(tx: Tx, partner_id: str) -> Partner | None:
    """Return one partner."""
    row = tx.execute(select(partners).where(partners.c.id == partner_id)).first()
    return None if row is None else partner_from(row)


def lock_partner(tx: Tx, partner_id: str) -> None:
    """Hold the partner's row until the commit, so that what is decided by it is decided one by one."""
    tx.execute(select(partners.c.id).where(partners.c.id == partner_id).with_for_update())


def read_partners(tx: Tx, page: Page) -> tuple[list[Partner], str | None]:
    """Return partners, newest first, and the cursor of the next page."""
    statement = select(partners).order_by(partners.c.id.desc())
    if page.cursor is not None:
        statement = statement.where(partners.c.id < page.cursor)
    rows, more = read_page(tx, statement, page.limit)
    found = [partner_from(row) for row in rows]
    return found, found[-1].id if more else None


def _name_taken(name: str) -> Conflict:
    return Conflict(
        f"There is a partner named '{name}' already.",
        errors=[FieldError(path="$.name", message="is taken by another partner")],
    )


class Partners:
    """Reading partners; they are changed by the functions above, in the transaction of the request."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, partner_id: str) -> Partner | None:
        """Return one partner."""
        return await self._db.read(read_partner, partner_id)

    async def list(self, page: Page) -> tuple[list[Partner], str | None]:
        """Return a page, newest first, and the next cursor."""
        return await self._db.read(read_partners, page)
