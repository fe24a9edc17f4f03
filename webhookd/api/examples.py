"""One example of each body, for /openapi.json and /docs; a test holds each against its schema.

Pages have none here: theirs are made of their items'.
"""

from collections.abc import Mapping
from typing import Any, Final

from webhookd.api import admin_documents as admin
from webhookd.api import documents as shown
from webhookd.api import webhook_documents as sent
from webhookd.api.endpoint_wire import EndpointChange, EndpointRotation, NewEndpoint
from webhookd.api.example_ids import (
    DELIVERY_ID,
    ENDPOINT_ID,
    KEY_ID,
    MESSAGE_ID,
    PARTNER_ID,
    REPLAY_ID,
    TASK_ID,
    TRACE_ID,
)
from webhookd.api.keys import NewKey
from webhookd.api.partners import NewPartner, PartnerChange, Rotation
from webhookd.api.replays import NewReplay
from webhookd.api.task_batch import BatchBody
from webhookd.api.task_wire import TaskBody
from webhookd.api.wire import NoBody

_CREATED: Final = "2026-11-24T06:00:00.000Z"
_STARTED: Final = "2026-11-24T06:00:00.012Z"
_ENDED: Final = "2026-11-24T06:00:01.406Z"
_URL: Final = "https://partner.example/hooks"

_ANNOUNCED: Final[dict[str, Any]] = {
    "id": TASK_ID,
    "type": "report.statement",
    "state": "succeeded",
    "done": True,
    "result": {"pages": 2},
    "error": None,
    "progress": {"percent": 100.0, "message": "done"},
    "metadata": {"order": "42"},
    "priority": "normal",
    "attempts": 1,
    "version": 4,
    "trace_id": TRACE_ID,
    "callback_url": _URL,
    "created_at": _CREATED,
    "run_at": None,
    "expires_at": None,
    "started_at": _STARTED,
    "finished_at": _ENDED,
    "links": {
        "self": f"/v1/tasks/{TASK_ID}",
        "events": f"/v1/tasks/{TASK_ID}/events",
        "timeline": f"/v1/tasks/{TASK_ID}/timeline",
        "cancel": f"/v1/tasks/{TASK_ID}/cancel",
        "deliveries": f"/v1/deliveries?task={TASK_ID}",
    },
}
_TASK: Final = {**_ANNOUNCED, "deliveries": {"pending": 0, "delivered": 1, "dead": 0, "parked": 0}}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "about:blank",
    "title": "Invalid Request",
    "status": 422,
    "detail": "The task is not valid.",
    "code": "invalid",
    "trace_id": TRACE_ID,
    "errors": [{"path": "$.input.account", "message": "is required"}],
}
_TIMELINE: Final[dict[str, Any]] = {
    "task_id": TASK_ID,
    "trace_id": TRACE_ID,
    "type": "report.statement",
    "state": "succeeded",
    "entries": [
        {"at": _CREATED, "kind": "received", "duration_ms": None, "type": "report.statement"},
        {"at": _CREATED, "kind": "queued", "duration_ms": 12.0, "queue": "reports"},
        {"at": _STARTED, "kind": "run.started", "duration_ms": None, "attempt": 1},
    ],
}
_ENDPOINT: Final[dict[str, Any]] = {
    "id": ENDPOINT_ID,
    "url": _URL,
    "description": "production",
    "state": "enabled",
    "disabled_reason": None,
    "events": ["task.*"],
    "task_types": [],
    "headers": {"X-Team": "***"},
    "rate_limit": 50.0,
    "max_concurrency": None,
    "ordering": "none",
    "retry": {"max_attempts": 10, "base_seconds": None, "factor": None, "cap_seconds": None},
    "signature": ["v1"],
    "failing_since": None,
    "created_at": _CREATED,
    "updated_at": _CREATED,
    "breaker": "closed",
}
_DELIVERY: Final[dict[str, Any]] = {
    "id": DELIVERY_ID,
    "message_id": MESSAGE_ID,
    "task_id": TASK_ID,
    "endpoint_id": None,
    "url": _URL,
    "event": "task.succeeded",
    "state": "delivered",
    "attempts": 1,
    "max_attempts": 14,
    "next_attempt_at": None,
    "last_status": 204,
    "last_error": None,
    "dead_reason": None,
    "created_at": _ENDED,
    "delivered_at": "2026-11-24T06:00:01.431Z",
}
_PARTNER: Final[dict[str, Any]] = {
    "id": PARTNER_ID,
    "name": "acme",
    "weight": 1,
    "limits": {"rate_per_second": 1000.0, "burst": 5000, "max_queued": 100_000},
    "suspended": False,
    "created_at": _CREATED,
}
_KEY: Final[dict[str, Any]] = {
    "id": KEY_ID,
    "partner": PARTNER_ID,
    "name": "first",
    "scopes": ["tasks:write", "tasks:read", "endpoints:write", "deliveries:replay"],
    "created_at": _CREATED,
    "expires_at": None,
    "revoked_at": None,
}
_PARTS: Final[dict[str, Any]] = {
    "database": {"status": "ok"},
    "broker": {"status": "ok"},
    "disk": {"status": "ok", "free_bytes": 81_604_378_624},
    "task_workers": {"status": "ok", "count": 2},
    "deliver_workers": {"status": "ok", "count": 1},
}
# Neither opens anything: the texts are too short to be a key or a secret.
_SHOWN_KEY: Final = "whk_…"
_SHOWN_SECRET: Final = "whsec_…"

