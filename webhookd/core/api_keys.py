"""API keys as text: `whk_<id>_<secret>` for a partner, `wha_<id>_<secret>` for an admin.

The id part finds the row, the secret part is 32 random bytes in base62, and the store keeps only the
SHA-256 of the whole text. A plain hash is enough: there is nothing to guess in 256 random bits.
Scopes, expiry and revocation are the row's business.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from webhookd.core import ids
from webhookd.core.errors import SettingsError

PARTNER_PREFIX: Final = "whk"
ADMIN_PREFIX: Final = "wha"

SECRET_BYTES: Final = 32
ENTROPY_BYTES: Final = ids.ENTROPY_BYTES + SECRET_BYTES
SHORTEST_OPERATOR_KEY: Final = 16
USE_EXACT_TO_MS: Final = 60_000
"""How exact the time of a key's last use is."""
FIRST_ADMIN_KEY: Final = "first admin key"
"""What the admin key is called that a new installation makes; the audit names keys, so no two are alike."""

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43  # 62**43 > 2**256
_KEY: Final = re.compile(rf"(whk|wha)_([0-9a-hjkmnp-tv-z]{{26}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}}")
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key at its making. `text` is shown once and kept nowhere; `hash` (32 bytes) is stored."""

    id: str
    text: str = field(repr=False)
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedKey:
    """What a caller's key says of itself: which row to look up (`key_…`), and the hash to compare."""

    id: str
    prefix: str
    hash: bytes


def first_key_name(partner: str) -> str:
    """Return what the key is called that a partner of this name is made with."""
    return f"first key of {partner}"


def make(prefix: str, *, now_ms: int, entropy: bytes) -> NewKey:
    """Make a key from ENTROPY_BYTES random bytes. Raises ValueError on another length or prefix."""
    if len(entropy) != ENTROPY_BYTES or prefix not in (PARTNER_PREFIX, ADMIN_PREFIX):
        raise ValueError(f"a {prefix!r} key of {len(entropy)} bytes cannot be made")
    key_id = ids.make_id(ids.KEY, now_ms=now_ms, entropy=entropy[: ids.ENTROPY_BYTES])
    secret = _base62(int.from_bytes(entropy[ids.ENTROPY_BYTES :], "big"))
    text = f"{prefix}_{key_id.removeprefix(ids.KEY + '_')}_{secret}"
    return NewKey(id=key_id, text=text, hash=hash_text(text))


def parse(text: str) -> PresentedKey | None:
    """Read a key's text; None where it cannot be one of ours (an operator's own admin key, or noise)."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    return PresentedKey(id=f"{ids.KEY}_{match[2]}", prefix=match[1], hash=hash_text(text))


def hash_text(text: str) -> bytes:
    """Return the SHA-256 of any text, lone surrogates included: callers send what they like."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def operator_key_hash(text: str) -> bytes:
    """Return the hash of the operator's own WEBHOOKD_ADMIN_KEY.

    Raises SettingsError where it is short, or could not travel in an `Authorization` header.
    """
    if len(text) < SHORTEST_OPERATOR_KEY or not _PRINTABLE.fullmatch(text):
        raise SettingsError(
            f"WEBHOOKD_ADMIN_KEY needs {SHORTEST_OPERATOR_KEY} or more printable ASCII characters, no spaces."
        )
    return hash_text(text)


def operator_mark(key_hash: bytes | None) -> str:
    """Return what tells one operator's key from the next, for sessions that end with it."""
    return "" if key_hash is None else hashlib.sha256(b"pages" + key_hash).hexdigest()


def _base62(number: int) -> str:
    digits = []
    for _ in range(_SECRET_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
