"""Bearer keys: who calls, and a brake on guessing.

A key that was looked up is trusted for RECHECK_SECONDS, so a revocation, a suspension or new limits
bite within that time in every process, and at once in the one that made the change. Keys are hashed on
arrival; their texts are kept nowhere.

Only a key of ours that was right before goes past the brake, because neighbours of a guesser share its
address and such a key has 256 random bits. The operator's own WEBHOOKD_ADMIN_KEY, which a person may have
made up, never does.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from webhookd.adapters.store.access.api_keys import Credential
from webhookd.api.caller import OPERATOR, Caller
from webhookd.api.client_address import Network, client_address
from webhookd.api.guess_brake import GuessBrake
from webhookd.core import api_keys
from webhookd.core.errors import Forbidden, Unauthenticated
from webhookd.core.model import SCOPES
from webhookd.core.page_tokens import PREFIX, Grant, PageTokens
from webhookd.core.records import ApiKey, Partner
from webhookd.runtime.single_flight import SingleFlight

RECHECK_SECONDS: Final = 3.0
_MOST_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    caller: Caller
    key: ApiKey
    checked_ms: int
    changes: int

    def is_good(self, now_ms: int) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.key.revoked_ms is None and (self.key.expires_ms is None or now_ms < self.key.expires_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Whose key made a token, and the partner whose things it shows."""

    credential: Credential | None
    operator_tag: str | None
    partner: Partner | None
    checked_ms: int
    changes: int

    def is_good(self, grant: Grant, now_ms: int) -> bool:
        """Whether the key is still good, and was that partner's or an admin's."""
        if self.credential is None:
            return self.operator_tag is not None and self.operator_tag == grant.key_tag
        of_whom = self.credential.key.partner_id
        return of_whom in (None, grant.partner_id) and self.credential.is_good(now_ms)

    def may(self, scope: str) -> bool:
        """Whether the key itself has a scope."""
        key = None if self.credential is None else self.credential.key
        return key is None or key.partner_id is None or scope in key.scopes


def key_tag(admin_key_hash: bytes) -> str:
    """Return what tells one WEBHOOKD_ADMIN_KEY from another, and nothing of it."""
    return hashlib.sha256(b"token of " + admin_key_hash).hexdigest()[:32]


