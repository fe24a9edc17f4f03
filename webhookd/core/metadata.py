"""Searching metadata: what a pair of name and value is found by.

Values may be 16 KiB long and no index takes that, so a pair stands in the index as a digest. It is exact: two
pairs of one digest do not occur.
"""

from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

import orjson

_DIGEST_BYTES: Final = 15
MAX_SEARCHED: Final = 3


def metadata_tag(name: str, value: str) -> str:
    """Return what a pair is found by; `value` is text as it stands in a query string."""
    digest = blake2b(f"{len(name)}:{name}={value}".encode(), digest_size=_DIGEST_BYTES).digest()
    return urlsafe_b64encode(digest).decode()


def metadata_tags(metadata_json: str) -> list[str]:
    """Return those of each pair. What is no text is found as JSON writes it: `42`, `true`, `null`."""
    if metadata_json == "{}":
        return []
    pairs = orjson.loads(metadata_json).items()
    return [
        metadata_tag(name, one if isinstance(one, str) else orjson.dumps(one).decode()) for name, one in pairs
    ]
