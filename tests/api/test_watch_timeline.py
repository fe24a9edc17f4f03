"""Timelines and traces over HTTP, against a running API."""

from tests.support.live_api import Live


async def test_timeline_and_trace_of_a_task(live: Live) -> None:
    partner, other = await live.partner(), await live.partner()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = await partner.http.post(
        "/v1/tasks",
        json={"type": "demo.echo", "callback_url": "https://partner.example/hooks"},
        headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"},
    )
    task = answer.json()
    await live.hand.finish(task["id"])
    shown = (await partner.http.get(f"/v1/tasks/{task['id']}/timeline")).json()
    assert (shown["task_id"], shown["trace_id"], shown["state"]) == (task["id"], trace_id, "succeeded")
    kinds = [entry["kind"] for entry in shown["entries"]]
    assert kinds == [
        "received",
        "queued",
        "run.started",
        "run.finished",
        "succeeded",
        "message",
        "delivery.created",
    ]
    assert [entry["at"] for entry in shown["entries"]] == sorted(entry["at"] for entry in shown["entries"])
    delivery_id = shown["entries"][-1]["delivery_id"]
    message_id = shown["entries"][-1]["message_id"]
    for any_id in (trace_id, task["id"], message_id, delivery_id):
        answer = await partner.http.get(f"/v1/traces/{any_id}")
        assert answer.status_code == 200
        assert answer.json() == {"trace_id": trace_id, "tasks": [shown], "entries": [], "complete": True}
        assert (await other.http.get(f"/v1/traces/{any_id}")).status_code == 404
    for path in (f"/v1/tasks/{task['id']}/timeline", "/v1/tasks/task_x/timeline", "/v1/traces/what"):
        assert (await other.http.get(path)).json()["code"] == "not_found"
