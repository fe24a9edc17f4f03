"""Tasks, endpoints and deliveries as the JSON everybody gets: API, live streams, signed webhook bodies.

One function each, so that every door shows the same thing. Result and metadata are spliced in as the text
they were stored as. What only HTTP adds (headers, problem documents) lives in `webhookd.api`.
"""

from typing import Any

import orjson

from webhookd.core.records import Delivery, DeliveryCounts, Endpoint, Task
from webhookd.core.times import to_rfc3339


def _time(ms: int | None) -> str | None:
    return None if ms is None else to_rfc3339(ms)


def task_document(task: Task, *, base_url: str = "", with_deliveries: bool = True) -> dict[str, Any]:
    """Return the Task of the API, ready for `orjson.dumps`.

    `base_url` (no trailing slash) makes the links absolute. The Task inside a webhook leaves out
    `deliveries`, because its bytes are fixed before the first delivery is tried.
    """
    path = f"{base_url}/v1/tasks/{task.id}"
    document: dict[str, Any] = {
        "id": task.id,
        "type": task.type,
        "state": task.state.value,
        "done": task.done,
        "result": None if task.result_json is None else orjson.Fragment(task.result_json),
        "error": None
        if task.error_code is None
        else {"code": task.error_code, "message": task.error_message or ""},
        "progress": {"percent": task.progress_percent, "message": task.progress_message},
        "metadata": orjson.Fragment(task.metadata_json),
        "priority": task.priority.label,
        "attempts": task.attempts,
        "version": task.version,
        "trace_id": task.trace_id,
        "callback_url": task.callback_url,
        "created_at": to_rfc3339(task.created_ms),
        "run_at": _time(task.due_ms if task.state == "scheduled" else task.run_at_ms),
        "expires_at": _time(task.expires_ms),
        "started_at": _time(task.started_ms),
        "finished_at": _time(task.finished_ms),
    }
    if with_deliveries:
        document["deliveries"] = counts_document(task.deliveries)
    document["links"] = {
        "self": path,
        "events": f"{path}/events",
        "timeline": f"{path}/timeline",
        "cancel": f"{path}/cancel",
        "deliveries": f"{base_url}/v1/deliveries?task={task.id}",
    }
    return document


def counts_document(counts: DeliveryCounts) -> dict[str, int]:
    """Return `{pending, delivered, dead, parked}`."""
    return {
        "pending": counts.pending,
        "delivered": counts.delivered,
        "dead": counts.dead,
        "parked": counts.parked,
    }


def event_body(event: str, *, timestamp_ms: int, data: object) -> str:
    """Return the webhook body `{"type", "timestamp", "data"}` as the text that is stored and signed."""
    return orjson.dumps({"type": event, "timestamp": to_rfc3339(timestamp_ms), "data": data}).decode()


def endpoint_document(endpoint: Endpoint, *, breaker: str | None = None) -> dict[str, Any]:
    """Return the Endpoint of the API, without its secret and with the names only of its own headers."""
    document: dict[str, Any] = {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "state": endpoint.state,
        "disabled_reason": endpoint.disabled_reason,
        "events": list(endpoint.events),
        "task_types": list(endpoint.task_types),
        "headers": dict.fromkeys(endpoint.header_names, "***"),
        "rate_limit": endpoint.rate_limit,
        "max_concurrency": endpoint.max_concurrency,
        "ordering": endpoint.ordering,
        "retry": {
            "max_attempts": endpoint.retry_max_attempts,
            "base_seconds": endpoint.retry_base_seconds,
            "factor": endpoint.retry_factor,
            "cap_seconds": endpoint.retry_cap_seconds,
        },
        "signature": list(endpoint.signature),
        "failing_since": _time(endpoint.failing_since_ms),
        "created_at": to_rfc3339(endpoint.created_ms),
        "updated_at": to_rfc3339(endpoint.updated_ms),
    }
    if endpoint.public_key is not None:
        document["public_key"] = endpoint.public_key
    if breaker is not None:
        document["breaker"] = breaker
    return document


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """Return the Delivery of the API, without its attempts."""
    return {
        "id": delivery.id,
        "message_id": delivery.message_id,
        "task_id": delivery.task_id,
        "endpoint_id": delivery.endpoint_id,
        "url": delivery.url,
        "event": delivery.event,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "max_attempts": delivery.max_attempts,
        "next_attempt_at": _time(delivery.due_ms) if delivery.state == "pending" else None,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "dead_reason": delivery.dead_reason,
        "created_at": to_rfc3339(delivery.created_ms),
        "delivered_at": _time(delivery.delivered_ms),
    }
