"""Queues and health over HTTP."""

import pytest

from tests.support.api_face import Face
from webhookd.adapters.store.upkeep import sessions
from webhookd.adapters.store.upkeep.activity_spans import keep_activity
from webhookd.core.activity import SPANS_MS, ActivityKind
from webhookd.core.admission import BrokerStatus
from webhookd.core.endpoint_stats import Span, bucket_of
from webhookd.core.scaling import MOST_WORKERS, desired_workers


async def test_queues_show_depth_age_and_workers_wanted(face: Face) -> None:
    partner = await face.partner()
    assert (await face.admin.get("/v1/queues")).json() == {"data": [], "next_cursor": None}
    for _ in range(2):
        await partner.client.post("/v1/tasks", json={"type": "test.order", "input": {"account": "A"}})
    task = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    await partner.client.post(f"/v1/tasks/{task['id']}/cancel")
    face.clock.ahead_ms += 30_000
    default, orders = (await face.admin.get("/v1/queues")).json()["data"]
    assert (default["name"], default["depth"], default["finished"]) == ("default", 0, 1)
    assert default["drain_seconds"] == 0
    assert (orders["name"], orders["depth"], orders["running"], orders["paused"]) == ("orders", 2, 0, False)
    assert orders["oldest_age_seconds"] >= 30
    assert orders["drain_seconds"] is None
    assert orders["desired_workers"] == 1
    first = (await face.admin.get("/v1/queues?limit=1")).json()
    rest = (await face.admin.get("/v1/queues", params={"cursor": first["next_cursor"]})).json()
    assert [queue["name"] for queue in rest["data"]] == ["orders"]


async def test_queue_is_paused_and_resumed(face: Face) -> None:
    answer = await face.admin.post("/v1/queues/orders/pause")
    assert (answer.status_code, answer.json()) == (200, {"name": "orders", "paused": True})
    [queue] = (await face.admin.get("/v1/queues")).json()["data"]
    assert queue["paused"]
    assert queue["desired_workers"] == 0
    assert face.bell.rung == []
    await face.admin.post("/v1/queues/orders/resume")
    [queue] = (await face.admin.get("/v1/queues")).json()["data"]
    assert not queue["paused"]
    assert face.bell.rung == ["orders"]
    assert (await face.admin.post("/v1/queues/unknown/pause")).status_code == 404
    actions = [entry["action"] for entry in (await face.admin.get("/v1/audit")).json()["data"]]
    assert set(actions) == {"queue.pause", "queue.resume"}


@pytest.mark.parametrize(
    ("queued", "running", "rate", "workers", "wanted"),
    [
        (0, 0, 0.0, 0, 0),
        (0, 0, 5.0, 4, 1),
        (10, 0, 0.0, 0, 1),
        (10, 0, 0.0, 3, 3),
        (1_000, 0, 10.0, 1, 10),
        (1_000, 0, 10.0, 2, 20),
        (5, 0, 10.0, 2, 1),
        (10**9, 0, 1.0, 1, MOST_WORKERS),
        (0, 1, 0.0, 3, 1),
        (0, 17, 0.0, 4, 3),
        (5, 20, 10.0, 4, 3),
    ],
)
def test_desired_workers(queued: int, running: int, rate: float, workers: int, wanted: int) -> None:
    told = desired_workers(
        queued=queued, running=running, ended_per_second=rate, workers=workers, slots=8 * workers
    )
    assert told == wanted


async def test_healthz_needs_no_key(sqlite_face: Face) -> None:
    client = await sqlite_face.client(None)
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readyz_has_a_status_for_each_part(face: Face) -> None:
    client = await face.client(None)
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "reason": "task workers: there is none; deliver workers: there is none",
        "database": {"status": "ok"},
        "broker": {"status": "ok"},
        "disk": {"status": "ok", "free_bytes": 10**12},
        "task_workers": {"status": "failed", "reason": "there is none", "count": 0},
        "deliver_workers": {"status": "failed", "reason": "there is none", "count": 0},
    }
    await _begin(face, "ses_1", "tasks", left_seconds=60)
    answer = await client.get("/readyz")
    assert answer.json()["task_workers"] == {"status": "ok", "count": 1}
    assert answer.json()["reason"] == "deliver workers: there is none"
    await _begin(face, "ses_2", "deliver", left_seconds=60)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert "reason" not in answer.json()


