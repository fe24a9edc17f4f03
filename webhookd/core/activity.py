"""What the whole service does: runs of tasks and attempts of deliveries, in spans like an endpoint's.

Each worker process keeps its own spans; a window is drawn of those of all. Deliveries to inline callbacks
count too, which no endpoint's figures know.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from webhookd.core.endpoint_stats import HOUR_MS, MINUTE_MS, Counted, Window
from webhookd.core.execution import End
from webhookd.core.facts import AttemptEnded, RunEnded

FIVE_MINUTES_MS: Final = 5 * MINUTE_MS
SPANS_MS: Final = (MINUTE_MS, FIVE_MINUTES_MS)
"""The lengths of the spans that are kept."""
WINDOWS: Final[Mapping[str, Window]] = {
    "1h": Window(length_ms=HOUR_MS, span_ms=MINUTE_MS, step_ms=MINUTE_MS),
    "6h": Window(length_ms=6 * HOUR_MS, span_ms=FIVE_MINUTES_MS, step_ms=FIVE_MINUTES_MS),
    "24h": Window(length_ms=24 * HOUR_MS, span_ms=FIVE_MINUTES_MS, step_ms=3 * FIVE_MINUTES_MS),
}
KEEP_MS: Final[Mapping[int, int]] = {MINUTE_MS: 2 * HOUR_MS, FIVE_MINUTES_MS: 25 * HOUR_MS}
"""How long spans of a length are kept: a little longer than the longest window that is made of them."""

_ENDS: Final = frozenset({End.SUCCEEDED, End.FAILED, End.RETRY})
_NOT_COUNTED: Final = frozenset({"lost", "not_counted"})


class ActivityKind(StrEnum):
    """What is counted."""

    RUNS = "runs"
    ATTEMPTS = "attempts"


def counted_run(fact: RunEnded, now_ms: int) -> Counted | None:
    """Return a run as it is counted: its time is from falling due to its end.

    None where it came to nothing: cancelled, handed back or lost.
    """
    if fact.outcome not in _ENDS:
        return None
    error = None if fact.outcome == End.SUCCEEDED else fact.error or fact.outcome
    return Counted(at_ms=now_ms, error=error, answer_us=(max(0, fact.wait_ms) + fact.run_ms) * 1000)


def counted_attempt(fact: AttemptEnded, now_ms: int) -> Counted | None:
    """Return an attempt as it is counted: its time is the answer's. None where it was lost or not counted."""
    if fact.verdict in _NOT_COUNTED:
        return None
    error = None if fact.verdict == "delivered" else fact.error or "protocol"
    return Counted(at_ms=now_ms, error=error, answer_us=None if fact.status is None else fact.duration_us)
