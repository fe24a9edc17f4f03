"""Links to a file's bytes that need no key: signed, for one file and one purpose, until a time.

The text is `<until, hexadecimal>.<HMAC-SHA256, base64url>`; keys are newest first, the first signs, each is
taken. Who has the link has the file, as with the signed URLs of object stores.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

DOWNLOAD_MS: Final = 7 * 86_400_000
UPLOAD_MS: Final = 3_600_000
KEY_PURPOSE: Final = "file links"

_TOKEN: Final = re.compile(r"([0-9a-f]{1,12})\.([A-Za-z0-9_-]{43})")


class Link(StrEnum):
    """What a link is good for."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


class FileLinks:
    """Signs and checks. `keys` gives secret keys, newest first."""

    def __init__(self, keys: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys

    def token(self, link: Link, file_id: str, until_ms: int) -> str:
        """Return what lets its bearer do this with this file until then."""
        return f"{until_ms:x}.{_signed(self._keys()[0], link, file_id, until_ms)}"

    def is_good(self, link: Link, file_id: str, token: str, now_ms: int) -> bool:
        """Whether this was signed here, for this, and its time is not over."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return False
        until_ms = int(parts[1], 16)
        known = [_signed(key, link, file_id, until_ms) for key in self._keys()]
        right = [hmac.compare_digest(parts[2], signed) for signed in known]
        return any(right) and now_ms < until_ms


def content_url(file_id: str, base_url: str) -> str:
    """Return where a file's bytes are; a token goes into its query."""
    return f"{base_url}/v1/files/{file_id}/content"


def _signed(key: bytes, link: Link, file_id: str, until_ms: int) -> str:
    text = f"{link.value}\n{file_id}\n{until_ms}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, text, hashlib.sha256)).rstrip(b"=").decode()
