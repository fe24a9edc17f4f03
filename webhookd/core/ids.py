"""Ids: a prefix that names the kind, then 26 characters of Crockford base32, lower case.

The first ten characters are the time in milliseconds and the other sixteen are 80 random bits
(the ULID layout), so ids sort by the time they were made and index pages fill in order.
Time and entropy are arguments; `adapters.entropy` supplies them.
"""

import re
from typing import Final

PARTNER: Final = "prt"
KEY: Final = "key"
ENDPOINT: Final = "ep"
TASK: Final = "task"
MESSAGE: Final = "msg"
DELIVERY: Final = "dlv"
REPLAY: Final = "rpl"
DISCARD: Final = "dsc"
SECRET: Final = "sec"
SESSION: Final = "ses"
AUDIT: Final = "aud"
FILE: Final = "file"
BATCH: Final = "batch"

ENTROPY_BYTES: Final = 10

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID: Final = re.compile(rf"[a-z]{{2,5}}_[{_ALPHABET}]{{26}}")
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def make_id(prefix: str, *, now_ms: int, entropy: bytes) -> str:
    """Return `<prefix>_<26 characters>`.

    `entropy` is ENTROPY_BYTES random bytes. Two ids of one millisecond differ by entropy alone.
    """
    number = ((now_ms & 0xFFFFFFFFFFFF) << 80) | int.from_bytes(entropy, "big")
    return f"{prefix}_" + "".join(_PAIRS[(number >> shift) & 0x3FF] for shift in range(120, -1, -10))


def looks_like_id(text: str) -> bool:
    """Whether this could be an id of ours, and so nothing that may not be shown."""
    return _ID.fullmatch(text) is not None


def made_ms(text: str) -> int | None:
    """Return when an id was made, or None where this is none of ours."""
    if not looks_like_id(text):
        return None
    number = 0
    for character in text[-26:-16]:
        number = number << 5 | _ALPHABET.index(character)
    return number & 0xFFFFFFFFFFFF
