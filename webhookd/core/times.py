"""Times on the wire: RFC 3339 in UTC with milliseconds, against Unix milliseconds inside.

No clock lives here; every time is an argument.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def to_rfc3339(ms: int) -> str:
    """Return Unix milliseconds as `2026-11-24T06:00:00.000Z`.

    Raises OverflowError outside the years 1 to 9999.
    """
    # The fixed-width offset `+00:00` is what `isoformat` appends for UTC.
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"


def opt_rfc3339(ms: int | None) -> str | None:
    """Return the same, or None for no time."""
    return None if ms is None else to_rfc3339(ms)


def parse_rfc3339(text: str) -> int:
    """Return the Unix milliseconds of an RFC 3339 date-time (section 5.6), with `Z` or any offset.

    Digits past the millisecond are rounded up: every time kept is a whole millisecond, so each is on the same
    side of the result as of the time itself, whether that side takes it in or not. Raises ValueError for
    anything else: no offset, a space for the `T`, a date that does not exist, a leap second, or a UTC time
    outside the years 1 to 9999.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("must be an RFC 3339 time with a UTC offset, such as 2026-11-24T06:00:00Z")
    date, clock, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
    try:
        at = datetime.fromisoformat(f"{date}T{clock}Z") + (offset if sign == "-" else -offset)
        digits = (fraction or "").ljust(3, "0")
        ms = int(digits[:3]) + bool(digits[3:].strip("0"))
        return (at + ms * _MILLISECOND - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise ValueError("is not a time of the calendar") from None
