"""Which bytes of a file a request asks for (RFC 9110 sections 13 and 14)."""

import re
from collections.abc import Mapping
from typing import Final

from webhookd.api.etags import etag_matches
from webhookd.api.problems import RangeNotSatisfiable

# A position may have any number of digits (RFC 9110 section 14.1.1); `int` reads 4,300.
_ONE_RANGE: Final = re.compile(
    rb"(?:(\d{1,4000}+)[ \t]*-[ \t]*(\d{1,4000}+)?|-[ \t]*(\d{1,4000}+))",
)


def asked_range(headers: Mapping[bytes, bytes], *, size: int, etag: str) -> tuple[int, int] | None:
    """Return first byte and end (exclusive); None for the whole file.

    A range of another unit, of several parts, or of another version (`If-Range`) counts as none. Raises
    RangeNotSatisfiable.
    """
    asked = _one_range(headers.get(b"range", b""))
    if asked is None or headers.get(b"if-range", etag.encode()).strip() != etag.encode():
        return None
    first, last, suffix = asked.groups()
    if suffix is not None:
        if int(suffix) == 0 or size == 0:
            raise RangeNotSatisfiable(size)
        return max(0, size - int(suffix)), size
    start, end = int(first), size if last is None else min(size, int(last) + 1)
    if last is not None and int(last) < int(first):
        return None  # no range at all (RFC 9110 section 14.1.1)
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, end


def _one_range(header: bytes) -> re.Match[bytes] | None:
    """Return the only range of bytes there is. Units know no case, and a list may have empty members."""
    unit, _, ranges = header.partition(b"=")
    given = [one for one in (member.strip() for member in ranges.split(b",")) if one]
    if unit.strip().lower() != b"bytes" or len(given) != 1:
        return None
    return _ONE_RANGE.fullmatch(given[0])


def is_known(headers: Mapping[bytes, bytes], etag: str) -> bool:
    """Whether `If-None-Match` has this version."""
    return etag_matches(etag, headers.get(b"if-none-match", b"").decode("latin-1"))
