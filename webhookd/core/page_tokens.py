"""Tokens for pages: what a browser may be given in the place of a key. `wht_<what it says>.<HMAC-SHA256>`

A token says itself what its bearer may read, until when, and by whose key it was made; nothing is kept of
it. The signature shows that it was made here. Whether the key is still good is asked at every use, so a token
dies with its key. Keys to sign with are newest first: the first signs, each is taken.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

KEY_PURPOSE: Final = "page tokens"
PREFIX: Final = "wht_"
MAX_TASKS: Final = 100
"""Names in one token: it must fit into a URL, for an EventSource cannot send a header."""
SCOPES: Final = ("tasks:read", "files:read")

_TOKEN: Final = re.compile(r"wht_([A-Za-z0-9_-]{1,8192})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token lets its bearer read: these tasks, or a batch and its tasks, with their files.

    `key_id` made it. `key_tag` tells the operator's own key, which has no row, from a later one; else empty.
    """

    key_id: str
    key_tag: str
    partner_id: str
    scopes: tuple[str, ...]
    task_ids: tuple[str, ...]
    batch_id: str | None
    until_ms: int


class PageTokens:
    """Makes and reads tokens. `keys` gives secret keys, newest first."""

    def __init__(self, keys: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys

    def text(self, grant: Grant) -> str:
        """Return the token of a grant."""
        said = orjson.dumps(
            [
                grant.key_id,
                grant.key_tag,
                grant.partner_id,
                grant.scopes,
                grant.task_ids,
                grant.batch_id,
                grant.until_ms,
            ]
        )
        body = base64.urlsafe_b64encode(said).rstrip(b"=").decode()
        return f"{PREFIX}{body}.{_signed(self._keys()[0], body)}"

    def read(self, text: str, now_ms: int) -> Grant | None:
        """Return what a token says; None where it was not made here, or its time is over."""
        parts = _TOKEN.fullmatch(text)
        if parts is None:
            return None
        right = [hmac.compare_digest(parts[2], _signed(key, parts[1])) for key in self._keys()]
        if not any(right):
            return None
        said = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        key_id, key_tag, partner_id, scopes, task_ids, batch_id, until_ms = said
        if now_ms >= until_ms:
            return None
        return Grant(
            key_id=key_id,
            key_tag=key_tag,
            partner_id=partner_id,
            scopes=tuple(scopes),
            task_ids=tuple(task_ids),
            batch_id=batch_id,
            until_ms=until_ms,
        )


def _signed(key: bytes, body: str) -> str:
    digest = hmac.digest(key, body.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
