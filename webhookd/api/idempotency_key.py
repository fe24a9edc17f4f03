"""The `Idempotency-Key` header: reading it, hashing what it stands for, keeping the answer.

Draft: draft-ietf-httpapi-idempotency-key-header; a key may come bare or as a structured-field string.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

import orjson

from webhookd.api.answers import Answer
from webhookd.core.errors import FieldError, Invalid

MAX_CHARS: Final = 255
HEADER: Final = b"idempotency-key"
_LONGEST: Final = 2 * MAX_CHARS + 2
"""In quotes, each character may be escaped."""
REPLAYED: Final = "Idempotency-Replayed"

_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ESCAPE: Final = re.compile(r"\\(.)")


def parse_key(sent: Sequence[bytes]) -> str | None:
    """Return the key, unquoted, of all headers of this name; None where there is none. Raises Invalid."""
    if not sent:
        return None
    if len(sent) > 1:
        raise Invalid(
            "The Idempotency-Key must be sent once.",
            errors=[FieldError(path="Idempotency-Key", message="must not be given twice")],
        )
    text = sent[0].decode("latin-1").strip(" \t")
    if len(text) > _LONGEST:
        text = ""
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = _ESCAPE.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(text) and not text.startswith('"'):
        key = text
    else:
        key = ""
    if not 0 < len(key) <= MAX_CHARS:
        raise Invalid(
            f"The Idempotency-Key must be 1 to {MAX_CHARS} printable ASCII characters, bare or in quotes.",
            errors=[FieldError(path="Idempotency-Key", message="is not a valid key")],
        )
    return key


def fingerprint(method: str, path: str, body: Any) -> str:
    """Return the hash of a request: its route and its parsed body, whatever the order of members."""
    canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return blake2b(b"%s %s\n%s" % (method.encode(), path.encode(), canonical), digest_size=20).hexdigest()


def freeze(answer: Answer) -> bytes:
    """Return an answer as the bytes to keep."""
    return orjson.dumps([answer.status, dict(answer.headers), answer.body.decode()])


def thaw(kept: bytes, *, replayed: bool) -> Answer:
    """Return the answer kept, marked where it is not the first."""
    status, headers, body = orjson.loads(kept)
    answer = Answer(status=status, headers=headers, body=body.encode())
    return mark_replayed(answer) if replayed else answer


def mark_replayed(answer: Answer) -> Answer:
    """Return the answer with `Idempotency-Replayed: true`."""
    return replace(answer, headers={**answer.headers, REPLAYED: "true"})
