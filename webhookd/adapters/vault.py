"""Secrets at rest: AES-256-GCM under a ring of keys, each ciphertext bound to its row.

A sealed text is `v1.<key id>.<base64 of nonce, ciphertext and tag>`. The associated data is the row's
(partner, endpoint, field), so a ciphertext copied to another row does not open. The ring is newest first:
the first key seals, every key opens. Where sealed texts are kept is the store's business.

Texts that were opened are remembered, because opening one costs as much as signing with it. The memory is
asked with all that the seal is bound to, so it opens nothing that the cipher would not.

A vault may be told where to look for a changed ring. It looks before it seals, and where it meets a key it
does not know; what it once knew it goes on opening, so that no process is ever worse off for having looked.
"""

import hmac
import json
import logging
import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from webhookd.core.errors import ServiceError, SettingsError

_log = logging.getLogger(__name__)

_FORMAT: Final = "v1"
_MADE_BY: Final = "`openssl rand -base64 32` makes one"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12  # NIST SP 800-38D; random nonces are safe for 2**32 seals per key
_KEY_ID_DIGITS: Final = 8
_MAX_OPENED: Final = 4_096
_MAX_REMEMBERED_CHARS: Final = 16_384

_Opened = tuple[str, str, str | None, str]
"""A sealed text with the partner, the endpoint and the field it was opened for."""


class SealBroken(ServiceError):
    """Raised when a sealed text is damaged, or was moved from the row it was sealed for."""

    code, title = "seal_broken", "Stored Secret Unreadable"


class Vault:
    """Seals and opens secrets. Holds the keys for the life of the process; thread-safe."""

    __slots__ = ("_changed", "_opened", "_ring")

    def __init__(
        self, keys: Sequence[str], *, changed: Callable[[], Sequence[str] | None] | None = None
    ) -> None:
        """Take base64 texts of 32 bytes each, newest first. Raises SettingsError.

        `changed` returns another ring where there is one by now, else None.
        """
        self._ring = _parse_ring(keys)
        self._changed = changed
        self._opened: dict[_Opened, bytes] = {}

    @property
    def newest_id(self) -> str:
        """The id of the key that seals."""
        return next(iter(self._ring))

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Return a key of 32 bytes for this purpose alone, made of each key of the ring, newest first."""
        return tuple(hmac.digest(key.raw, purpose.encode(), sha256) for key in self._ring.values())

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, newest first."""
        return tuple(self._ring)

    def seal(self, plain: bytes, *, partner: str, endpoint: str | None, field: str) -> str:
        """Encrypt `plain` for this row under the newest key. `endpoint` None is the partner's own secret."""
        self._look()
        newest_id, newest = next(iter(self._ring.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = newest.cipher.encrypt(nonce, plain, _row(partner, endpoint, field))
        return f"{_FORMAT}.{newest_id}.{b2a_base64(nonce + sealed, newline=False).decode()}"

    def open(self, text: str, *, partner: str, endpoint: str | None, field: str) -> bytes:
        """Decrypt a sealed text of this row and field.

        Raises SettingsError where its key is not in the ring, SealBroken where it is damaged or is
        another row's.
        """
        asked = text, partner, endpoint, field
        plain = self._opened.get(asked)
        if plain is None:
            plain = self._decrypt(*asked)
            if len(self._opened) >= _MAX_OPENED:
                self._opened.clear()
            if len(text) <= _MAX_REMEMBERED_CHARS:
                self._opened[asked] = plain
        return plain

    def _decrypt(self, text: str, partner: str, endpoint: str | None, field: str) -> bytes:
        where = f"The sealed {field} of {endpoint or partner}"
        used_id, raw = _split(text, where)
        self.require([used_id])
        try:
            return self._ring[used_id].cipher.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _row(partner, endpoint, field)
            )
        except InvalidTag:
            raise SealBroken(
                f"{where} does not open: it is damaged, or was sealed for another row."
            ) from None

    def require(self, key_ids: Iterable[str]) -> None:
        """Check, at start, that the ring has every key in use. Raises SettingsError naming the missing."""
        missing = set(key_ids) - self._ring.keys()
        if missing:
            self._look()
        if missing := missing - self._ring.keys():
            raise SettingsError(
                f"WEBHOOKD_ENCRYPTION_KEYS lacks a key in use (id {', '.join(sorted(missing))}); "
                "add it after the newest (without that setting: in encryption.keys in the data dir), and "
                "keep it there until `webhookd rotate-encryption-key` has run."
            )

    def _look(self) -> None:
        if self._changed is None:
            return
        try:
            keys = self._changed()
            ring = None if keys is None else _parse_ring(keys)
        except SettingsError as error:
            _log.warning("the encryption keys stay as they were: %s", error.detail)
            return
        if ring is not None:
            self._ring = ring | {known: key for known, key in self._ring.items() if known not in ring}


def key_id(text: str) -> str:
    """Return the id of the key a sealed text needs. Raises SealBroken where it is no sealed text."""
    used_id, _ = _split(text, "A sealed text")
    return used_id


def generate_key() -> str:
    """Return a new key for WEBHOOKD_ENCRYPTION_KEYS."""
    return b2a_base64(os.urandom(_KEY_BYTES), newline=False).decode()


@dataclass(frozen=True, slots=True, repr=False)
class _RingKey:
    cipher: AESGCM
    raw: bytes


def _parse_ring(keys: Sequence[str]) -> dict[str, _RingKey]:
    ring = dict(_parse_key(text, place) for place, text in enumerate(keys, start=1))
    if not ring:
        raise SettingsError("WEBHOOKD_ENCRYPTION_KEYS is empty; it needs at least one key.")
    if len(ring) != len(keys):
        raise SettingsError("WEBHOOKD_ENCRYPTION_KEYS lists the same key twice.")
    return ring


def _parse_key(text: str, place: int) -> tuple[str, _RingKey]:
    """Return a key with its id; errors name its place in the list, never its text."""
    try:
        raw = a2b_base64(text.strip(), strict_mode=True)
    except ValueError:
        raise SettingsError(f"WEBHOOKD_ENCRYPTION_KEYS: key {place} is not base64; {_MADE_BY}.") from None
    if len(raw) != _KEY_BYTES:
        raise SettingsError(
            f"WEBHOOKD_ENCRYPTION_KEYS: key {place} is {len(raw)} bytes long; it must be {_KEY_BYTES}; "
            f"{_MADE_BY}."
        )
    return sha256(raw).hexdigest()[:_KEY_ID_DIGITS], _RingKey(AESGCM(raw), raw)


def _split(text: str, where: str) -> tuple[str, bytes]:
    version, _, rest = text.partition(".")
    used_id, _, encoded = rest.partition(".")
    try:
        raw = a2b_base64(encoded, strict_mode=True)
    except ValueError:
        raw = b""
    if version != _FORMAT or len(used_id) != _KEY_ID_DIGITS or len(raw) <= _NONCE_BYTES:
        raise SealBroken(f"{where} is not a text this vault has made.")
    return used_id, raw


def _row(partner: str, endpoint: str | None, field: str) -> bytes:
    """Name the row without ambiguity, whatever the ids contain."""
    return json.dumps([partner, endpoint, field]).encode()
