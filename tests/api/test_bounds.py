"""No answer is much larger than 4 MiB, however many rows belong to it; what is left out is said."""

from typing import Any

import orjson
from sqlalchemy import update

from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import dead_delivery, endpoint, message_to
from webhookd.adapters.store.paging import MAX_PAGE_BYTES
from webhookd.adapters.store.schema import attempts, deliveries
from webhookd.taskset import TaskSet

EXCERPT = "\N{SNOWMAN}" * 5_400
HEADERS = orjson.dumps([["x-header", '"' * 8_000]]).decode()
ECHO = {"type": "test.echo"}
MOST_BYTES = MAX_PAGE_BYTES + 65_536


async def write_attempts(face: Face, delivery_id: str, count: int, **values: object) -> None:
    """Attempts at a delivery as the senders write them."""
    at_ms = face.clock.now_ms()
    rows: list[dict[str, Any]] = [
        {
            "delivery_id": delivery_id,
            "number": number,
            "at_ms": at_ms + number,
            "duration_us": 1_000,
            "status": 500,
            "error": "http_500",
            "headers": "[]",
            "excerpt": "",
            **values,
        }
        for number in range(1, count + 1)
    ]
    await face.store.db.write(lambda tx: tx.conn.execute(attempts.insert(), rows))


async def delivery_of_task(face: Face, partner: PartnerFace, task_id: str) -> str:
    """A delivery that belongs to the task."""
    target = await endpoint(face.store, partner.id)
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms())
    owned = update(deliveries).where(deliveries.c.id == delivery_id).values(task_id=task_id)
    await face.store.db.write(lambda tx: tx.conn.execute(owned))
    return delivery_id


async def test_log_of_attempts_has_the_newest_and_says_how_many_it_leaves_out(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face.store, partner.id)
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms())
    await write_attempts(face, delivery_id, 300, headers=HEADERS, excerpt=EXCERPT)
    answer = await partner.client.get(f"/v1/deliveries/{delivery_id}")
    document = answer.json()
    shown = [attempt["number"] for attempt in document["attempts_log"]]
    assert shown == list(range(301 - len(shown), 301))
    assert document["attempts_omitted"] == 300 - len(shown) > 0
    assert MOST_BYTES // 2 < len(answer.content) < MOST_BYTES


async def test_log_that_fits_is_whole(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face.store, partner.id)
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms())
    await write_attempts(face, delivery_id, 14, headers=HEADERS, excerpt=EXCERPT)
    document = (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()
    assert (len(document["attempts_log"]), document["attempts_omitted"]) == (14, 0)


async def test_lines_that_repeat_a_request_count_too(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face.store, partner.id)
    body = orjson.dumps({"data": "'" * 8_000}).decode()
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms(), body=body)
    await write_attempts(face, delivery_id, 300)
    answer = await partner.client.get(f"/v1/deliveries/{delivery_id}")
    assert answer.json()["attempts_omitted"] > 0
    assert len(answer.content) < MOST_BYTES


async def test_timeline_and_trace_leave_out_the_oldest_entries_and_say_so(face: Face) -> None:
    partner = await face.partner()
    task = (await partner.client.post("/v1/tasks", json=ECHO)).json()
    whole = (await partner.client.get(f"/v1/tasks/{task['id']}/timeline")).json()
    assert (whole["complete"], whole["entries"][0]["kind"]) == (True, "received")
    await write_attempts(face, await delivery_of_task(face, partner, task["id"]), 30_000)
    answer = await partner.client.get(f"/v1/tasks/{task['id']}/timeline")
    cut = answer.json()
    assert (cut["complete"], cut["entries"][-1]["attempt"]) == (False, 30_000)
    assert MOST_BYTES // 2 < len(answer.content) < MOST_BYTES
    trace = await partner.client.get(f"/v1/traces/{task['trace_id']}")
    assert (trace.json()["complete"], trace.json()["tasks"][0]["complete"]) == (False, False)
    assert len(trace.content) < MOST_BYTES


async def test_trace_of_many_full_tasks_is_one_answer(face: Face) -> None:
    partner = await face.partner()
    trace = "0af7651916cd43dd8448eb211c80319c"
    brought = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    for _ in range(3):
        task = (await partner.client.post("/v1/tasks", json=ECHO, headers=brought)).json()
        await write_attempts(face, await delivery_of_task(face, partner, task["id"]), 6_000)
    answer = await partner.client.get(f"/v1/traces/{trace}")
    assert not answer.json()["complete"]
    assert len(answer.content) < MOST_BYTES


async def test_pages_of_dead_letters_end_at_four_megabytes_and_lose_nothing(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face.store, partner.id)
    made = [await dead_delivery(face.store, target, now_ms=face.clock.now_ms()) for _ in range(5)]
    large = update(deliveries).values(url="https://partner.example/" + "x" * 1_500_000, endpoint_id=None)
    await face.store.db.write(lambda tx: tx.conn.execute(large))
    seen: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        more = {"cursor": cursor} if cursor else {}
        answer = await partner.client.get("/v1/dead-letters", params={"limit": "500", **more})
        assert len(answer.content) <= MAX_PAGE_BYTES
        seen += [letter["id"] for letter in answer.json()["data"]]
        cursor, pages = answer.json()["next_cursor"], pages + 1
    assert sorted(seen) == sorted(made)
    assert pages == 3


async def test_pages_of_task_types_end_at_four_megabytes(face: Face) -> None:
    types = TaskSet()
    for number in range(10):
        types.task(f"test.type{number}")(_described())
    client = await face.client((await face.partner()).key, task_types=types)
    first = (await client.get("/v1/task-types", params={"limit": 500})).json()
    assert len(orjson.dumps(first)) <= MAX_PAGE_BYTES
    rest = (await client.get("/v1/task-types", params={"limit": 500, "cursor": first["next_cursor"]})).json()
    assert [one["type"] for one in first["data"] + rest["data"]] == [f"test.type{n}" for n in range(10)]


def _described() -> Any:
    def function(ctx: Any, input: dict[str, Any]) -> None:  # noqa: A002 - the contract's word
        raise AssertionError

    function.__doc__ = "x" * 700_000
    return function
