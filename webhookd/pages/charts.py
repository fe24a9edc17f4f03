"""Charts as SVG: bars of what succeeded and failed, and lines. A sentence beside each says the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

HEIGHT: Final = 40.0
_LEAST: Final = 0.6
"""What is there at all can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One step of a series, in a box of 100 by HEIGHT; `title` is told on hover."""

    x: float
    width: float
    good: float
    bad: float
    title: str

    @property
    def good_y(self) -> float:
        """Where the bar of what succeeded begins."""
        return round(HEIGHT - self.good, 2)

    @property
    def bad_y(self) -> float:
        """Where the bar of what failed begins, on top of the other."""
        return round(HEIGHT - self.good - self.bad, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Columns, a line above them, and what they say in a sentence."""

    columns: tuple[Column, ...]
    line: str
    label: str


def attempts_chart(series: Sequence[Any], *, window: str) -> Chart:
    """Return the attempts of an endpoint's stats, with the 95th percentile of the answers as a line."""
    most = max((step["attempts"] for step in series), default=0) or 1
    slowest = max((step["p95_ms"] or 0.0 for step in series), default=0.0) or 1.0
    width = 100 / max(1, len(series))
    columns, points = [], []
    for index, step in enumerate(series):
        failed = step["attempts"] - step["delivered"]
        columns.append(
            Column(
                x=round(index * width, 3),
                width=round(width * 0.8, 3),
                good=_height(step["delivered"], most),
                bad=_height(failed, most),
                title=f"{step['at'][:16].replace('T', ' ')}: {step['delivered']} delivered, {failed} failed",
            )
        )
        if step["p95_ms"] is not None:
            points.append(f"{(index + 0.4) * width:.2f},{HEIGHT - step['p95_ms'] / slowest * HEIGHT:.2f}")
    attempts = sum(step["attempts"] for step in series)
    delivered = sum(step["delivered"] for step in series)
    label = f"{attempts:,} attempts in {window}, {delivered:,} delivered, {attempts - delivered:,} failed"
    return Chart(columns=tuple(columns), line=" ".join(points), label=label)


def _height(count: int, most: int) -> float:
    return 0.0 if not count else round(max(_LEAST, count / most * HEIGHT), 2)