class Authenticator:
    """Turns a key into a Caller. Use it on one event loop."""

    def __init__(
        self,
        find: Callable[[str], Awaitable[Credential | None]],
        *,
        admin_key_hash: bytes | None,
        trusted_proxies: Sequence[Network],
        now_ms: Callable[[], int],
        tokens: PageTokens,
        find_partner: Callable[[str], Awaitable[Partner | None]],
        changes: Callable[[], int] = lambda: 0,
        used: Callable[[str, int], None] = lambda _key_id, _now_ms: None,
    ) -> None:
        self._find = find
        self._tokens = tokens
        self._find_partner = find_partner
        self._changes = changes
        self._used = used
        self._granted: LRUCache[tuple[str, str], _Maker] = LRUCache(_MOST_KEYS)
        self._admin_key_hash = admin_key_hash
        self._trusted_proxies = trusted_proxies
        self._now_ms = now_ms
        self._seen: LRUCache[bytes, _Seen] = LRUCache(_MOST_KEYS)
        self._lookups = SingleFlight[tuple[bytes, int], _Seen | None]()
        self._brake = GuessBrake(now_ms)

    async def caller(self, headers: Mapping[bytes, bytes], peer: str | None) -> Caller:
        """Return who calls by the `Authorization` header; `peer` is the address of the connection.

        Raises Unauthenticated, Forbidden (suspended), RateLimited (too many wrong keys from there).
        """
        header = headers.get(b"authorization")
        if header is None:
            raise Unauthenticated("A key is needed: send Authorization: Bearer <key>.")
        scheme, _, text = header.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthenticated("The Authorization header must be: Bearer <key>.")
        return await self.identify(text.strip().decode("latin-1"), headers, peer)

    async def identify(self, text: str, headers: Mapping[bytes, bytes], peer: str | None) -> Caller:
        """Return whose key, or token, `text` is. Raises as `caller`."""
        if text.startswith(PREFIX):
            return await self._bearer(text)
        presented = api_keys.parse(text)
        digest = api_keys.hash_text(text) if presented is None else presented.hash
        now_ms = self._now_ms()
        seen = self._seen.get(digest)
        if seen is None:
            async with self._brake.guess(client_address(peer, headers, self._trusted_proxies)) as guess:
                if self._admin_key_hash is not None and hmac.compare_digest(digest, self._admin_key_hash):
                    guess.right = True
                    return Caller(key_id=OPERATOR, partner=None, scopes=frozenset(SCOPES))
                seen = None if presented is None else await self._look_up(presented, now_ms)
                guess.right = seen is not None and seen.is_good(now_ms)
        elif presented is not None and self._is_old(seen, now_ms):
            seen = await self._look_up(presented, now_ms)
        if seen is None or not seen.is_good(now_ms):
            self._seen.pop(digest, None)
            raise Unauthenticated("The key is wrong, expired or revoked.")
        if seen.caller.partner is not None and seen.caller.partner.suspended:
            raise Forbidden("This partner is suspended.")
        self._used(seen.key.id, now_ms)
        return seen.caller

    async def _bearer(self, text: str) -> Caller:
        """Return who has a token. Nobody guesses one, so there is no brake. Raises as `caller`."""
        now_ms = self._now_ms()
        grant = self._tokens.read(text, now_ms)
        maker = None if grant is None else await self._maker(grant, now_ms)
        if grant is None or maker is None or maker.partner is None or not maker.is_good(grant, now_ms):
            raise Unauthenticated("The token is wrong, has expired, or its key is no longer good.")
        if maker.partner.suspended:
            raise Forbidden("This partner is suspended.")
        return Caller(
            key_id=grant.key_id,
            partner=maker.partner,
            scopes=frozenset(scope for scope in grant.scopes if maker.may(scope)),
            grant=grant,
        )

    async def _maker(self, grant: Grant, now_ms: int) -> "_Maker":
        known = self._granted.get((grant.key_id, grant.partner_id))
        if known is not None and not self._is_old(known, now_ms):
            return known
        changes = self._changes()
        tag = None if self._admin_key_hash is None else key_tag(self._admin_key_hash)
        credential = None if grant.key_id == OPERATOR else await self._find(grant.key_id)
        known = _Maker(
            credential=credential,
            operator_tag=tag if grant.key_id == OPERATOR else None,
            partner=await self._find_partner(grant.partner_id),
            checked_ms=now_ms,
            changes=changes,
        )
        self._granted[grant.key_id, grant.partner_id] = known
        return known

    def _is_old(self, known: _Seen | _Maker, now_ms: int) -> bool:
        return now_ms - known.checked_ms >= RECHECK_SECONDS * 1000 or known.changes != self._changes()

    async def _look_up(self, presented: api_keys.PresentedKey, now_ms: int) -> _Seen | None:
        """Read the key's row, once for all who ask at the same time."""
        changes = self._changes()
        asked = presented.hash, changes
        return await self._lookups.get(asked, lambda: self._read(presented, now_ms, changes))

    async def _read(self, presented: api_keys.PresentedKey, now_ms: int, changes: int) -> _Seen | None:
        credential = await self._find(presented.id)
        if credential is None or not hmac.compare_digest(presented.hash, credential.key.secret_hash):
            return None
        seen = _Seen(
            caller=Caller(
                key_id=credential.key.id,
                partner=credential.partner,
                scopes=frozenset(credential.key.scopes),
                key_name=credential.key.name,
            ),
            key=credential.key,
            checked_ms=now_ms,
            changes=changes,
        )
        self._seen[presented.hash] = seen
        return seen
