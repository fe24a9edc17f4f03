"""`/healthz` and `/readyz`: no key, no addresses, and a status for each part."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from webhookd.api.answers import Answer, json_answer
from webhookd.api.call import Call
from webhookd.api.problems import PROBLEM, problem_document
from webhookd.api.routes import OPEN, AnyRoute, ApiRoute
from webhookd.api.wire import NoQuery
from webhookd.core.errors import Unavailable, WebhookdError

DATABASE_SECONDS: Final = 3.0

Check = dict[str, Any]


async def show_health(call: Call[None, NoQuery]) -> Answer:  # noqa: ARG001 - every handler takes a call
    """`GET /healthz`: the process answers."""
    return json_answer(200, {"status": "ok"})


async def show_readiness(call: Call[None, NoQuery]) -> Answer:
    """`GET /readyz`: `200` where every part this face needs is there, else `503` with the reason.

    Having no worker is shown, and does not make it `503`: tasks are taken in all the same.
    """
    load = call.parts.load
    database, workers = await _database_and_workers(call)
    await load.look()
    checks: Mapping[str, Check] = {
        "database": database,
        "broker": _broker(call),
        "disk": _disk(call),
        "workers": workers,
    }
    failing = {name: check["reason"] for name, check in checks.items() if check["status"] == "failing"}
    if call.parts.leaving.begun:
        failing["process"] = "it was told to stop"
    if not failing:
        return json_answer(200, {"status": "ok", **checks})
    detail = "; ".join(f"{name}: {reason}" for name, reason in failing.items()) + "."
    problem = problem_document(Unavailable(detail), trace_id=call.trace.trace_id)
    answer = json_answer(503, {**problem, **checks}, {"Retry-After": "2"})
    return Answer(status=503, body=answer.body, content_type=PROBLEM, headers=answer.headers)


async def _database_and_workers(call: Call[None, NoQuery]) -> tuple[Check, Check]:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            sessions = await call.parts.store.sessions.live(call.now_ms)
    except TimeoutError:
        return _failing("no answer in time"), {"status": "unknown", "count": None}
    except WebhookdError as error:
        return _failing(error.detail.rstrip(".")), {"status": "unknown", "count": None}
    count = sum(session["kind"] != "api" for session in sessions)
    # Every process renews its lease all the time, so this is no older than a third of a lease.
    reason = call.parts.store.db.write_error
    database = {"status": "ok"} if reason is None else _failing(reason.rstrip("."))
    return database, {"status": "ok" if count else "none", "count": count}


def _broker(call: Call[None, NoQuery]) -> Check:
    broker = call.parts.load.broker
    if broker is None:
        return _failing("not looked at yet")
    return {"status": "ok"} if broker.ok else _failing(broker.reason or "not usable")


def _disk(call: Call[None, NoQuery]) -> Check:
    free = call.parts.load.disk_free_bytes
    if free is None:
        return {"status": "ok", "free_bytes": None}
    if free < call.parts.submit.ceilings.min_free_disk_bytes:
        return {**_failing("nearly full"), "free_bytes": free}
    return {"status": "ok", "free_bytes": free}


def _failing(reason: str) -> Check:
    return {"status": "failing", "reason": reason}


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(method="GET", path="/healthz", handler=show_health, access=OPEN, query=NoQuery),
    ApiRoute(method="GET", path="/readyz", handler=show_readiness, access=OPEN, query=NoQuery),
)
