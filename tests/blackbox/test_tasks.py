"""Submitting, running, delivering: the main job from outside."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.blackbox.conftest import Partner, Service
from tests.support.services import until
from webhookd.cli.receiver import Receiver


async def _submit(partner: Partner, **body: Any) -> dict[str, Any]:
    answer = await partner.http.post("/v1/tasks", json=body)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def _ended(partner: Partner, task_id: str, seconds: float = 30) -> dict[str, Any]:
    """Return the task once it has ended."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        answer = await partner.http.get(f"/v1/tasks/{task_id}", params={"wait": "5"})
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        if document["done"]:
            return document
    raise AssertionError(f"{task_id} did not end: {document}")


async def test_a_result_arrives_signed(partner: Partner, receiver: tuple[Receiver, str]) -> None:
    hits, url = receiver[0].hits, receiver[1]
    before = int(time.time())
    task = await _submit(
        partner, type="report.statement", input={"account": "A-1"}, callback_url=url, metadata={"order": "42"}
    )
    await until(lambda: hits, what="the webhook")
    hit = hits[0]
    assert hit.verified
    assert hit.headers["webhook-id"].startswith("msg_")
    assert before - 1 <= int(hit.headers["webhook-timestamp"]) <= time.time() + 1
    assert hit.headers["webhook-signature"].startswith("v1,")
    assert hit.headers["content-type"] == "application/json"
    assert hit.headers["user-agent"].startswith("webhookd/")
    assert hit.headers["webhook-attempt"] == "1"
    assert hit.headers["traceparent"].split("-")[1] == task["trace_id"]
    body = json.loads(hit.body)
    assert body["type"] == "task.succeeded"
    assert body["data"]["id"] == task["id"]
    assert body["data"]["metadata"] == {"order": "42"}
    assert "deliveries" not in body["data"]
    seen = (await partner.http.get(f"/v1/tasks/{task['id']}")).json()
    assert {**body["data"], "deliveries": seen["deliveries"]} == seen


async def test_a_traceparent_is_continued_to_the_receiver(
    partner: Partner, receiver: tuple[Receiver, str]
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = await partner.http.post(
        "/v1/tasks",
        json={"type": "demo.echo", "callback_url": receiver[1]},
        headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"},
    )
    assert answer.headers["traceparent"].split("-")[1] == trace_id
    assert answer.json()["trace_id"] == trace_id
    await until(lambda: receiver[0].hits, what="the webhook")
    assert receiver[0].hits[0].headers["traceparent"].split("-")[1] == trace_id


async def test_an_idempotent_repeat_is_the_same_task(partner: Partner) -> None:
    headers = {"Idempotency-Key": "order-42"}
    first = await partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers=headers)
    again = await partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers=headers)
    other = await partner.http.post(
        "/v1/tasks", json={"type": "demo.echo", "input": {"a": 1}}, headers=headers
    )
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.json()["code"] == "idempotency_mismatch"


async def test_a_batch_answers_in_order(partner: Partner) -> None:
    tasks = [{"type": "demo.echo"}, {"type": "no.such"}, {"type": "demo.echo", "input": {"n": 2}}]
    answer = await partner.http.post("/v1/tasks/batch", json={"tasks": tasks})
    assert answer.status_code == 202, answer.text
    assert [one["status"] for one in answer.json()["results"]] == [202, 422, 202]
    ended = await _ended(partner, answer.json()["results"][2]["task"]["id"])
    assert ended["result"] == {"n": 2}


async def test_a_running_task_reports_progress_and_can_be_cancelled(
    partner: Partner, receiver: tuple[Receiver, str]
) -> None:
    task = await _submit(partner, type="demo.sleep", input={"seconds": 60}, callback_url=receiver[1])
    running = await partner.http.get(f"/v1/tasks/{task['id']}", params={"wait": "20", "version": "2"})
    assert running.json()["state"] == "running"
    cancelled = await partner.http.post(f"/v1/tasks/{task['id']}/cancel")
    assert cancelled.status_code == 202
    ended = await _ended(partner, task["id"])
    assert ended["state"] == "cancelled"
    assert (await partner.http.post(f"/v1/tasks/{task['id']}/cancel")).status_code == 200
    await until(lambda: receiver[0].hits, what="the webhook")
    assert json.loads(receiver[0].hits[0].body)["type"] == "task.cancelled"


