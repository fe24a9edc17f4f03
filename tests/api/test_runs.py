"""`GET /v1/tasks/{id}/runs` and `GET /v1/workers`: who ran what, where, and what it said."""

from collections.abc import Mapping
from typing import Any, Final

from tests.support.api_face import Face
from webhookd.core.execution import ClaimTasks, End, TaskEnd, TypeLimit
from webhookd.core.outcome import PRIVATE, Raised
from webhookd.core.records import ClaimedTask
from webhookd.taskset import TaskContext, TaskSet

SESSION: Final = "ses_worker"
RAISED: Final = Raised(type="KeyError", message="Bob", traceback="Traceback …\nKeyError: Bob\n")


async def claim(face: Face) -> ClaimedTask:
    """The next task, claimed by a worker of its own."""
    now_ms = face.clock.now_ms()
    if not any(one["id"] == SESSION for one in await face.store.sessions.live(now_ms)):
        await face.store.sessions.begin(
            session_id=SESSION,
            kind="tasks",
            host="worker-2",
            pid=4711,
            detail={"queues": ["default"], "slots": 8},
            now_ms=now_ms,
            lease_until_ms=now_ms + 60_000,
        )
    limits = (TypeLimit(type="test.echo", timeout_ms=60_000),)
    claimed = await face.store.tasks.claim(
        ClaimTasks(session_id=SESSION, queue="default", free=1, idle=True, limits=limits, now_ms=now_ms)
    )
    return claimed.tasks[0]


async def end(face: Face, task: ClaimedTask, how: End, **more: Any) -> None:
    now_ms = face.clock.now_ms()
    await face.store.tasks.record(
        TaskEnd(task=task, session_id=SESSION, end=how, started_ms=now_ms, now_ms=now_ms, **more)
    )


def picked(run: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(run[name] for name in names)


async def test_runs_of_a_task_with_worker_log_and_exception_for_admins(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    task_id = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()["id"]
    path = f"/v1/tasks/{task_id}/runs"
    assert (await face.admin.get(path)).json() == {"data": [], "next_cursor": None}

    task = await claim(face)
    assert (task.partner_name, task.priority.label, task.metadata_json) == ("partner-1", "normal", "{}")
    await end(
        face,
        task,
        End.RETRY,
        error_code="error",
        error_message=PRIVATE,
        due_ms=face.clock.now_ms(),
        host="worker-2",
        pid=4711,
        log=("first", "second"),
        raised=RAISED,
    )
    await face.store.sweeps.fall_due(face.clock.now_ms() + 1)
    await claim(face)

    answer = await face.admin.get(path)
    assert answer.status_code == 200
    first, second = answer.json()["data"]
    assert picked(first, "number", "host", "pid", "outcome") == (1, "worker-2", 4711, "retry")
    assert picked(first, "error", "log") == (
        {"code": "error", "message": PRIVATE},
        ["first", "second"],
    )
    assert first["exception"] == {
        "type": "KeyError",
        "message": "Bob",
        "traceback": "Traceback …\nKeyError: Bob\n",
    }
    assert picked(second, "number", "host", "pid", "outcome") == (2, "worker-2", 4711, "running")
    assert picked(second, "finished_at", "log", "exception") == (None, None, None)

    page = (await face.admin.get(path, params={"limit": 1})).json()
    rest = (await face.admin.get(path, params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert [[run["number"] for run in one["data"]] for one in (page, rest)] == [[1], [2]]
    assert rest["next_cursor"] is None
    for wrong in ("x", "-1", "1", "run.-1", "run." + "9" * 10):
        assert (await face.admin.get(path, params={"cursor": wrong})).status_code == 422

    for_partner = await partner.client.get(path)
    assert "Bob" not in for_partner.text
    assert picked(for_partner.json()["data"][0], "host", "log", "exception") == ("worker-2", None, None)
    assert (await other.client.get(path)).status_code == 404

    task_types = TaskSet()
    task_types.task("test.echo", expose_logs=True)(_echo)
    open_client = await face.client(partner.key, task_types=task_types)
    shown = (await open_client.get(path)).json()["data"][0]
    assert picked(shown, "log", "exception") == (["first", "second"], None)


def _echo(_ctx: TaskContext, given: dict[str, Any]) -> dict[str, Any]:
    return given


async def test_a_crash_is_a_run_with_its_worker(face: Face) -> None:
    partner = await face.partner()
    task_id = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()["id"]
    await claim(face)
    await face.store.sessions.end(SESSION)
    await face.store.sweeps.rescue(face.clock.now_ms())
    [run] = (await face.admin.get(f"/v1/tasks/{task_id}/runs")).json()["data"]
    assert picked(run, "host", "pid", "outcome", "log") == ("worker-2", 4711, "crashed", [])


async def test_workers_tell_what_they_run_for_whom_and_since_when(face: Face) -> None:
    partner = await face.partner()
    task_id = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()["id"]
    assert (await face.admin.get("/v1/workers")).json()["data"] == []
    task = await claim(face)

    [worker] = (await face.admin.get("/v1/workers")).json()["data"]
    assert picked(worker, "id", "role", "host", "pid") == (SESSION, "tasks", "worker-2", 4711)
    assert picked(worker, "queues", "slots", "in_flight") == (["default"], 8, 0)
    [running] = worker["running"]
    assert picked(running, "task_id", "type", "attempt") == (task_id, "test.echo", 1)
    assert running["partner"] == {"id": partner.id, "name": "partner-1"}
    assert running["started_at"] < running["deadline_at"]
    assert running["cancel_requested"] is False

    await partner.client.post(f"/v1/tasks/{task_id}/cancel")
    [worker] = (await face.admin.get("/v1/workers")).json()["data"]
    assert worker["running"][0]["cancel_requested"] is True
    await end(face, task, End.CANCELLED)
    [worker] = (await face.admin.get("/v1/workers")).json()["data"]
    assert worker["running"] == []
    assert (await partner.client.get("/v1/workers")).status_code == 403


async def test_workers_come_page_by_page_and_the_dead_not_at_all(face: Face) -> None:
    now_ms = face.clock.now_ms()
    for number in range(4):
        await face.store.sessions.begin(
            session_id=f"ses_{number:026}",
            kind="deliver",
            host="h",
            pid=number,
            detail={},
            now_ms=now_ms,
            lease_until_ms=now_ms + (60_000 if number else 0),
        )
    page = (await face.admin.get("/v1/workers", params={"limit": 2})).json()
    assert [one["pid"] for one in page["data"]] == [1, 2]
    rest = (await face.admin.get("/v1/workers", params={"cursor": page["next_cursor"]})).json()
    assert [one["pid"] for one in rest["data"]] == [3]
    assert rest["next_cursor"] is None
