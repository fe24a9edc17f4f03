"""`GET /metrics`: the figures of the whole service for Prometheus, whichever API process is asked.

No key, like `/healthz`: nothing in it names a partner or an endpoint. Keep it inside at the proxy.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

import webhookd
from webhookd.adapters.metrics import Sample, exposition
from webhookd.adapters.metrics.exposition import CONTENT_TYPE
from webhookd.adapters.store.upkeep.gauges import read_gauges
from webhookd.api.answers import Answer
from webhookd.api.api_route import OPEN, AnyRoute, ApiRoute, Returned
from webhookd.api.call import AnyCall, Call
from webhookd.api.wire import NoQuery
from webhookd.core.errors import WebhookdError

DATABASE_SECONDS: Final = 3.0


async def show_metrics(call: Call[None, NoQuery]) -> Answer:
    """`GET /metrics`. Parts that do not answer are shown as down, and their figures left out."""
    stored, totals = await asyncio.gather(_stored(call), call.parts.metrics.totals())
    text = exposition(totals, [*_at_hand(call), *stored])
    return Answer(
        status=200, body=text.encode(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"}
    )


def _at_hand(call: AnyCall) -> Iterator[Sample]:
    """The build, and what the load gauge has looked at lately."""
    load = call.parts.load
    yield Sample(name="webhookd_build_info", labels=(webhookd.__version__,), value=1)
    if load.disk_free_bytes is not None:
        yield Sample(name="webhookd_disk_free_bytes", value=load.disk_free_bytes)
    broker = load.broker
    if broker is None:
        return
    yield Sample(name="webhookd_broker_up", value=broker.ok)
    if broker.used_memory_bytes is not None:
        yield Sample(name="webhookd_broker_memory_used_bytes", value=broker.used_memory_bytes)
    if broker.max_memory_bytes is not None:
        yield Sample(name="webhookd_broker_memory_max_bytes", value=broker.max_memory_bytes)


async def _stored(call: AnyCall) -> list[Sample]:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            return [
                Sample(name="webhookd_database_up", value=1),
                *await _queues(call),
                *await _processes(call),
                *await _counted(call),
            ]
    except (TimeoutError, WebhookdError):
        return [Sample(name="webhookd_database_up", value=0)]


async def _queues(call: AnyCall) -> list[Sample]:
    samples = []
    for depth in await call.parts.store.queues.depths():
        queue = depth.queue
        oldest_ms = call.now_ms if depth.oldest_queued_ms is None else depth.oldest_queued_ms
        states = {"scheduled": depth.scheduled, "queued": depth.queued, "running": depth.running}
        samples += [
            # Whatever was let in is in one of the four counters, which only ever move among each other.
            Sample(
                name="webhookd_tasks_accepted_total",
                labels=(queue,),
                value=sum(states.values()) + depth.finished,
            ),
            *(Sample(name="webhookd_queue_tasks", labels=(queue, s), value=n) for s, n in states.items()),
            Sample(
                name="webhookd_queue_oldest_age_seconds",
                labels=(queue,),
                value=max(0, call.now_ms - oldest_ms) / 1000,
            ),
            Sample(
                name="webhookd_queue_ended_per_second",
                labels=(queue,),
                value=round(call.parts.load.ended_per_second(queue), 3),
            ),
            Sample(name="webhookd_queue_paused", labels=(queue,), value=depth.paused),
        ]
    return samples


async def _processes(call: AnyCall) -> list[Sample]:
    kinds = Counter(session["kind"] for session in await call.parts.store.sessions.live(call.now_ms))
    return [
        Sample(name="webhookd_processes", labels=(kind,), value=kinds[kind])
        for kind in ("api", "tasks", "deliver")
    ]


async def _counted(call: AnyCall) -> list[Sample]:
    gauges = await call.parts.store.read(read_gauges)
    return [
        Sample(name="webhookd_dead_letters", labels=("delivery",), value=gauges.dead_deliveries),
        Sample(name="webhookd_dead_letters", labels=("task",), value=gauges.dead_tasks),
        Sample(name="webhookd_breakers_open", value=gauges.open_breakers),
    ]


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/metrics",
        handler=show_metrics,
        id="getMetrics",
        tag="Operations",
        summary="Read the figures of the whole service, for Prometheus",
        access=OPEN,
        query=NoQuery,
        answers={
            200: Returned(None, "Text (exposition format 0.0.4).", ("Cache-Control",), media="text/plain")
        },
    ),
)
