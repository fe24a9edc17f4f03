"""How many idempotency keys a partner has in memory; keeping and forgetting them is `idempotency`'s."""

from typing import Final, NamedTuple

from sqlalchemy import Executable, Integer, bindparam, func, select

from webhookd.adapters.store.schema import idempotency
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.admission import KeyUse


class _KeyUse(NamedTuple):
    keys: int
    oldest_ms: int | None


def _count(_dialect: str) -> Executable:
    kept = (
        select(idempotency.c.created_ms)
        .where(
            idempotency.c.partner_id == bindparam("partner_id"),
            idempotency.c.created_ms >= bindparam("since_ms"),
        )
        .limit(bindparam("most", type_=Integer))
        .subquery()
    )
    return select(func.count().label("keys"), func.min(kept.c.created_ms).label("oldest_ms")).select_from(
        kept
    )


_COUNT: Final = Query(_KeyUse, _count)


def key_use(tx: Tx, partner_id: str, since_ms: int, most: int) -> KeyUse:
    """Count the keys of a partner that are as young as `since_ms`, up to `most` of them."""
    [use] = tx.run(_COUNT, partner_id=partner_id, since_ms=since_ms, most=most)
    return KeyUse(count=use.keys, oldest_ms=use.oldest_ms)
