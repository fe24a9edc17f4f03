"""Queues for operators and autoscalers: how deep, how old, how fast; pausing and resuming them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from typing_extensions import TypedDict

from webhookd.adapters.store.counters import set_paused
from webhookd.adapters.store.tasks.submit import ensure_queues
from webhookd.adapters.store.tx import Tx
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, lists, shows
from webhookd.api.call import Call
from webhookd.api.wire import ListingByName, NoBody, NoQuery, cursor_by_name
from webhookd.core.errors import NotFound
from webhookd.core.fields import Count
from webhookd.core.records import QueueDepth
from webhookd.core.scaling import desired_workers, wait_seconds


class QueueDocument(TypedDict):
    """How a queue stands."""

    name: str
    """Its name."""
    paused: bool
    """Whether nothing more of it is started."""
    depth: Count
    """How many tasks wait in it."""
    scheduled: Count
    """How many tasks are due later."""
    running: Count
    """How many tasks run."""
    finished: Count
    """How many tasks have ended."""
    oldest_age_seconds: float
    """How long the oldest one has waited."""
    rate_per_second: float
    """How many end a second, lately."""
    drain_seconds: float | None
    """How long until it is empty at that rate; null where no rate is known."""
    desired_workers: Count
    """How many worker processes would empty it in 10 seconds and hold what runs."""


class QueuePauseDocument(TypedDict):
    """Whether a queue is paused."""

    name: str
    """Its name."""
    paused: bool
    """Whether nothing more of it is started."""


class QueueListing(ListingByName):
    """`GET /v1/queues`."""

    NOUN = "queue"
    cursor: str | None = cursor_by_name(NOUN)


async def list_queues(call: Call[None, QueueListing]) -> Answer:
    """`GET /v1/queues`."""
    store, limit = call.parts.store, call.query.limit
    depths = [depth for depth in await store.queues.depths() if depth.queue > call.query.after]
    workers: dict[str, list[int]] = defaultdict(list)
    for session in await store.sessions.live(call.now_ms):
        for queue in session["detail"].get("queues", ()):
            workers[queue].append(session["detail"].get("slots", 0))
    shown = [
        queue_document(
            depth,
            slots=workers[depth.queue],
            ended_per_second=call.parts.load.ended_per_second(depth.queue),
            now_ms=call.now_ms,
        )
        for depth in depths[:limit]
    ]
    return page_answer(shown, call.query.cursor_after(shown[-1]["name"]) if len(depths) > limit else None)


async def pause_queue(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/queues/{name}/pause`: what runs goes on, nothing more is claimed."""
    return await _set_paused(call, paused=True)


async def resume_queue(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/queues/{name}/resume`."""
    return await _set_paused(call, paused=False)


async def _set_paused(call: Call[NoBody, NoQuery], *, paused: bool) -> Answer:
    name = call.path_params["name"]

    def effect(tx: Tx) -> Answer:
        if name in call.parts.task_types.queues:
            ensure_queues(tx, [name])  # a queue has its row from its first task on
        if not set_paused(tx, name, call.now_ms if paused else None):
            raise NotFound("There is no such queue.")
        call.audit(tx, "queue.pause" if paused else "queue.resume", name, partner_id=None)
        document: QueuePauseDocument = {"name": name, "paused": paused}
        return json_answer(200, document)

    return await call.once(effect)


def queue_document(
    depth: QueueDepth, *, slots: Sequence[int], ended_per_second: float, now_ms: int
) -> QueueDocument:
    """Return the Queue of the API; `slots` are those of each worker process of the queue."""
    oldest_ms = 0 if depth.oldest_queued_ms is None else max(0, now_ms - depth.oldest_queued_ms)
    return {
        "name": depth.queue,
        "paused": depth.paused,
        "depth": depth.queued,
        "scheduled": depth.scheduled,
        "running": depth.running,
        "finished": depth.finished,
        "oldest_age_seconds": round(oldest_ms / 1000, 3),
        "rate_per_second": round(ended_per_second, 3),
        "drain_seconds": wait_seconds(depth.queued, ended_per_second) if depth.queued else 0.0,
        "desired_workers": desired_workers(
            queued=0 if depth.paused else depth.queued,
            running=depth.running,
            ended_per_second=0.0 if depth.paused else ended_per_second,
            workers=len(slots),
            slots=sum(slots),
        ),
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/queues",
        handler=list_queues,
        id="listQueues",
        tag="Operations",
        summary="See how deep queues are",
        access=ADMIN,
        query=QueueListing,
        answers=lists(QueueDocument),
    ),
    ApiRoute(
        method="POST",
        path="/v1/queues/{name}/pause",
        path_example="reports",
        handler=pause_queue,
        id="pauseQueue",
        tag="Operations",
        summary="Let nothing more of a queue start",
        access=ADMIN,
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers=shows(QueuePauseDocument),
    ),
    ApiRoute(
        method="POST",
        path="/v1/queues/{name}/resume",
        path_example="reports",
        handler=resume_queue,
        id="resumeQueue",
        tag="Operations",
        summary="Let a queue go on",
        access=ADMIN,
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers=shows(QueuePauseDocument),
    ),
)
