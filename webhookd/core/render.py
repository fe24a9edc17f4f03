"""A task as the JSON everybody gets: the API, the live streams and the signed webhook body.

One function, so that every door shows the same task. Result and metadata are spliced in as the text
they were stored as. What only HTTP adds (headers, problem documents) lives in `webhookd.api`.
"""

from typing import Any

import orjson

from webhookd.core.records import DeliveryCounts, Task
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
