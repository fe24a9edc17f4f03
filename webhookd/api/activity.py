"""`GET /v1/activity`: what the whole service does, in figures and as series for charts."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from typing_extensions import TypedDict

from webhookd.adapters.store.upkeep.activity_spans import read_activity
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, shows
from webhookd.api.call import Call
from webhookd.api.wire import QueryString
from webhookd.core.activity import WINDOWS, ActivityKind
from webhookd.core.endpoint_stats import Span, percentile_ms, summed
from webhookd.core.fields import ActivityWindow, Count, DescribedAs, Timestamp
from webhookd.core.times import to_rfc3339


class ActivityQuery(QueryString):
    """`GET /v1/activity`."""

    window: Annotated[Literal["1h", "6h", "24h"], DescribedAs(ActivityWindow)] = "6h"
    """The time until now that the figures are of; six hours if left out."""


class ActivityStepDocument(TypedDict):
    """A step of a series: a minute of an hour, 5 minutes of six hours, 15 minutes of a day."""

    at: Timestamp
    """When it begins."""
    total: Count
    """How many there were."""
    succeeded: Count
    """How many of them succeeded; the others failed."""
    p50_ms: float | None
    """What half of them took at most; null where none has a time."""
    p95_ms: float | None
    """What 95 of 100 took at most; null where none has a time."""


class ActivityFiguresDocument(TypedDict):
    """What came of the runs, or of the attempts, of a window."""

    total: Count
    """How many there were."""
    succeeded: Count
    """How many of them succeeded; the others failed."""
    per_second: float
    """How many there were a second, on average."""
    p50_ms: float | None
    """What half of them took at most, to a fifth; null where none has a time."""
    p95_ms: float | None
    """What 95 of 100 took at most, to a fifth; null where none has a time."""
    series: list[ActivityStepDocument]
    """The window in steps, the oldest first, the last one under way; empty ones too."""


class ActivityDocument(TypedDict):
    """What the whole service does. Workers tell it every 5 seconds."""

    window: ActivityWindow
    """The time until now that the figures are of."""
    since: Timestamp
    """When the window begins: with a whole step of the series."""
    runs: ActivityFiguresDocument
    """Runs of tasks that succeeded or failed; their time is from falling due to their end."""
    attempts: ActivityFiguresDocument
    """Attempts of deliveries, those to inline callbacks too; their time is that of the answer."""


async def show(call: Call[None, ActivityQuery]) -> Answer:
    """`GET /v1/activity`."""
    window, parts = call.query.window, call.parts
    steps = await parts.activity_reads.get(window, lambda: parts.store.read(read_activity, WINDOWS[window]))
    return json_answer(200, activity_document(steps[ActivityKind.RUNS], steps[ActivityKind.ATTEMPTS], window))


def activity_document(runs: Sequence[Span], attempts: Sequence[Span], window: str) -> ActivityDocument:
    """Return the figures of the API."""
    length_ms = WINDOWS[window].length_ms
    return {
        "window": window,
        "since": to_rfc3339(runs[0].at_ms),
        "runs": _figures_document(runs, length_ms),
        "attempts": _figures_document(attempts, length_ms),
    }


def _figures_document(steps: Sequence[Span], length_ms: int) -> ActivityFiguresDocument:
    together = summed(steps, at_ms=steps[0].at_ms, length_ms=length_ms)
    return {
        "total": together.attempts,
        "succeeded": together.delivered,
        "per_second": round(together.attempts / length_ms * 1000, 3),
        "p50_ms": percentile_ms(together.times, 0.5),
        "p95_ms": percentile_ms(together.times, 0.95),
        "series": [_step_document(step) for step in steps],
    }


def _step_document(step: Span) -> ActivityStepDocument:
    return {
        "at": to_rfc3339(step.at_ms),
        "total": step.attempts,
        "succeeded": step.delivered,
        "p50_ms": percentile_ms(step.times, 0.5),
        "p95_ms": percentile_ms(step.times, 0.95),
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/activity",
        handler=show,
        id="getActivity",
        tag="Operations",
        summary="See what the whole service does: runs, attempts, times",
        access=ADMIN,
        query=ActivityQuery,
        answers=shows(ActivityDocument),
    ),
)
