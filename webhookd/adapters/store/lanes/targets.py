"""How lanes are sent to, read at the moment of the claim: so that an edit counts from the next attempt on."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, or_, select

from webhookd.adapters.store.schema import secrets
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import LaneTarget, Retry
from webhookd.core.records import SealedSecret


def read_targets(tx: Tx, now_ms: int, served: Sequence[Row[Any]]) -> dict[str, LaneTarget]:
    """Read how to send to each lane: URL, headers, retry settings and every secret that signs now."""
    if not served:
        return {}
    endpoint_ids = [row.endpoint_id for row in served if row.endpoint_id is not None]
    inline_partners = [row.partner_id for row in served if row.endpoint_id is None]
    rows = tx.execute(
        _signing_now(),
        {"now": now_ms, "endpoint_ids": endpoint_ids, "inline_partners": inline_partners},
    )
    found: dict[str, list[SealedSecret]] = {}
    for row in rows:
        found.setdefault(row.endpoint_id or row.partner_id, []).append(
            SealedSecret(
                id=row.id,
                partner_id=row.partner_id,
                endpoint_id=row.endpoint_id,
                scheme=row.scheme,
                sealed=row.sealed,
                created_ms=row.created_ms,
                expires_ms=row.expires_ms,
            )
        )
    return {
        row.id: LaneTarget(
            lane_id=row.id,
            partner_id=row.partner_id,
            endpoint_id=row.endpoint_id,
            url=row.url,
            headers_sealed=row.headers_sealed,
            retry=Retry(
                max_attempts=row.retry_max_attempts,
                base_seconds=row.retry_base_seconds,
                factor=row.retry_factor,
                cap_seconds=row.retry_cap_seconds,
            ),
            secrets=tuple(found.get(row.endpoint_id or row.partner_id, ())),
            slow=bool(row.slow),
            heard=bool(row.heard),
            weight=row.weight or 1.0,
        )
        for row in served
    }


@cache
def _signing_now() -> Any:
    """Return the secrets that sign now, the newest first. Parameters: now, endpoint_ids, inline_partners."""
    return (
        select(secrets)
        .where(
            or_(secrets.c.expires_ms.is_(None), secrets.c.expires_ms > bindparam("now", type_=BigInteger)),
            or_(
                secrets.c.endpoint_id.in_(bindparam("endpoint_ids", expanding=True)),
                secrets.c.endpoint_id.is_(None)
                & secrets.c.partner_id.in_(bindparam("inline_partners", expanding=True)),
            ),
        )
        .order_by(secrets.c.created_ms.desc(), secrets.c.id.desc())
    )
