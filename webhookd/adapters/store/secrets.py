"""Signing secrets at rest: whose they are, which is current, and until when an older one still signs.

The text that is stored is the vault's; nothing here seals or opens it. The current secret of a partner or
an endpoint has no `expires_ms`; the ones a rotation has replaced sign until theirs.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import ColumnElement, Row, or_, select

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import secrets
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import SealedSecret

SECRET_FIELD: Final = "secret"
"""The vault's `field` of every signing secret; partner and endpoint are the row's own."""

MOST_LIVE: Final = 50
"""Secrets one endpoint, or one partner, may have at a time. Each signs every message: more would not fit
into the headers a receiver takes."""


def add(
    tx: Tx,
    partner_id: str,
    endpoint_id: str | None,
    *,
    scheme: str,
    sealed: str,
    created_ms: int,
) -> SealedSecret:
    """Add a current secret. `endpoint_id` None makes it the partner's own; `scheme` is `v1` or `v1a`."""
    secret = SealedSecret(
        id=new_id(ids.SECRET, created_ms),
        partner_id=partner_id,
        endpoint_id=endpoint_id,
        scheme=scheme,
        sealed=sealed,
        created_ms=created_ms,
        expires_ms=None,
    )
    tx.execute(
        secrets.insert().values(
            id=secret.id,
            partner_id=partner_id,
            endpoint_id=endpoint_id,
            scheme=scheme,
            sealed=sealed,
            created_ms=created_ms,
            expires_ms=None,
        )
    )
    return secret


def expire_current(
    tx: Tx, partner_id: str, endpoint_id: str | None, *, expires_ms: int, scheme: str | None = None
) -> int:
    """Let the current secrets (of one scheme, or of all) sign until `expires_ms`; return how many.

    Those that expire already are left as they are: a rotation never prolongs an older secret.
    """
    statement = secrets.update().where(
        secrets.c.partner_id == partner_id,
        secrets.c.endpoint_id.is_not_distinct_from(endpoint_id),
        secrets.c.expires_ms.is_(None),
    )
    if scheme is not None:
        statement = statement.where(secrets.c.scheme == scheme)
    return tx.execute(statement.values(expires_ms=expires_ms)).rowcount


def expire_all(tx: Tx, partner_id: str, endpoint_id: str | None, *, now_ms: int) -> int:
    """Let every secret sign no more, those of earlier overlaps too; return how many still did."""
    statement = secrets.update().where(
        secrets.c.partner_id == partner_id,
        secrets.c.endpoint_id.is_not_distinct_from(endpoint_id),
        or_(secrets.c.expires_ms.is_(None), secrets.c.expires_ms > now_ms),
    )
    return tx.execute(statement.values(expires_ms=now_ms)).rowcount


def make_way(tx: Tx, partner_id: str, endpoint_id: str | None, *, now_ms: int, overlap_ms: int) -> bool:
    """Let the current secrets sign for `overlap_ms` more, before new ones are added; 0 cuts off all at once.

    False, and nothing is changed, where as many sign already as may.
    """
    if not overlap_ms:
        expire_all(tx, partner_id, endpoint_id, now_ms=now_ms)
        return True
    if len(live(tx, partner_id, [endpoint_id], now_ms=now_ms)) >= MOST_LIVE:
        return False
    expire_current(tx, partner_id, endpoint_id, expires_ms=now_ms + overlap_ms)
    return True


def live(tx: Tx, partner_id: str, endpoint_ids: Iterable[str | None], *, now_ms: int) -> list[SealedSecret]:
    """Return what signs at `now_ms` for these endpoints (None: the partner's own), newest first."""
    wanted = set(endpoint_ids)
    chosen: ColumnElement[bool] = among(tx, secrets.c.endpoint_id, [one for one in wanted if one is not None])
    if None in wanted:
        chosen = or_(chosen, secrets.c.endpoint_id.is_(None))
    statement = (
        select(secrets)
        .where(
            secrets.c.partner_id == partner_id,
            chosen,
            or_(secrets.c.expires_ms.is_(None), secrets.c.expires_ms > now_ms),
        )
        .order_by(secrets.c.created_ms.desc(), secrets.c.id.desc())
    )
    return [_secret(row) for row in tx.execute(statement)]


def _secret(row: Row[tuple[object, ...]]) -> SealedSecret:
    return SealedSecret(**row._mapping)
