"""What a key without `tasks:read` is shown of what it writes: ids and states."""

import httpx

from tests.api.targets import dead, endpoint, tried
from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import EXHAUSTED
from webhookd.adapters.store.schema import task_bodies, tasks
from webhookd.adapters.store.tx import Tx

TASK = {"id", "type", "state", "done", "version", "links"}
DELIVERY = {"id", "message_id", "task_id", "endpoint_id", "state"}
SECRET = {"metadata": {"customer": "planted-7f3a"}}


async def with_scopes(face: Face, partner: PartnerFace, *scopes: str) -> httpx.AsyncClient:
    made = await face.admin.post(f"/v1/partners/{partner.id}/keys", json={"scopes": list(scopes)})
    return await face.client(made.json()["key"])


async def ended(face: Face, task_id: str) -> None:
    """Let the task have succeeded with a result."""

    def end(tx: Tx) -> None:
        tx.conn.execute(tasks.update().where(tasks.c.id == task_id).values(state="succeeded", finished_ms=1))
        body = task_bodies.update().where(task_bodies.c.task_id == task_id)
        tx.conn.execute(body.values(result='{"found":"planted-91bc"}'))

    await face.store.db.write(end)


async def test_writes_of_tasks_show_ids_and_states(face: Face) -> None:
    partner = await face.partner()
    writer = await with_scopes(face, partner, "tasks:write")
    body = {"type": "test.echo", **SECRET}
    keyed = {"Idempotency-Key": "k"}
    submitted = await writer.post("/v1/tasks", json=body, headers=keyed)
    assert submitted.status_code == 202
    task = submitted.json()
    assert set(task) == TASK
    assert (task["state"], task["done"]) == ("queued", False)
    assert set((await writer.post("/v1/tasks", json=body, headers={"Prefer": "wait=0"})).json()) == TASK
    batch = await writer.post("/v1/tasks/batch", json={"tasks": [body]}, headers={"Idempotency-Key": "b"})
    assert set(batch.json()["results"][0]["task"]) == TASK
    await ended(face, task["id"])
    for answer in (
        await writer.post("/v1/tasks", json=body, headers=keyed),
        await writer.post("/v1/tasks", json=body, headers={**keyed, "Prefer": "wait=1"}),
        await writer.post(f"/v1/tasks/{task['id']}/cancel"),
        await writer.post("/v1/tasks/batch", json={"tasks": [body]}, headers={"Idempotency-Key": "b"}),
    ):
        assert answer.is_success
        assert "planted" not in answer.text
    seen = await partner.client.post(f"/v1/tasks/{task['id']}/cancel")
    assert seen.json()["result"] == {"found": "planted-91bc"}
    assert seen.json()["metadata"] == SECRET["metadata"]


async def test_writes_of_deliveries_show_ids_and_states_whoever_asked_first(face: Face) -> None:
    partner = await face.partner()
    writer = await with_scopes(face, partner, "deliveries:replay", "endpoints:write")
    target = await endpoint(face, partner)
    delivery_id = await dead(face, target)
    for path in (
        f"/v1/endpoints/{target.id}/test",
        f"/v1/deliveries/{delivery_id}/replay",
        f"/v1/deliveries/{delivery_id}/cancel",
    ):
        keyed = {"Idempotency-Key": path}
        for client in (partner.client, writer, partner.client):
            answer = await client.post(path, headers=keyed)
            assert answer.is_success, answer.text
            assert (set(answer.json()) == DELIVERY) == (client is writer)


async def test_a_replayed_dead_letter_shows_its_id_and_state(face: Face) -> None:
    partner = await face.partner()
    writer = await with_scopes(face, partner, "deliveries:replay")
    target = await endpoint(face, partner)
    letter = await dead(face, target)
    path = f"/v1/dead-letters/{letter}/replay"
    assert set((await writer.post(path)).json()) == DELIVERY
    await tried(face, letter, EXHAUSTED)
    for client in (partner.client, writer):
        answer = await client.post(path, headers={"Idempotency-Key": "k"})
        assert (set(answer.json()) == DELIVERY) == (client is writer)


async def test_cancels_are_in_the_audit_log_by_the_name_of_the_key(face: Face) -> None:
    partner = await face.partner()
    made = await face.admin.post(f"/v1/partners/{partner.id}/keys", json={"name": "night shift"})
    client = await face.client(made.json()["key"])
    task = (await client.post("/v1/tasks", json={"type": "test.echo"})).json()
    for _ in range(2):
        assert (await client.post(f"/v1/tasks/{task['id']}/cancel")).is_success
    target = await endpoint(face, partner)
    sent = (await client.post(f"/v1/endpoints/{target.id}/test")).json()
    assert (await client.post(f"/v1/deliveries/{sent['id']}/cancel")).status_code == 202
    entries = (await face.admin.get(f"/v1/audit?partner={partner.id}")).json()["data"]
    by_key = [(one["action"], one["target"]) for one in entries if one["actor"] == "night shift"]
    assert by_key == [
        ("delivery.cancel", sent["id"]),
        ("endpoint.test", target.id),
        ("task.cancel", task["id"]),
    ]