async def test_readyz_counts_only_workers_that_renew_their_lease_in_time(sqlite_face: Face) -> None:
    client = await sqlite_face.client(None)
    await _begin(sqlite_face, "ses_1", "deliver", left_seconds=60)
    await _begin(sqlite_face, "ses_2", "tasks", left_seconds=10)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["task_workers"] == {
        "status": "failed",
        "reason": "none renews its lease",
        "count": 0,
    }
    await _begin(sqlite_face, "ses_3", "tasks", left_seconds=60)
    assert (await client.get("/readyz")).json()["task_workers"] == {
        "status": "degraded",
        "reason": "1 of 2 did not renew its lease in time",
        "count": 1,
    }


async def _begin(face: Face, session_id: str, kind: str, *, left_seconds: int) -> None:
    """Begin a session with a lease of a minute, of which so much is left."""
    now_ms = face.clock.now_ms()
    await face.store.db.write(
        sessions.begin_session,
        session_id=session_id,
        kind=kind,
        host="h",
        pid=1,
        detail={"queues": ["default"], "lease_seconds": 60},
        now_ms=now_ms,
        lease_until_ms=now_ms + left_seconds * 1000,
    )


async def test_readyz_without_a_broker_says_so_and_stays_200(sqlite_face: Face) -> None:
    client = await sqlite_face.client(None)
    sqlite_face.broker.status = BrokerStatus(ok=False, reason="cannot connect")
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["reason"].startswith("broker: cannot connect; ")


async def test_readyz_says_what_is_wrong(sqlite_face: Face) -> None:
    client = await sqlite_face.client(None)
    sqlite_face.broker.status = BrokerStatus(ok=False, reason="cannot connect")
    sqlite_face.disk[0] = 5
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    detail = answer.json()["detail"]
    assert detail.startswith("broker: cannot connect; disk: nearly full; task workers: ")
    assert answer.json()["broker"] == {"status": "failed", "reason": "cannot connect"}
    assert answer.json()["database"] == {"status": "ok"}


@pytest.mark.parametrize(("window", "steps"), [("1h", 60), ("6h", 72), ("24h", 96)])
async def test_activity_tells_what_all_workers_do(face: Face, window: str, steps: int) -> None:
    now_ms = face.clock.now_ms()
    spans = [
        Span(
            at_ms=now_ms - now_ms % length_ms,
            length_ms=length_ms,
            attempts=90,
            delivered=81,
            times={bucket_of(20_000): 90},
        )
        for length_ms in SPANS_MS
    ]
    await face.store.write(keep_activity, ActivityKind.ATTEMPTS, spans)
    answer = await face.admin.get("/v1/activity", params={"window": window})
    activity = answer.json()
    assert activity["window"] == window
    assert len(activity["runs"]["series"]) == len(activity["attempts"]["series"]) == steps
    assert (activity["attempts"]["total"], activity["attempts"]["succeeded"]) == (90, 81)
    assert activity["attempts"]["p95_ms"] == pytest.approx(20, rel=0.2)
    assert activity["attempts"]["per_second"] == pytest.approx(90 / int(window[:-1]) / 3_600, abs=0.001)
    assert activity["runs"]["total"] == 0
    assert activity["runs"]["p95_ms"] is None


async def test_activity_is_for_admins_and_knows_its_windows(face: Face) -> None:
    partner = await face.partner()
    assert (await partner.client.get("/v1/activity")).status_code == 403
    assert (await face.admin.get("/v1/activity?window=7d")).status_code == 422
    assert (await face.admin.get("/v1/activity")).json()["window"] == "6h"
