"""Charts as SVG: bars of what succeeded and failed, and lines. A sentence beside each says the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webhookd.pages.shown import ms, number

HEIGHT: Final = 40.0
MINUTES: Final = {"1h": 60, "24h": 1_440, "7d": 10_080}
_LEAST: Final = 0.6
"""What is there at all can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartStep:
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
    """Columns, one or two lines above them, and what they say in a sentence."""

    columns: tuple[ChartStep, ...]
    label: str
    line: str = ""
    half: str = ""


def attempts_chart(stats: Mapping[str, Any], *, window: str) -> Chart:
    """Return the attempts of an endpoint's stats, with the 95th percentile of the answers as a line."""
    series, attempts, delivered = stats["series"], stats["attempts"], stats["delivered"]
    label = f"{attempts:,} attempts in {window}, {delivered:,} delivered, {attempts - delivered:,} failed"
    if attempts:
        rate = number(attempts / MINUTES[window])
        label += f"; {rate} a minute, p50 {ms(stats['p50_ms'])}, p95 {ms(stats['p95_ms'])}"
    return Chart(
        columns=_columns(series, "attempts", "delivered"),
        line=_line(series, "p95_ms", _slowest(series, "p95_ms")),
        label=label,
    )


def throughput_chart(figures: Mapping[str, Any], *, what: str, window: str) -> Chart:
    """Return how many of `what` succeeded and failed in each step of the service's activity."""
    series, total, succeeded = figures["series"], figures["total"], figures["succeeded"]
    most = max(series, key=lambda step: step["total"])
    label = f"{total:,} {what} in {window}, {succeeded:,} succeeded, {total - succeeded:,} failed"
    if total:
        label += f"; {number(figures['per_second'])} a second, most at {_clock(most)} with {most['total']:,}"
    return Chart(columns=_columns(series, "total", "succeeded"), label=label)


def latency_chart(figures: Mapping[str, Any], *, what: str) -> Chart:
    """Return what half, and what 95 of 100, took at most in each step of the service's activity."""
    series, slowest = figures["series"], _slowest(figures["series"], "p95_ms")
    label = f"{what}: p50 {ms(figures['p50_ms'])}, p95 {ms(figures['p95_ms'])}"
    if figures["p95_ms"] is not None:
        worst = max(series, key=lambda step: step["p95_ms"] or 0.0)
        label += f"; slowest p95 at {_clock(worst)} with {ms(worst['p95_ms'])}"
    return Chart(
        columns=(), line=_line(series, "p95_ms", slowest), half=_line(series, "p50_ms", slowest), label=label
    )


def _columns(series: Sequence[Any], total: str, good: str) -> tuple[ChartStep, ...]:
    most = max((step[total] for step in series), default=0) or 1
    width = 100 / max(1, len(series))
    return tuple(
        ChartStep(
            x=round(index * width, 3),
            width=round(width * 0.8, 3),
            good=_height(step[good], most),
            bad=_height(step[total] - step[good], most),
            title=(
                f"{step['at'][:16].replace('T', ' ')}: "
                f"{step[good]} {'delivered' if good == 'delivered' else 'succeeded'}, "
                f"{step[total] - step[good]} failed"
            ),
        )
        for index, step in enumerate(series)
    )


def _slowest(series: Sequence[Any], name: str) -> float:
    return max((step[name] or 0.0 for step in series), default=0.0) or 1.0


def _line(series: Sequence[Any], name: str, slowest: float) -> str:
    """Return a line over the steps that have a value; one alone is a dash as wide as its step."""
    width = 100 / max(1, len(series))
    points = [
        (index, HEIGHT - step[name] / slowest * HEIGHT)
        for index, step in enumerate(series)
        if step[name] is not None
    ]
    if len(points) == 1:
        ((index, y),) = points
        return f"{index * width:.2f},{y:.2f} {(index + 0.8) * width:.2f},{y:.2f}"
    return " ".join(f"{(index + 0.4) * width:.2f},{y:.2f}" for index, y in points)


def _clock(step: Any) -> str:
    at: str = step["at"]
    return at[11:16]


def _height(count: int, most: int) -> float:
    return 0.0 if not count else round(max(_LEAST, count / most * HEIGHT), 2)
