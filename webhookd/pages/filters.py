"""The filters of a list: as people type them into its form, and as the API takes them.

They stand in the URL as they were typed, so a page that is passed on shows what its sender saw. Only times
are told differently: the API takes RFC 3339, people write dates.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from webhookd.core.errors import FieldError, Invalid
from webhookd.core.times import parse_rfc3339, to_rfc3339

DAY_MS: Final = 86_400_000
_DATED: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]+)?)?)?"
)
_HOW: Final = "must be a date such as 2026-11-30, or a date and time such as 2026-11-30 06:00"


class Filters(dict[str, str]):
    """A page's filters; one that is not set is empty."""

    def __missing__(self, name: str) -> str:
        return ""


def told(filters: Mapping[str, str]) -> dict[str, str]:
    """Return filters as the API takes them. Raises Invalid, with an error for each time that is none."""
    asked, faults = readable(filters)
    if faults:
        errors = [FieldError(path=f"$.{name}", message=fault) for name, fault in faults.items()]
        raise Invalid("A time cannot be read.", errors=errors)
    return asked


def readable(filters: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return filters as the API takes them, without the times that are none, and what is wrong with those."""
    asked, faults = dict(filters), {}
    for name, read in _TIMES.items():
        if name in asked:
            try:
                asked[name] = to_rfc3339(read(asked[name].strip()))
            except (ValueError, OverflowError):
                faults[name] = _HOW
                del asked[name]
    return asked, faults


def beginning(text: str) -> int:
    """Return the ms of a time as people write it, in UTC; of a date its beginning. Raises ValueError."""
    return _read(text)[0]


def end(text: str) -> int:
    """The same; of a date its end, which is the next one's beginning."""
    at_ms, is_date = _read(text)
    return at_ms + DAY_MS if is_date else at_ms


def _read(text: str) -> tuple[int, bool]:
    match = _DATED.fullmatch(text)
    if match is None:
        return parse_rfc3339(text), False
    date, clock, seconds = match.groups()
    return parse_rfc3339(f"{date}T{clock or '00:00'}{seconds or ':00'}Z"), clock is None


_TIMES: Final[dict[str, Callable[[str], int]]] = {"since": beginning, "until": end}