EXAMPLES: Final[Mapping[type, Any]] = {
    NoBody: {},
    TaskBody: {
        "type": "report.statement",
        "input": {"account": "A-1"},
        "callback_url": _URL,
        "metadata": {"order": "42"},
    },
    BatchBody: {"tasks": [{"type": "demo.echo", "input": {"n": 1}}, {"type": "demo.echo"}]},
    NewEndpoint: {"url": _URL, "events": ["task.succeeded", "task.failed"], "rate_limit": 50},
    EndpointChange: {"description": "production", "max_concurrency": 8},
    EndpointRotation: {"overlap_seconds": 86_400},
    NewPartner: {"name": "acme", "limits": {"max_queued": 20_000}},
    PartnerChange: {"suspended": True},
    Rotation: {"overlap_seconds": 86_400},
    NewKey: {"name": "ci", "scopes": ["tasks:write", "tasks:read"]},
    NewReplay: {
        "filter": {"reason": "exhausted", "since": "2026-11-24T00:00:00Z"},
        "dry_run": True,
        "rate_per_second": 50,
    },
    shown.Problem: _PROBLEM,
    shown.Task: _TASK,
    shown.WrittenTask: _TASK,
    shown.TaskReceipt: {name: _TASK[name] for name in ("id", "type", "state", "done", "version", "links")},
    shown.BatchResults: {
        "results": [{"status": 202, "task": _TASK}, {"status": 422, "error": _PROBLEM}],
    },
    shown.TaskType: {
        "type": "demo.echo",
        "description": "Give back the input.",
        "queue": "default",
        "timeout_seconds": 60.0,
        "max_attempts": 3,
        "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
    },
    shown.Timeline: _TIMELINE,
    shown.Trace: {"trace_id": TRACE_ID, "tasks": [_TIMELINE], "entries": [], "complete": True},
    shown.Endpoint: _ENDPOINT,
    shown.NewEndpointSecret: {**_ENDPOINT, "secret": _SHOWN_SECRET},
    shown.RotatedEndpointSecret: {
        **_ENDPOINT,
        "secret": _SHOWN_SECRET,
        "previous_expires_at": "2026-11-25T06:00:00.000Z",
    },
    shown.Delivery: _DELIVERY,
    shown.WrittenDelivery: _DELIVERY,
    shown.DeliveryReceipt: {
        name: _DELIVERY[name] for name in ("id", "message_id", "task_id", "endpoint_id", "state")
    },
    shown.DeliveryHistory: {
        **_DELIVERY,
        "attempts_log": [
            {
                "number": 1,
                "at": "2026-11-24T06:00:01.409Z",
                "duration_ms": 21.4,
                "parts": {"dns_ms": 1.2, "connect_ms": 4.0, "tls_ms": 9.6, "first_byte_ms": 6.1},
                "status": 204,
                "error": None,
                "resent": False,
                "response": {"headers": {"date": "Tue, 24 Nov 2026 06:00:01 GMT"}, "body": ""},
                "curl": f"curl -X POST {_URL} …",
            }
        ],
    },
    shown.DeadLetter: {
        "id": DELIVERY_ID,
        "kind": "delivery",
        "reason": "exhausted",
        "at": "2026-11-27T14:10:00.000Z",
        "task_id": TASK_ID,
        "endpoint_id": ENDPOINT_ID,
        "url": _URL,
        "event": "task.succeeded",
        "type": "report.statement",
        "last_error": "http_503",
    },
    shown.BackAtWork: {**_DELIVERY, "state": "pending", "delivered_at": None},
    shown.Replay: {
        "id": REPLAY_ID,
        "state": "running",
        "dry_run": False,
        "filter": {"reason": "exhausted"},
        "rate_per_second": 50.0,
        "matched": 1_200,
        "replayed": 350,
        "created_at": "2026-11-28T08:00:00.000Z",
        "finished_at": None,
    },
    shown.FeedPage: {
        "data": [{"id": MESSAGE_ID, "type": "task.succeeded", "timestamp": _ENDED, "data": _ANNOUNCED}],
        "next_cursor": f"17.{PARTNER_ID}",
    },
    admin.Partner: _PARTNER,
    admin.NewPartnerSecrets: {**_PARTNER, "key": _SHOWN_KEY, "secret": _SHOWN_SECRET},
    admin.RotatedPartnerSecret: {
        "id": PARTNER_ID,
        "secret": _SHOWN_SECRET,
        "previous_expires_at": "2026-11-25T06:00:00.000Z",
    },
    admin.Key: _KEY,
    admin.NewKeyText: {**_KEY, "key": _SHOWN_KEY},
    admin.Queue: {
        "name": "reports",
        "paused": False,
        "depth": 120,
        "scheduled": 3,
        "running": 8,
        "finished": 90_210,
        "oldest_age_seconds": 4.2,
        "rate_per_second": 31.5,
        "drain_seconds": 3.8,
        "desired_workers": 1,
    },
    admin.QueuePause: {"name": "reports", "paused": True},
    admin.AuditEntry: {
        "id": "aud_01kats8w3zk2m4n6p8q0r2s4t6",
        "at": _CREATED,
        "actor": KEY_ID,
        "actor_name": "operations",
        "action": "partner.create",
        "target": PARTNER_ID,
        "partner": PARTNER_ID,
        "detail": {"name": "acme"},
    },
    admin.Health: {"status": "ok"},
    admin.Readiness: {"status": "ok", **_PARTS},
    admin.NotReady: {
        "type": "about:blank",
        "title": "Unavailable",
        "status": 503,
        "detail": "disk: nearly full.",
        "code": "unavailable",
        "trace_id": TRACE_ID,
        **_PARTS,
        "disk": {"status": "failed", "reason": "nearly full", "free_bytes": 1_048_576},
    },
    sent.TaskEvent: {"type": "task.succeeded", "timestamp": _ENDED, "data": _ANNOUNCED},
    sent.EndpointDisabledEvent: {
        "type": "endpoint.disabled",
        "timestamp": _ENDED,
        "data": {
            name: value
            for name, value in (_ENDPOINT | {"state": "disabled", "disabled_reason": "gone"}).items()
            if name != "breaker"
        },
    },
    sent.DeliveryDeadEvent: {
        "type": "delivery.dead",
        "timestamp": _ENDED,
        "data": {
            **_DELIVERY,
            "state": "dead",
            "attempts": 14,
            "last_status": 503,
            "last_error": "http_503",
            "dead_reason": "exhausted",
            "delivered_at": None,
        },
    },
    sent.EndpointTestEvent: {
        "type": "webhookd.test",
        "timestamp": _ENDED,
        "data": {"endpoint_id": ENDPOINT_ID, "message": "This is a test of your endpoint."},
    },
}
