"""What this process has counted since it last told the others: increments only, all integers.

A series is a family's name with the values of its labels. A field is how one number of a series is
called among the shared totals: `name␟label…␟part`, where `part` is empty for a counter, and of a
histogram `sum` or the upper bound of a bucket.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from webhookd.adapters.metrics.families import FAMILIES

Series = tuple[str, ...]

SEPARATOR: Final = "\x1f"
SUM: Final = "sum"
INFINITE: Final = "+Inf"


class Tally:
    """Counts. Use it on one event loop."""

    def __init__(self) -> None:
        self._counts: dict[Series, int] = {}
        self._observed: dict[Series, list[int]] = {}

    def count(self, *series: str, by: int = 1) -> None:
        """Add to a counter: its name, then the values of its labels; `by` in what the family keeps."""
        self._counts[series] = self._counts.get(series, 0) + by

    def observe(self, *series: str, microseconds: int) -> None:
        """Add a duration to a histogram."""
        bounds = FAMILIES[series[0]].bounds
        kept = self._observed.get(series)
        if kept is None:
            kept = self._observed[series] = [0] * (len(bounds) + 2)
        kept[bisect_left(bounds, microseconds / 1_000_000)] += 1
        kept[-1] += microseconds

    def take(self) -> dict[str, int]:
        """Return the increments by field, and start anew."""
        fields = {SEPARATOR.join((*series, "")): by for series, by in self._counts.items() if by}
        for series, kept in self._observed.items():
            names = (*map(str, FAMILIES[series[0]].bounds), INFINITE, SUM)
            fields |= {
                SEPARATOR.join((*series, name)): by for name, by in zip(names, kept, strict=True) if by
            }
        self._counts, self._observed = {}, {}
        return fields


def is_field(text: str) -> bool:
    """Whether this is the name of a number that some release of ours may keep."""
    name, *rest = text.split(SEPARATOR)
    family = FAMILIES.get(name)
    if family is None:  # of another release, during an upgrade; nobody shows it
        return name.startswith("webhookd_") and all(one.isprintable() for one in rest)
    if not family.kept or len(rest) != len(family.labels) + 1 or not all(one.isprintable() for one in rest):
        return False
    return rest[-1] in (*map(str, family.bounds), INFINITE, SUM) if family.bounds else rest[-1] == ""


def add(totals: dict[str, int], increments: Mapping[str, int]) -> None:
    """Add increments to totals in place."""
    for field, by in increments.items():
        totals[field] = totals.get(field, 0) + by
