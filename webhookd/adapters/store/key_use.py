"""How many idempotency keys a partner has in memory; keeping and forgetting them is `idempotency`'s."""

from sqlalchemy import Connection, func, select

from webhookd.adapters.store.schema import idempotency
from webhookd.core.admission import KeyUse


def key_use(conn: Connection, partner_id: str, since_ms: int, most: int) -> KeyUse:
    """Count the keys of a partner that are as young as `since_ms`, up to `most` of them."""
    kept = (
        select(idempotency.c.created_ms)
        .where(idempotency.c.partner_id == partner_id, idempotency.c.created_ms >= since_ms)
        .limit(most)
        .subquery()
    )
    count, oldest_ms = conn.execute(select(func.count(), func.min(kept.c.created_ms)).select_from(kept)).one()
    return KeyUse(count=count, oldest_ms=oldest_ms)