async def test_a_scheduled_task_waits_and_can_be_cancelled_at_once(partner: Partner) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    task = await _submit(partner, type="demo.echo", run_at=later)
    assert task["state"] == "scheduled"
    cancelled = await partner.http.post(f"/v1/tasks/{task['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"


async def test_a_scheduled_task_runs_when_it_is_due(partner: Partner) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    task = await _submit(partner, type="demo.echo", run_at=soon)
    ended = await _ended(partner, task["id"])
    assert ended["state"] == "succeeded"
    assert ended["started_at"] >= ended["run_at"]


async def test_a_task_that_cannot_start_in_time_expires(
    service: Service, partner: Partner, receiver: tuple[Receiver, str]
) -> None:
    now = datetime.now(UTC)
    task = await _submit(
        partner,
        type="demo.echo",
        callback_url=receiver[1],
        run_at=(now + timedelta(hours=1)).isoformat(),
        expires_at=(now + timedelta(hours=2)).isoformat(),
    )
    assert task["expires_at"] is not None
    assert (await partner.http.post(f"/v1/tasks/{task['id']}/cancel")).status_code == 202


async def test_a_failing_task_is_retried_and_succeeds(partner: Partner) -> None:
    ended = await _ended(partner, (await _submit(partner, type="demo.fail", input={"times": 1}))["id"])
    assert (ended["state"], ended["attempts"]) == ("succeeded", 2)


async def test_a_task_out_of_attempts_is_a_dead_letter_and_replays(
    partner: Partner, receiver: tuple[Receiver, str]
) -> None:
    task = await _submit(partner, type="demo.fail", input={"times": 3}, callback_url=receiver[1])
    ended = await _ended(partner, task["id"])
    assert (ended["state"], ended["attempts"]) == ("failed", 3)
    letters = (await partner.http.get("/v1/dead-letters", params={"kind": "task"})).json()["data"]
    assert [letter["id"] for letter in letters] == [task["id"]]
    assert letters[0]["reason"] == "task_failed"
    replayed = await partner.http.post(f"/v1/dead-letters/{task['id']}/replay")
    assert replayed.status_code == 202, replayed.text
    again = await _ended(partner, task["id"])
    assert again["state"] == "succeeded"
    await until(lambda: len(receiver[0].hits) >= 2, what="both webhooks")
    kinds = [json.loads(hit.body)["type"] for hit in receiver[0].hits]
    assert kinds == ["task.failed", "task.succeeded"]
    assert len({hit.webhook_id for hit in receiver[0].hits}) == 2
    assert (await partner.http.get("/v1/dead-letters")).json()["data"] == []


async def test_a_result_over_the_limit_of_the_settings_fails_the_task(partner: Partner) -> None:
    ends = []
    for size in (90_000, 110_000):
        body = {"type": "demo.echo", "input": {"text": "x" * size}}
        answer = await partner.http.post("/v1/tasks", json=body, headers={"Prefer": "wait=45"})
        error = answer.json()["error"]
        ends.append((answer.json()["state"], None if error is None else error["code"]))
    assert ends == [("succeeded", None), ("failed", "result_too_large")]


async def test_an_input_is_refused_that_its_published_schema_refuses(partner: Partner) -> None:
    for seconds in ("0.1", True, None, [1]):
        body = {"type": "demo.sleep", "input": {"seconds": seconds}}
        answer = await partner.http.post("/v1/tasks", json=body)
        assert answer.status_code == 422, seconds
        assert [one["path"] for one in answer.json()["errors"]] == ["$.input.seconds"]


async def test_every_sample_type_does_real_work(partner: Partner) -> None:
    summary = await _submit(partner, type="csv.summary", input={"csv": "a,b\n1,2\n3,4\n"})
    assert (await _ended(partner, summary["id"]))["state"] == "succeeded"
    types = (await partner.http.get("/v1/task-types")).json()["data"]
    assert {one["type"] for one in types} >= {
        "demo.echo",
        "demo.sleep",
        "demo.fail",
        "report.statement",
        "image.thumbnail",
        "csv.summary",
    }


async def test_partners_do_not_see_each_other(service: Service, partner: Partner) -> None:
    async with service.admin() as admin:
        other = (await admin.post("/v1/partners", json={"name": f"other of {partner.id}"})).json()
    task = await _submit(partner, type="demo.echo")
    async with service.client(other["key"]) as stranger:
        for method, path in (
            ("GET", f"/v1/tasks/{task['id']}"),
            ("POST", f"/v1/tasks/{task['id']}/cancel"),
            ("GET", f"/v1/tasks/{task['id']}/timeline"),
        ):
            foreign = await stranger.request(method, path)
            unknown = await stranger.request(method, path.replace(task["id"], "task_unknown"))
            assert foreign.status_code == unknown.status_code == 404, path
        assert (await stranger.get("/v1/tasks")).json()["data"] == []
