"""Sessions of people at the pages, and the links that begin one.

What a cookie or a link carries is kept hashed only. A row lives no longer than the key behind it: whoever
reads a session reads its key too.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import Integer, bindparam, delete, select

from webhookd.adapters.store.access.api_keys import Credential, read_credential
from webhookd.adapters.store.access.partners import read_partner
from webhookd.adapters.store.schema import page_sessions
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.api_keys import hash_text
from webhookd.core.records import Partner

MOST_REMOVED: Final = 100
"""Rows past their end that one new session takes along."""


class SessionKind(StrEnum):
    """What a row is good for: being logged in, or logging in once."""

    SESSION = "session"
    LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSession:
    """`id` is the hash of what its bearer has, `key_id` the key it came from.

    `key_mark` tells whether that is still the operator's own key, which has no row; empty for others.
    `partner_id` is the partner that a link confines its bearer to; None: whatever the key may see.
    """

    id: str
    kind: SessionKind
    key_id: str
    key_mark: str
    partner_id: str | None
    created_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A session with the key it came from (None: it has no row) and the partner it is confined to."""

    session: PageSession
    credential: Credential | None
    partner: Partner | None


class _PageSessionRow(NamedTuple):
    id: str
    kind: str
    key_id: str
    key_mark: str
    partner_id: str | None
    created_ms: int
    expires_ms: int


_ADD: Final = Change(
    lambda _: page_sessions.insert().values({name: bindparam(name) for name in _PageSessionRow._fields})
)
_ONE: Final = Query(
    _PageSessionRow,
    lambda _: select(page_sessions).where(
        page_sessions.c.id == bindparam("wanted_id"), page_sessions.c.kind == bindparam("wanted_kind")
    ),
)
_REMOVE: Final = Change(lambda _: delete(page_sessions).where(page_sessions.c.id == bindparam("wanted_id")))
_REMOVE_ENDED: Final = Change(
    lambda _: delete(page_sessions).where(
        page_sessions.c.id.in_(
            select(page_sessions.c.id)
            .where(page_sessions.c.expires_ms <= bindparam("until_ms"))
            .order_by(page_sessions.c.expires_ms)
            .limit(bindparam("most", type_=Integer))
        )
    )
)


def hashed(token: str) -> str:
    """Return what is kept of a token."""
    return hash_text(token).hex()


def add_page_session(tx: Tx, session: PageSession) -> None:
    """Add a session or a link, and remove some that are over."""
    tx.run(_REMOVE_ENDED, until_ms=session.created_ms, most=MOST_REMOVED)
    tx.run(
        _ADD,
        id=session.id,
        kind=session.kind.value,
        key_id=session.key_id,
        key_mark=session.key_mark,
        partner_id=session.partner_id,
        created_ms=session.created_ms,
        expires_ms=session.expires_ms,
    )


def find_page_session(tx: Tx, session_id: str, kind: SessionKind, now_ms: int) -> Bearer | None:
    """Return who bears this, or None where it is unknown or over."""
    row = tx.first(_ONE, wanted_id=session_id, wanted_kind=kind.value)
    if row is None or row.expires_ms <= now_ms:
        return None
    return Bearer(
        session=PageSession(**{**row._asdict(), "kind": SessionKind(row.kind)}),
        credential=read_credential(tx, row.key_id),
        partner=None if row.partner_id is None else read_partner(tx, row.partner_id),
    )


def end_page_session(tx: Tx, session_id: str) -> bool:
    """Remove a session or a link. False: somebody else has, so that of two who use a link one gets in."""
    return tx.run(_REMOVE, wanted_id=session_id) > 0
