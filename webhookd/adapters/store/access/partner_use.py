"""What a partner has of what it may have: a few counts, each by an index or out of a maintained sum."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, or_, select

from webhookd.adapters.store.deliveries.replays import UNDER_WAY
from webhookd.adapters.store.schema import api_keys, depths, endpoints, file_usage, replays
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerUse:
    """`queued` are tasks that wait, scheduled ones too; `keys` those that are neither revoked nor expired."""

    queued: int
    stored_files: int
    stored_bytes: int
    endpoints: int
    keys: int
    replays: int


class _PartnerUse(NamedTuple):
    queued: int | None
    stored_files: int | None
    stored_bytes: int | None
    endpoints: int
    keys: int
    replays: int


def _use(_dialect: str) -> Any:
    partner_id: Any = bindparam("partner_id")

    def one(column: Any, *conditions: Any) -> Any:
        return select(column).where(*conditions).scalar_subquery()

    queued = func.sum(depths.c.queued + depths.c.scheduled)
    stored = file_usage.c.partner_id == partner_id
    good = or_(api_keys.c.expires_ms.is_(None), api_keys.c.expires_ms > bindparam("now_ms", type_=BigInteger))
    count = func.count()
    return select(
        one(queued, depths.c.partner_id == partner_id).label("queued"),
        one(file_usage.c.stored_files, stored).label("stored_files"),
        one(file_usage.c.stored_bytes, stored).label("stored_bytes"),
        select(count)
        .select_from(endpoints)
        .where(endpoints.c.partner_id == partner_id, endpoints.c.deleted_ms.is_(None))
        .scalar_subquery()
        .label("endpoints"),
        select(count)
        .select_from(api_keys)
        .where(api_keys.c.partner_id == partner_id, api_keys.c.revoked_ms.is_(None), good)
        .scalar_subquery()
        .label("keys"),
        select(count)
        .select_from(replays)
        .where(replays.c.partner_id == partner_id, UNDER_WAY)
        .scalar_subquery()
        .label("replays"),
    )


_USE: Final = Query(_PartnerUse, _use)


def read_use(tx: Tx, partner_id: str) -> PartnerUse:
    """Return what a partner has now."""
    (row,) = tx.run(_USE, partner_id=partner_id, now_ms=tx.now_ms)
    return PartnerUse(
        queued=int(row.queued or 0),
        stored_files=row.stored_files or 0,
        stored_bytes=row.stored_bytes or 0,
        endpoints=row.endpoints,
        keys=row.keys,
        replays=row.replays,
    )
