"""API keys at rest: hashes, scopes, expiry and revocation. The texts of keys are kept nowhere."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Integer, bindparam, func, or_, select

from webhookd.adapters.store.access.partners import lock_partner, read_partner
from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rows import filled, names
from webhookd.adapters.store.schema import api_keys
from webhookd.adapters.store.statement import Change, Count, Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import QuotaExceeded
from webhookd.core.records import ApiKey, Bounds, Partner


class _ApiKeyRow(NamedTuple):
    id: str
    partner_id: str | None
    name: str
    scopes: str
    secret_hash: str
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    last_used_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key and, unless it is an admin's, its partner."""

    key: ApiKey
    partner: Partner | None

    def is_good(self, now_ms: int) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.key.revoked_ms is None and (self.key.expires_ms is None or now_ms < self.key.expires_ms)


MAX_KEYS: Final = 100
"""Keys of one partner that are neither revoked nor expired."""

QUOTA_RETRY_SECONDS: Final = 60.0  # nothing frees one but a person


_GOOD: Final = Query(
    Count,
    lambda _: (
        select(func.count().label("n"))
        .select_from(api_keys)
        .where(
            api_keys.c.partner_id == bindparam("partner_id"),
            api_keys.c.revoked_ms.is_(None),
            or_(api_keys.c.expires_ms.is_(None), api_keys.c.expires_ms > bindparam("now_ms")),
        )
    ),
)
_ADD: Final = Change(lambda _: api_keys.insert())


def add_key(tx: Tx, key: ApiKey) -> None:
    """Add a key. Raises QuotaExceeded where the partner has MAX_KEYS good ones already."""
    if key.partner_id is not None:
        # The partner's row stands for its keys, so that two at once are counted one by one.
        lock_partner(tx, key.partner_id)
        if tx.one(_GOOD, partner_id=key.partner_id, now_ms=key.created_ms).n >= MAX_KEYS:
            raise QuotaExceeded(
                f"A partner can have {MAX_KEYS} good keys; revoke one first.",
                retry_after_seconds=QUOTA_RETRY_SECONDS,
            )
    row = filled(_ApiKeyRow, key, scopes=orjson.dumps(key.scopes).decode(), secret_hash=key.secret_hash.hex())
    tx.run(_ADD, **row._asdict())


_ONE: Final = Query(_ApiKeyRow, lambda _: select(api_keys).where(api_keys.c.id == bindparam("key_id")))


def read_key(tx: Tx, key_id: str) -> ApiKey | None:
    """Return one key, revoked ones too."""
    row = tx.first(_ONE, key_id=key_id)
    return None if row is None else _key_from(row)


def read_credential(tx: Tx, key_id: str) -> Credential | None:
    """Return a key with its partner."""
    key = read_key(tx, key_id)
    if key is None:
        return None
    partner = None if key.partner_id is None else read_partner(tx, key.partner_id)
    return Credential(key=key, partner=partner)


_PAGE: Final = Listing(
    _ApiKeyRow,
    lambda _, given: narrowed(
        select(api_keys)
        .where(api_keys.c.partner_id.is_not_distinct_from(bindparam("partner_id")))
        .order_by(api_keys.c.id.desc())
        .limit(bindparam("most", type_=Integer)),
        given,
        cursor=api_keys.c.id < bindparam("cursor"),
    ),
)


def read_keys(tx: Tx, partner_id: str | None, page: Bounds) -> tuple[list[ApiKey], str | None]:
    """Return the keys of a partner (None: the admins'), newest first, and the cursor of the next page."""
    keys = tx.stream(_PAGE, partner_id=partner_id, cursor=page.cursor, most=page.limit + 1)
    rows, more = take_page(keys, page.limit)
    found = [_key_from(row) for row in rows]
    return found, found[-1].id if more else None


_OF_PARTNERS: Final = Listing(
    _ApiKeyRow,
    lambda _, given: narrowed(
        select(api_keys)
        .where(api_keys.c.partner_id.is_not(None))
        .order_by(api_keys.c.id.desc())
        .limit(bindparam("most", type_=Integer)),
        given,
        partner_id=api_keys.c.partner_id == bindparam("partner_id"),
        cursor=api_keys.c.id < bindparam("cursor"),
    ),
)


def read_partners_keys(tx: Tx, partner_id: str | None, page: Bounds) -> tuple[list[ApiKey], str | None]:
    """Return the keys of a partner (None: of all partners), newest first, and the cursor of the next page."""
    rows, more = take_page(
        tx.stream(_OF_PARTNERS, partner_id=partner_id, cursor=page.cursor, most=page.limit + 1), page.limit
    )
    found = [_key_from(row) for row in rows]
    return found, found[-1].id if more else None


_REVOKE: Final = Change(
    lambda _: (
        api_keys.update()
        .where(api_keys.c.id == bindparam("key_id"), api_keys.c.revoked_ms.is_(None))
        .values(revoked_ms=bindparam("now_ms"))
    )
)


def revoke_key(tx: Tx, key_id: str, *, now_ms: int) -> ApiKey | None:
    """Revoke a key for good; None where there is none. Revoking twice keeps the first time."""
    tx.run(_REVOKE, key_id=key_id, now_ms=now_ms)
    return read_key(tx, key_id)


def _key_from(row: _ApiKeyRow) -> ApiKey:
    return filled(ApiKey, row, scopes=names(row.scopes), secret_hash=bytes.fromhex(row.secret_hash))
