"""`GET /v1/endpoints/{id}/stats`: how an endpoint does, in figures and as a series for a chart."""

from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.endpoints.endpoint_stats import EndpointStats, read_stats
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, shows
from webhookd.api.call import Call, found
from webhookd.api.wire import QueryString
from webhookd.core.endpoint_stats import WINDOWS, Span, percentile_ms, summed
from webhookd.core.fields import (
    BreakerState,
    Count,
    DescribedAs,
    EndpointId,
    StatsWindow,
    Timestamp,
)
from webhookd.core.model import EndpointState
from webhookd.core.pacing import breaker_state
from webhookd.core.times import opt_rfc3339, to_rfc3339


class StatsQuery(QueryString):
    """`GET /v1/endpoints/{id}/stats`."""

    window: Annotated[Literal["1h", "24h", "7d"], DescribedAs(StatsWindow)] = "24h"
    """The time until now that the figures are of; a day if left out."""


class StatsStepDocument(TypedDict):
    """A step of the series: a minute of an hour, an hour of a day or a week."""

    at: Timestamp
    """When it begins."""
    attempts: Count
    """How many attempts were made."""
    delivered: Count
    """How many of them delivered; the others failed."""
    p50_ms: float | None
    """What half of the answers took at most; null without answers."""
    p95_ms: float | None
    """What 95 of 100 answers took at most; null without answers."""


class EndpointStatsDocument(TypedDict):
    """How an endpoint does."""

    endpoint_id: EndpointId
    """The endpoint."""
    state: EndpointState
    """Whether deliveries go out."""
    window: StatsWindow
    """The time until now that the figures are of."""
    since: Timestamp
    """When the window begins: with a whole step of the series."""
    attempts: Count
    """How many attempts were made in the window."""
    delivered: Count
    """How many of them delivered."""
    failed: dict[str, int]
    """How many of them failed, by error."""
    p50_ms: float | None
    """What half of the answers took at most, to a fifth; null without answers."""
    p95_ms: float | None
    """What 95 of 100 answers took at most, to a fifth; null without answers."""
    pending: Annotated[int, Field(ge=0, le=10_000)]
    """How many deliveries wait now; counted up to 10,000."""
    parked: Annotated[int, Field(ge=0, le=10_000)]
    """How many are parked now; counted up to 10,000."""
    dead: Annotated[int, Field(ge=0, le=10_000)]
    """How many are dead letters now; counted up to 10,000."""
    failing_since: Timestamp | None
    """The first failure since its last success; null where there is none."""
    last_success_at: Timestamp | None
    """When a delivery last succeeded; null where none has."""
    breaker: BreakerState
    """How its circuit breaker stands."""
    series: list[StatsStepDocument]
    """The window in steps, the oldest first, the last one under way; those without attempts too."""


async def show(call: Call[None, StatsQuery]) -> Answer:
    """`GET /v1/endpoints/{id}/stats`."""
    window, endpoint_id = call.query.window, call.path_params["id"]
    stats: EndpointStats = found(
        await call.read(read_stats, endpoint_id, call.caller.partner_id, WINDOWS[window]),
        "endpoint",
    )
    return json_answer(200, stats_document(stats, window, now_ms=call.now_ms))


def stats_document(stats: EndpointStats, window: str, *, now_ms: int) -> EndpointStatsDocument:
    """Return the figures of the API."""
    total = summed(stats.steps, at_ms=stats.steps[0].at_ms, length_ms=WINDOWS[window].length_ms)
    return {
        "endpoint_id": stats.endpoint.id,
        "state": stats.endpoint.state,
        "window": window,
        "since": to_rfc3339(total.at_ms),
        "attempts": total.attempts,
        "delivered": total.delivered,
        "failed": dict(sorted(total.errors.items(), key=lambda one: (-one[1], one[0]))),
        "p50_ms": percentile_ms(total.times, 0.5),
        "p95_ms": percentile_ms(total.times, 0.95),
        "pending": stats.pending,
        "parked": stats.parked,
        "dead": stats.dead,
        "failing_since": opt_rfc3339(stats.endpoint.failing_since_ms),
        "last_success_at": opt_rfc3339(stats.last_success_ms),
        "breaker": "closed" if stats.pace is None else breaker_state(stats.pace, now_ms),
        "series": [_step_document(step) for step in stats.steps],
    }


def _step_document(step: Span) -> StatsStepDocument:
    return {
        "at": to_rfc3339(step.at_ms),
        "attempts": step.attempts,
        "delivered": step.delivered,
        "p50_ms": percentile_ms(step.times, 0.5),
        "p95_ms": percentile_ms(step.times, 0.95),
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/endpoints/{id}/stats",
        path_example=example_ids.ENDPOINT_ID,
        handler=show,
        id="getEndpointStats",
        tag="Endpoints",
        summary="See how an endpoint does: attempts, errors, times, what waits",
        access="tasks:read",
        query=StatsQuery,
        answers=shows(EndpointStatsDocument),
    ),
)
