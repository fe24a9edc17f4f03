"""`/healthz` and `/readyz`: no key, no addresses, and a status for each part."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired

from typing_extensions import TypeAliasType, TypedDict

from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import OPEN, AnyRoute, ApiRoute, Returned, shows
from webhookd.api.call import Call
from webhookd.api.problems import PROBLEM, ProblemDocument, problem_document
from webhookd.api.wire import NoQuery
from webhookd.core.errors import Unavailable, WebhookdError
from webhookd.core.fields import one_of

DATABASE_SECONDS: Final = 3.0
OK, DEGRADED, FAILED = "ok", "degraded", "failed"
TASK_WORKERS, DELIVER_WORKERS = "tasks", "deliver"
"""The kinds of the sessions of worker processes."""

PartState = TypeAliasType(
    "PartState", Annotated[str, one_of("How something stands.", (OK, DEGRADED, FAILED))]
)


class HealthDocument(TypedDict):
    """The process answers."""

    status: PartState
    """Always `ok`."""


class PartStatusDocument(TypedDict):
    """How one part stands."""

    status: PartState
    """How it stands."""
    reason: NotRequired[str]
    """Why, where it is not `ok`."""


class DiskStatusDocument(PartStatusDocument):
    """How the disk stands."""

    free_bytes: int | None
    """How much is free; null where the database is elsewhere."""


class WorkersStatusDocument(PartStatusDocument):
    """How the worker processes of a kind stand."""

    count: int | None
    """How many can work; null where the database cannot say."""


class PartsDocument(TypedDict):
    """How each part stands."""

    database: PartStatusDocument
    """The database."""
    broker: PartStatusDocument
    """The broker: without it tasks are taken in, and done later."""
    disk: DiskStatusDocument
    """The disk."""
    task_workers: WorkersStatusDocument
    """The processes that run tasks."""
    deliver_workers: WorkersStatusDocument
    """The processes that send webhooks."""


class ReadinessDocument(PartsDocument):
    """Tasks are taken in."""

    status: PartState
    """`degraded` where a part that does the work is not as it should be."""
    reason: NotRequired[str]
    """Why, where it is `degraded`."""


class NotReadyDocument(ProblemDocument, PartsDocument):
    """Tasks cannot be taken in, for want of database or disk: a problem that says why."""


async def show_health(call: Call[None, NoQuery]) -> Answer:  # noqa: ARG001 - every handler takes a call
    """`GET /healthz`: the process answers."""
    return json_answer(200, {"status": "ok"})


async def show_readiness(call: Call[None, NoQuery]) -> Answer:
    """`GET /readyz`: `200` where this process can take tasks in, else `503`; and a status for each part.

    Only database, disk or a stop can make it `503`. Without broker or workers tasks are taken in all the
    same, and are done later: `degraded`.
    """
    load = call.parts.load
    (database, task_workers, deliver_workers), _ = await asyncio.gather(
        _database_and_workers(call), load.look()
    )
    parts: PartsDocument = {
        "database": database,
        "broker": _broker(call),
        "disk": _disk(call),
        "task_workers": task_workers,
        "deliver_workers": deliver_workers,
    }
    reason = _reason(parts, leaving=call.parts.leaving.begun)
    if FAILED not in (database["status"], parts["disk"]["status"]) and not call.parts.leaving.begun:
        return json_answer(200, readiness_document(parts, reason))
    document = not_ready_document(parts, reason, trace_id=call.trace.trace_id)
    answer = json_answer(503, document, {"Retry-After": "2"})
    return Answer(status=503, body=answer.body, content_type=PROBLEM, headers=answer.headers)


def readiness_document(parts: PartsDocument, reason: str) -> ReadinessDocument:
    """Return the answer of who takes tasks in; `reason` empty: every part is as it should be."""
    document: ReadinessDocument = {**parts, "status": DEGRADED if reason else OK, "reason": reason}
    if not reason:
        del document["reason"]
    return document


def not_ready_document(parts: PartsDocument, reason: str, *, trace_id: str) -> NotReadyDocument:
    """Return the problem of who does not."""
    return {**problem_document(Unavailable(f"{reason}."), trace_id=trace_id), **parts}


def _reason(parts: PartsDocument, *, leaving: bool) -> str:
    """Return what is not as it should be, in a line."""
    named: Iterable[tuple[str, PartStatusDocument]] = (
        ("database", parts["database"]),
        ("broker", parts["broker"]),
        ("disk", parts["disk"]),
        ("task workers", parts["task_workers"]),
        ("deliver workers", parts["deliver_workers"]),
    )
    reasons = [f"{name}: {part.get('reason', '')}" for name, part in named if part["status"] != OK]
    return "; ".join([*reasons, "process: it was told to stop"] if leaving else reasons)


async def _database_and_workers(
    call: Call[None, NoQuery],
) -> tuple[PartStatusDocument, WorkersStatusDocument, WorkersStatusDocument]:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            sessions = await call.parts.store.sessions.live(call.now_ms)
    except TimeoutError:
        return _failed("no answer in time"), _unknown(), _unknown()
    except WebhookdError as error:
        return _failed(error.detail.rstrip(".")), _unknown(), _unknown()
    # Every process renews its lease all the time, so this is no older than a third of a lease.
    reason = call.parts.store.db.write_error
    return (
        {"status": OK} if reason is None else _failed(reason.rstrip(".")),
        _workers(sessions, TASK_WORKERS, call.now_ms),
        _workers(sessions, DELIVER_WORKERS, call.now_ms),
    )


def _unknown() -> WorkersStatusDocument:
    return {**_failed("the database does not say"), "count": None}


def _workers(sessions: Sequence[Mapping[str, Any]], kind: str, now_ms: int) -> WorkersStatusDocument:
    """Count those that can work: a loop that stands renews no lease."""
    here = [session for session in sessions if session["kind"] == kind]
    able = [session for session in here if can_work(session, now_ms)]
    late = len(here) - len(able)
    if not able:
        return {**_failed("none renews its lease" if late else "there is none"), "count": 0}
    if late:
        reason = f"{late} of {len(here)} did not renew its lease in time"
        return {"status": DEGRADED, "reason": reason, "count": len(able)}
    return {"status": OK, "count": len(able)}


def can_work(session: Mapping[str, Any], now_ms: int) -> bool:
    """Whether a process has renewed its lease in time: it does so when a third of it is over."""
    lease_ms = float(session["detail"].get("lease_seconds", 0)) * 1000
    return bool(session["lease_until_ms"] - now_ms > lease_ms / 3)


def _broker(call: Call[None, NoQuery]) -> PartStatusDocument:
    broker = call.parts.load.broker
    if broker is None:
        return _failed("not looked at yet")
    return {"status": OK} if broker.ok else _failed(broker.reason or "not usable")


def _disk(call: Call[None, NoQuery]) -> DiskStatusDocument:
    free = call.parts.load.disk_free_bytes
    if free is None:
        return {"status": OK, "free_bytes": None}
    if free < call.parts.submit.ceilings.min_free_disk_bytes:
        return {**_failed("nearly full"), "free_bytes": free}
    return {"status": OK, "free_bytes": free}


def _failed(reason: str) -> PartStatusDocument:
    return {"status": FAILED, "reason": reason}


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/healthz",
        handler=show_health,
        id="checkHealth",
        tag="Operations",
        summary="Ask whether the process answers",
        access=OPEN,
        query=NoQuery,
        answers=shows(HealthDocument),
    ),
    ApiRoute(
        method="GET",
        path="/readyz",
        handler=show_readiness,
        id="checkReadiness",
        tag="Operations",
        summary="Ask whether tasks can be taken in, and how each part is",
        access=OPEN,
        query=NoQuery,
        answers={
            **shows(ReadinessDocument),
            503: Returned(
                NotReadyDocument, "Database or disk fails; why, is said.", ("Retry-After",), media=PROBLEM
            ),
        },
    ),
)
