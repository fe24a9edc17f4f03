"""`/healthz` and `/readyz`: no key, no addresses, and a status for each part."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from webhookd.api import admin_documents
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import OPEN, AnyRoute, ApiRoute, Returned, shows
from webhookd.api.call import Call
from webhookd.api.problems import PROBLEM, problem_document
from webhookd.api.wire import NoQuery
from webhookd.core.errors import Unavailable, WebhookdError

DATABASE_SECONDS: Final = 3.0
OK, DEGRADED, FAILED = "ok", "degraded", "failed"
WORKERS: Final = (("task_workers", "tasks"), ("deliver_workers", "deliver"))
"""The parts that are processes, and the kind of their sessions."""

Check = dict[str, Any]


async def show_health(call: Call[None, NoQuery]) -> Answer:  # noqa: ARG001 - every handler takes a call
    """`GET /healthz`: the process answers."""
    return json_answer(200, {"status": "ok"})


async def show_readiness(call: Call[None, NoQuery]) -> Answer:
    """`GET /readyz`: `200` where this process can take tasks in, else `503`; and a status for each part.

    Only database, disk or a stop can make it `503`. Without broker or workers tasks are taken in all the
    same, and are done later: `degraded`.
    """
    load = call.parts.load
    (database, workers), _ = await asyncio.gather(_database_and_workers(call), load.look())
    checks: Mapping[str, Check] = {
        "database": database,
        "broker": _broker(call),
        "disk": _disk(call),
        **workers,
    }
    reasons = {name: check["reason"] for name, check in checks.items() if check["status"] != OK}
    if call.parts.leaving.begun:
        reasons["process"] = "it was told to stop"
    detail = "; ".join(f"{name.replace('_', ' ')}: {reason}" for name, reason in reasons.items())
    serves = all(checks[name]["status"] != FAILED for name in ("database", "disk"))
    if serves and not call.parts.leaving.begun:
        summary = {"status": DEGRADED, "reason": detail} if reasons else {"status": OK}
        return json_answer(200, {**summary, **checks})
    problem = problem_document(Unavailable(f"{detail}."), trace_id=call.trace.trace_id)
    answer = json_answer(503, {**problem, **checks}, {"Retry-After": "2"})
    return Answer(status=503, body=answer.body, content_type=PROBLEM, headers=answer.headers)


async def _database_and_workers(call: Call[None, NoQuery]) -> tuple[Check, Mapping[str, Check]]:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            sessions = await call.parts.store.sessions.live(call.now_ms)
    except TimeoutError:
        return _failed("no answer in time"), _unknown()
    except WebhookdError as error:
        return _failed(error.detail.rstrip(".")), _unknown()
    # Every process renews its lease all the time, so this is no older than a third of a lease.
    reason = call.parts.store.db.write_error
    database = {"status": OK} if reason is None else _failed(reason.rstrip("."))
    return database, {name: _workers(sessions, kind, call.now_ms) for name, kind in WORKERS}


def _unknown() -> Mapping[str, Check]:
    return {name: {**_failed("the database does not say"), "count": None} for name, _ in WORKERS}


def _workers(sessions: Sequence[Mapping[str, Any]], kind: str, now_ms: int) -> Check:
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


def _broker(call: Call[None, NoQuery]) -> Check:
    broker = call.parts.load.broker
    if broker is None:
        return _failed("not looked at yet")
    return {"status": OK} if broker.ok else _failed(broker.reason or "not usable")


def _disk(call: Call[None, NoQuery]) -> Check:
    free = call.parts.load.disk_free_bytes
    if free is None:
        return {"status": OK, "free_bytes": None}
    if free < call.parts.submit.ceilings.min_free_disk_bytes:
        return {**_failed("nearly full"), "free_bytes": free}
    return {"status": OK, "free_bytes": free}


def _failed(reason: str) -> Check:
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
        answers=shows(admin_documents.Health),
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
            **shows(admin_documents.Readiness),
            503: Returned(
                admin_documents.NotReady, "Database or disk fails; why, is said.", ("Retry-After",), PROBLEM
            ),
        },
    ),
)
