"""Signing secrets at rest: whose they are, which is current, and until when an older one still signs.

The text that is stored is the vault's; nothing here seals or opens it. The current secret of a partner or
an endpoint has no `expires_ms`; the ones a rotation has replaced sign until theirs.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import and_, bindparam, or_, select

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import secrets
from webhookd.adapters.store.statement import Change, Listing
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import SealedSecret

SECRET_FIELD: Final = "secret"
"""The vault's `field` of every signing secret; partner and endpoint are the row's own."""

MOST_LIVE: Final = 50
"""Secrets one endpoint, or one partner, may have at a time. Each signs every message: more would not fit
into the headers a receiver takes."""


_ADD: Final = Change(lambda _: secrets.insert())


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
    tx.run(_ADD, **secret._asdict())
    return secret


_WHOSE: Final = and_(
    secrets.c.partner_id == bindparam("partner"),
    secrets.c.endpoint_id.is_not_distinct_from(bindparam("endpoint")),
)


def _expire(*which: Any) -> Change:
    return Change(lambda _: secrets.update().where(_WHOSE, *which).values(expires_ms=bindparam("expires_ms")))


_EXPIRE_CURRENT: Final = _expire(secrets.c.expires_ms.is_(None))
_EXPIRE_SCHEME: Final = _expire(secrets.c.expires_ms.is_(None), secrets.c.scheme == bindparam("of_scheme"))
_LIVE_AT: Final = or_(secrets.c.expires_ms.is_(None), secrets.c.expires_ms > bindparam("now_ms"))
_EXPIRE_ALL: Final = _expire(_LIVE_AT)


def expire_current(
    tx: Tx, partner_id: str, endpoint_id: str | None, *, expires_ms: int, scheme: str | None = None
) -> int:
    """Let the current secrets (of one scheme, or of all) sign until `expires_ms`; return how many.

    Those that expire already are left as they are: a rotation never prolongs an older secret.
    """
    if scheme is None:
        return tx.run(_EXPIRE_CURRENT, partner=partner_id, endpoint=endpoint_id, expires_ms=expires_ms)
    return tx.run(
        _EXPIRE_SCHEME, partner=partner_id, endpoint=endpoint_id, expires_ms=expires_ms, of_scheme=scheme
    )


def expire_all(tx: Tx, partner_id: str, endpoint_id: str | None, *, now_ms: int) -> int:
    """Let every secret sign no more, those of earlier overlaps too; return how many still did."""
    return tx.run(_EXPIRE_ALL, partner=partner_id, endpoint=endpoint_id, now_ms=now_ms, expires_ms=now_ms)


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


def _live(dialect: str, given: frozenset[str]) -> Any:
    chosen = named(dialect, secrets.c.endpoint_id, "endpoints")
    if "own" in given:
        chosen = or_(chosen, secrets.c.endpoint_id.is_(None))
    return (
        select(secrets)
        .where(secrets.c.partner_id == bindparam("partner"), chosen, _LIVE_AT)
        .order_by(secrets.c.created_ms.desc(), secrets.c.id.desc())
    )


_LIVE: Final = Listing(SealedSecret, _live)


def live(tx: Tx, partner_id: str, endpoint_ids: Iterable[str | None], *, now_ms: int) -> list[SealedSecret]:
    """Return what signs at `now_ms` for these endpoints (None: the partner's own), newest first."""
    wanted = set(endpoint_ids)
    return tx.run(
        _LIVE,
        partner=partner_id,
        endpoints=wanted - {None},
        own=True if None in wanted else None,
        now_ms=now_ms,
    )
