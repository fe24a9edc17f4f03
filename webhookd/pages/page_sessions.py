"""Who is logged in: cookies, the sessions behind them, and the tokens that forms carry.

A cookie holds 256 random bits; the database holds their hash, beside the id of the key that was shown. Every
request reads both rows, so a session ends with its key, wherever that was revoked.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from webhookd.adapters.entropy import new_page_token
from webhookd.adapters.store.access.page_sessions import (
    Bearer,
    PageSession,
    SessionKind,
    add_page_session,
    end_page_session,
    find_page_session,
    hashed,
)
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.api.caller import OPERATOR, Caller
from webhookd.core.api_keys import operator_mark
from webhookd.core.errors import Forbidden, Unauthenticated
from webhookd.core.model import SCOPES
from webhookd.pages.page_rows import ADMIN, PORTAL

SESSION_MS: Final = 12 * 3_600_000
LINK: Final = "link"
"""What the audit log says of what was done by somebody who came in by a link."""
LASTING: Final = frozenset({"keys:write"})
"""What nobody may who came in by a link: a key made so would outlast it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is logged in. `token` is what the cookie holds."""

    id: str
    token: str = field(repr=False)
    caller: Caller

    @property
    def side(self) -> str:
        """Which pages this is for."""
        return ADMIN if self.caller.is_admin else PORTAL


def form_token(token: str) -> str:
    """Return what the forms of a session carry: made of its cookie, which no other site can read."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"form", hashlib.sha256).hexdigest()


def is_form_token(given: str, token: str) -> bool:
    """Whether a form carries the token of this cookie."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), form_token(token).encode())


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, store: Store, admin_key_hash: bytes | None) -> None:
        self._store = store
        self._mark = operator_mark(admin_key_hash)

    async def begin(self, caller: Caller, now_ms: int, *, via: str = "") -> str:
        """Begin a session for a caller who has shown a key, or used a link; return its token.

        Raises Unauthenticated for one who has shown a page's token: that reads what it names, while a session
        may do whatever the token's key may.
        """
        if caller.grant is not None:
            raise Unauthenticated("A page's token begins no session.")
        token = new_page_token()
        session = PageSession(
            id=hashed(token),
            kind=SessionKind.SESSION,
            key_id=caller.key_id,
            key_mark=self._mark if caller.key_id == OPERATOR else "",
            partner_id=caller.partner_id if via else None,
            created_ms=now_ms,
            expires_ms=now_ms + SESSION_MS,
        )
        await self._store.write(add_page_session, session)
        return token

    async def find(self, token: str, now_ms: int) -> Session | None:
        """Return the session of a cookie; None where it is over. Raises Forbidden (a suspended partner)."""
        bearer = await self._store.read(find_page_session, hashed(token), SessionKind.SESSION, now_ms)
        caller = None if bearer is None else self._caller(bearer, now_ms)
        return None if caller is None else Session(id=hashed(token), token=token, caller=caller)

    async def use_link(self, token: str, now_ms: int) -> Caller | None:
        """Use a link up; return whom it lets in, None where it is unknown, used or over."""

        def use(tx: Tx) -> Bearer | None:
            bearer = find_page_session(tx, hashed(token), SessionKind.LINK, now_ms)
            return bearer if bearer is not None and end_page_session(tx, bearer.session.id) else None

        bearer = await self._store.write(use)
        return None if bearer is None else self._caller(bearer, now_ms)

    async def end(self, session: Session) -> None:
        """End a session."""
        await self._store.write(end_page_session, session.id)

    def _caller(self, bearer: Bearer, now_ms: int) -> Caller | None:
        session, credential, partner = bearer.session, bearer.credential, bearer.partner
        scopes, name = frozenset(SCOPES), ""
        if session.key_id == OPERATOR:
            if not self._mark or session.key_mark != self._mark:
                return None
        elif credential is None or not credential.is_good(now_ms):
            return None
        else:
            name = credential.key.name
            if credential.partner is not None:
                scopes, partner = frozenset(credential.key.scopes), credential.partner
        if session.partner_id is not None and (partner is None or partner.id != session.partner_id):
            return None
        if partner is not None and partner.suspended:
            raise Forbidden("This partner is suspended.")
        by_link = session.partner_id is not None
        return Caller(
            key_id=session.key_id,
            key_name=name,
            partner=partner,
            scopes=scopes - LASTING if by_link else scopes,
            via=LINK if by_link else "",
        )


def cookies(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the cookies of a request by name, each as it was sent.

    A browser sends those of every service of this host, whatever its port, in any spelling: one that is odd
    hides no other (RFC 6265 section 5.4). `http.cookies` stops at the first.
    """
    pairs = (one.partition("=") for one in headers.get(b"cookie", b"").decode("latin-1").split(";"))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def cookie(name: str, value: str, *, path: str, secure: bool, seconds: int) -> str:
    """Return a `Set-Cookie`; no `seconds` removes it."""
    attributes = f"Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    return f"{name}={value}; {attributes}{'; Secure' if secure else ''}"


def cookie_name(side: str) -> str:
    """Return the name of a side's cookie: an admin may look into a portal without being logged out."""
    return f"webhookd_{side}"


def session_cookie(side: str, token: str, *, secure: bool) -> str:
    """Return the `Set-Cookie` of a session; an empty token removes it."""
    seconds = SESSION_MS // 1000 if token else 0
    return cookie(cookie_name(side), token, path="/", secure=secure, seconds=seconds)
