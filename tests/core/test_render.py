"""Tasks, endpoints and deliveries as JSON, and the body that is signed."""

from typing import Any

import orjson

from tests.support.records import NOW, a_task
from tests.support.seeds import endpoint_of
from webhookd.core.model import DeliveryState, Priority, TaskState
from webhookd.core.records import Delivery, DeliveryCounts
from webhookd.core.render import (
    announced_task_document,
    delivery_document,
    endpoint_document,
    event_body,
    task_document,
)

AT = "2026-09-21T14:13:20.000Z"


def _as_json(document: Any) -> Any:
    return orjson.loads(orjson.dumps(document))


def test_a_task_has_every_field_of_the_contract() -> None:
    task = a_task(
        result_json='{"z":1.0,"a":[]}',
        metadata_json='{"z":"1","a":"2"}',
        progress_percent=50.0,
        progress_message="half",
        priority=Priority.HIGH,
        run_at_ms=NOW,
        started_ms=NOW,
        finished_ms=NOW,
        expires_ms=NOW,
        deliveries=DeliveryCounts(pending=1, delivered=2, dead=3, parked=4),
    )

    document = task_document(task, base_url="https://w.example")

    seen = _as_json(document)
    assert (seen["state"], seen["done"], seen["priority"]) == ("succeeded", True, "high")
    assert seen["progress"] == {"percent": 100.0, "message": "half"}
    assert seen["deliveries"] == {"pending": 1, "delivered": 2, "dead": 3, "parked": 4}
    assert {seen[name] for name in ("created_at", "run_at", "started_at", "finished_at", "expires_at")} == {
        AT
    }
    assert seen["links"]["self"] == "https://w.example/v1/tasks/task_1"
    assert b'"result":{"z":1.0,"a":[]}' in orjson.dumps(document), "spliced in, never re-encoded"
    assert b'"metadata":{"z":"1","a":"2"}' in orjson.dumps(document)


def test_progress_is_100_once_succeeded_and_else_what_the_function_said() -> None:
    for said in (None, 50.0):
        for state in TaskState:
            task = a_task(state=state, progress_percent=said, progress_message="at it")
            percent = 100.0 if state is TaskState.SUCCEEDED else said
            for document in (task_document(task), announced_task_document(task)):
                assert document["progress"] == {"percent": percent, "message": "at it"}


def test_what_a_task_has_not_is_null() -> None:
    seen = _as_json(task_document(a_task(state=TaskState.QUEUED)))

    assert [seen[n] for n in ("result", "error", "run_at", "started_at", "finished_at", "callback_url")] == [
        None
    ] * 6
    assert seen["done"] is False


def test_a_waiting_retry_shows_when_it_runs() -> None:
    task = a_task(state=TaskState.SCHEDULED, due_ms=NOW + 1_000, error_code="exception", error_message=None)

    seen = _as_json(task_document(task))

    assert seen["run_at"] == "2026-09-21T14:13:21.000Z"
    assert seen["error"] == {"code": "exception", "message": ""}


def test_the_task_in_a_webhook_leaves_out_its_deliveries() -> None:
    body = event_body("task.succeeded", timestamp_ms=NOW, data=announced_task_document(a_task()))

    event = orjson.loads(body)
    assert list(event) == ["type", "timestamp", "data"]
    assert (event["type"], event["timestamp"]) == ("task.succeeded", AT)
    assert "deliveries" not in event["data"]


def test_an_endpoint_shows_the_names_of_its_headers_and_no_secret() -> None:
    endpoint = endpoint_of(
        "prt_1", headers_sealed="sealed", header_names=("x-key",), public_key="whpk_x", failing_since_ms=NOW
    )

    seen = _as_json(endpoint_document(endpoint, breaker="open"))

    assert seen["headers"] == {"x-key": "***"}
    assert (seen["public_key"], seen["breaker"], seen["failing_since"]) == ("whpk_x", "open", AT)
    assert "sealed" not in orjson.dumps(seen).decode()
    plain = endpoint_document(endpoint_of("prt_1"))
    assert "public_key" not in plain
    assert "breaker" not in plain
    assert plain["retry"] == dict.fromkeys(("max_attempts", "base_seconds", "factor", "cap_seconds"))


def test_only_a_pending_delivery_has_a_next_attempt() -> None:
    fields: dict[str, Any] = {
        "id": "dlv_1", "message_id": "msg_1", "partner_id": "prt_1", "task_id": None, "task_type": None,
        "endpoint_id": "ep_1", "lane_id": "ep_1", "url": "https://x.example", "event": "task.failed",
        "attempts": 4, "attempts_in_budget": 2, "max_attempts": 14, "due_ms": NOW, "last_status": 500,
        "last_error": "http_500", "dead_reason": None, "created_ms": NOW,
        "delivered_ms": None, "ended_ms": None,
    }  # fmt: skip

    pending = delivery_document(Delivery(state=DeliveryState.PENDING, in_flight=False, **fields))
    under_way = delivery_document(Delivery(state=DeliveryState.PENDING, in_flight=True, **fields))
    dead = delivery_document(Delivery(state=DeliveryState.DEAD, in_flight=False, **fields))

    assert [one["next_attempt_at"] for one in (pending, under_way, dead)] == [AT, None, None]
    assert [one["in_flight"] for one in (pending, under_way, dead)] == [False, True, False]
    assert (pending["attempts"], pending["attempts_left"], pending["max_attempts"]) == (4, 12, 14)
    assert (pending["state"], pending["last_status"], pending["created_at"]) == ("pending", 500, AT)
