"""The audit log: who changed what, written in the transaction of the change.

An entry holds ids and names of settings, never a key, a secret or a URL.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import select

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.schema import api_keys, audit
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. `actor` is a key's id or a part of the service; `target` the id it was done to.

    `actor_name` is what the key is called, now; None where it has no name, or the actor is no key.
    """

    id: str
    at_ms: int
    actor: str
    action: str
    target: str
    partner_id: str | None
    actor_name: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def add(
    tx: Tx,
    *,
    actor: str,
    action: str,
    target: str,
    partner_id: str | None,
    now_ms: int,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an entry; `action` is `noun.verb`, such as `partner.create`."""
    tx.execute(
        audit.insert().values(
            id=new_id(ids.AUDIT, now_ms),
            at_ms=now_ms,
            actor=actor,
            action=action,
            target=target,
            partner_id=partner_id,
            detail=orjson.dumps(detail or {}).decode(),
        )
    )


def read_entries(tx: Tx, partner_id: str | None, page: Page) -> tuple[list[AuditEntry], str | None]:
    """Return entries, newest first, and the cursor of the next page. `partner_id` None is all partners'."""
    named = audit.outerjoin(api_keys, api_keys.c.id == audit.c.actor)
    statement = select(audit, api_keys.c.name).select_from(named).order_by(audit.c.id.desc())
    if partner_id is not None:
        statement = statement.where(audit.c.partner_id == partner_id)
    if page.cursor is not None:
        statement = statement.where(audit.c.id < page.cursor)
    rows, more = read_page(tx, statement, page.limit)
    entries = [
        AuditEntry(
            id=row.id,
            at_ms=row.at_ms,
            actor=row.actor,
            action=row.action,
            target=row.target,
            partner_id=row.partner_id,
            actor_name=row.name or None,
            detail=orjson.loads(row.detail),
        )
        for row in rows
    ]
    return entries, entries[-1].id if more else None


class Audit:
    """Reading the audit log; entries are added with `add`, inside the transaction of the act."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list(self, partner_id: str | None, page: Page) -> tuple[list[AuditEntry], str | None]:
        """Return a page, newest first, and the next cursor."""
        return await self._db.read(read_entries, partner_id, page)
