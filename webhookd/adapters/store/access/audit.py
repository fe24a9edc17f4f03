"""The audit log: who changed what, from where and why, written in the transaction of the change.

An entry holds ids and names of settings, never a key, a secret or a URL.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Integer, bindparam, select

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.paging import first_id, take_page
from webhookd.adapters.store.schema import audit
from webhookd.adapters.store.statement import Change, Listing, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. `actor` is the name of a key (its id where it has none) or `operator@host`.

    `key_id` is None for the operator; `address` where it came over no connection. `target` is the id, or the
    name, that it was done to; `detail` may have a `reason`.
    """

    id: str
    at_ms: int
    actor: str
    action: str
    target: str
    partner_id: str | None
    key_id: str | None = None
    address: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries to list; None is any. `actor` may be a key's id too. Since is inclusive, until not."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    partner_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


_ADD: Final = Change(lambda _: audit.insert())


def add(
    tx: Tx,
    *,
    actor: str,
    action: str,
    target: str,
    partner_id: str | None,
    now_ms: int,
    key_id: str | None = None,
    address: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an entry; `action` is `noun.verb`, such as `partner.create`."""
    tx.run(
        _ADD,
        id=new_id(ids.AUDIT, now_ms),
        at_ms=now_ms,
        actor=actor,
        action=action,
        target=target,
        partner_id=partner_id,
        detail=orjson.dumps(detail or {}).decode(),
        key_id=key_id,
        address=address,
    )


class _Entry(NamedTuple):
    id: str
    at_ms: int
    actor: str
    action: str
    target: str
    partner_id: str | None
    detail: str
    key_id: str | None
    address: str | None


_PAGE: Final = Listing(
    _Entry,
    lambda _, given: narrowed(
        select(audit).order_by(audit.c.id.desc()).limit(bindparam("most", type_=Integer)),
        given,
        actor=audit.c.actor == bindparam("actor"),
        key_id=audit.c.key_id == bindparam("key_id"),
        action=audit.c.action == bindparam("action"),
        target=audit.c.target == bindparam("target"),
        partner_id=audit.c.partner_id == bindparam("partner_id"),
        since=audit.c.id >= bindparam("since"),
        until=audit.c.id < bindparam("until"),
        cursor=audit.c.id < bindparam("cursor"),
    ),
)


def list_entries(tx: Tx, wanted: AuditFilter, page: Bounds) -> tuple[list[AuditEntry], str | None]:
    """Return entries, newest first, and the cursor of the next page."""
    is_key = wanted.actor is not None and wanted.actor.startswith(f"{ids.KEY}_")
    rows, more = take_page(
        tx.stream(
            _PAGE,
            actor=None if is_key else wanted.actor,
            key_id=wanted.actor if is_key else None,
            action=wanted.action,
            target=wanted.target,
            partner_id=wanted.partner_id,
            since=None if wanted.since_ms is None else first_id(ids.AUDIT, wanted.since_ms),
            until=None if wanted.until_ms is None else first_id(ids.AUDIT, wanted.until_ms),
            cursor=page.cursor,
            most=page.limit + 1,
        ),
        page.limit,
    )
    entries = [AuditEntry(**{**row._asdict(), "detail": orjson.loads(row.detail)}) for row in rows]
    return entries, entries[-1].id if more else None
