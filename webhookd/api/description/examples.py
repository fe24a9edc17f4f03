"""One example of each body, in and out: an answer's is a sample record as the API renders it.

What stands here is only which record a document is an example of, and what one might send. A page's example
is made of its item's.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from webhookd.api import (
    batch_wire,
    endpoint_trial,
    file_wire,
    health,
    partner_wire,
    portal_links,
    receipts,
    task_batch,
    task_input,
    timeline,
    tokens,
)
from webhookd.api.activity import ActivityDocument, activity_document
from webhookd.api.admin_keys import (
    AdminKeyCreate,
    AdminKeyDocument,
    AdminKeyWithTextDocument,
    admin_key_document,
)
from webhookd.api.attempt_wire import DeliveryHistoryDocument, history_document
from webhookd.api.audit import AuditEntryDocument, audit_document
from webhookd.api.caller import Caller
from webhookd.api.dead_letter_summary import LetterGroupDocument, group_document
from webhookd.api.dead_letter_wire import ReplayChange, ReplayCreate
from webhookd.api.dead_letters import BackAtWork
from webhookd.api.description import samples
from webhookd.api.discards import DiscardCreate
from webhookd.api.endpoint_retry import RetriedDocument
from webhookd.api.endpoint_secrets import EndpointRotatedDocument, EndpointWithSecretDocument
from webhookd.api.endpoint_stats import EndpointStatsDocument, stats_document
from webhookd.api.endpoint_wire import EndpointChange, EndpointCreate, EndpointSecretCreate
from webhookd.api.example_ids import PARTNER_ID, TASK_ID, TRACE_ID
from webhookd.api.keys import KeyCreate, KeyDocument, KeyWithTextDocument, OwnKeyCreate, key_document
from webhookd.api.messages import FeedPageDocument, MessageDocument, message_document, whole_message_document
from webhookd.api.problems import ProblemDocument, problem_document
from webhookd.api.queues import QueueDocument, QueuePauseDocument, queue_document
from webhookd.api.runs import RunDocument, run_document
from webhookd.api.task_types import TaskTypeDocument, task_type_document
from webhookd.api.task_wire import TaskCreate
from webhookd.api.wire import NoBody
from webhookd.api.workers import WorkerDocument, worker_document
from webhookd.core.errors import FieldError, Invalid
from webhookd.core.model import SCOPES, DeliveryState, EndpointState
from webhookd.core.render import (
    BatchDocument,
    DeadLetterDocument,
    DeliveryDocument,
    DiscardDocument,
    EndpointDocument,
    FileDocument,
    ReplayDocument,
    TaskDocument,
    announced_task_document,
    batch_document,
    dead_letter_document,
    delivery_document,
    discard_document,
    endpoint_document,
    event,
    file_document,
    replay_document,
    task_document,
    tested_endpoint_document,
)
from webhookd.samples import demo

SENT: Final[Mapping[Any, Any]] = {
    NoBody: {},
    TaskCreate: {
        "type": "report.statement",
        "input": {"account": "A-1"},
        "callback_url": samples.URL,
        "metadata": {"order": "42"},
    },
    task_batch.TaskBatchCreate: {"tasks": [{"type": "demo.echo", "input": {"n": 1}}, {"type": "demo.echo"}]},
    batch_wire.BatchCreate: {
        "defaults": {"type": "demo.echo", "metadata": {"run": "november"}},
        "tasks": [{"input": {"n": 1}}, {"input": {"n": 2}}],
        "callback_url": samples.URL,
    },
    batch_wire.BatchTasksCreate: {"tasks": [{"input": {"n": 3}}]},
    tokens.TokenCreate: {"batch": samples.BATCH.id, "expires_in": 900},
    EndpointCreate: {"url": samples.URL, "events": ["task.succeeded", "task.failed"], "rate_limit": 50},
    EndpointChange: {"description": "production", "max_concurrency": 8},
    EndpointSecretCreate: {"overlap_seconds": 86_400},
    partner_wire.PartnerCreate: {"name": "acme", "limits": {"max_queued": 20_000}},
    partner_wire.PartnerChange: {"suspended": True},
    partner_wire.PartnerSecretCreate: {"overlap_seconds": 86_400},
    KeyCreate: {"name": "ci", "scopes": ["tasks:write", "tasks:read"]},
    AdminKeyCreate: {"name": "alice"},
    OwnKeyCreate: {"name": "ci", "scopes": ["tasks:write", "tasks:read"]},
    portal_links.PortalLinkCreate: {"expires_in": 600},
    file_wire.FileCreate: {"name": "photo.jpg", "content_type": "image/jpeg", "size": 20_971_520},
    ReplayCreate: {
        "filter": {"reason": "exhausted", "since": "2026-11-24T00:00:00Z"},
        "dry_run": True,
        "rate_per_second": 50,
    },
    ReplayChange: {"rate_per_second": 10},
    DiscardCreate: {"filter": {"endpoint": samples.ENDPOINT.id}, "reason": "superseded by a later statement"},
}
"""What one might send."""

_MAY_NOT_READ: Final = Caller(key_id="", partner=samples.PARTNER, scopes=frozenset({"tasks:write"}))


def examples() -> Mapping[Any, Any]:
    """Return an example of each body by its type, as JSON values."""
    made = {**SENT, **_answers(), **_webhooks()}
    return {kind: orjson.loads(orjson.dumps(example)) for kind, example in made.items()}


def _answers() -> Mapping[Any, Any]:
    task, delivery = task_document(samples.TASK), delivery_document(samples.DELIVERY)
    endpoint = endpoint_document(samples.ENDPOINT, breaker="closed")
    file = file_document(samples.FILE)
    batch = batch_document(samples.BATCH)
    receipt = batch_wire.shown_batch(_MAY_NOT_READ, batch)
    added = {"task_ids": [samples.TASK.id], "refused": []}
    partner = partner_wire.partner_document(samples.PARTNER, samples.LIMITS)
    key = key_document(samples.API_KEY)
    admin_key = admin_key_document(replace(samples.API_KEY, partner_id=None, name="alice"))
    missing = FieldError(path="$.input.account", message="is required")
    problem = problem_document(Invalid("The task is not valid.", errors=[missing]), trace_id=TRACE_ID)
    waiting = replace(samples.DELIVERY, state=DeliveryState.PENDING, delivered_ms=None)
    secret = {"secret": samples.SECRET_TEXT}
    tested = endpoint_trial.tested_document(samples.TESTED, base_url="")
    rotated = {**secret, "previous_expires_at": samples.OVERLAP_ENDS}
    return {
        ProblemDocument: problem,
        TaskDocument: task,
        receipts.WrittenTask: task,
        receipts.TaskReceiptDocument: receipts.shown_to(_MAY_NOT_READ, task),
        task_batch.BatchResultsDocument: {
            "results": [{"status": 202, "task": task}, {"status": 422, "error": problem}]
        },
        BatchDocument: batch,
        batch_wire.WrittenBatch: batch,
        batch_wire.WrittenBatchWithTasks: {**batch, **added},
        batch_wire.BatchWithTasksDocument: {**batch, **added},
        batch_wire.BatchReceiptDocument: receipt,
        batch_wire.BatchWithTasksReceiptDocument: {**receipt, **added},
        tokens.TokenDocument: {"token": samples.TOKEN_TEXT, "expires_at": samples.UPLOAD_ENDS},
        FileDocument: file,
        file_wire.WrittenFile: file,
        file_wire.FileReceiptDocument: {"id": file["id"], "state": file["state"]},
        file_wire.AnnouncedFileDocument: {
            "file": {**file, "state": "awaiting", "download_url": None, "download_expires_at": None},
            "upload": {
                "method": "PUT",
                "url": file["download_url"],
                "headers": {"Content-Type": "image/jpeg"},
                "expires_at": samples.UPLOAD_ENDS,
            },
        },
        TaskTypeDocument: task_type_document(next(one for one in demo.tasks if one.type == "demo.echo")),
        RunDocument: run_document(samples.FAILED_RUN, with_log=True, with_exception=True),
        WorkerDocument: worker_document(samples.WORKER),
        timeline.TimelineDocument: timeline.timeline_document(samples.LIFE),
        timeline.TraceDocument: timeline.trace_document(samples.TRACE),
        EndpointDocument: endpoint,
        EndpointWithSecretDocument: {**endpoint, **secret},
        EndpointRotatedDocument: {**endpoint, **rotated},
        EndpointStatsDocument: stats_document(samples.STATS, "24h", now_ms=samples.DELIVERED_MS),
        ActivityDocument: activity_document(samples.RUNS, samples.ATTEMPTS, "6h"),
        DeliveryDocument: delivery,
        receipts.WrittenDelivery: delivery,
        receipts.DeliveryReceiptDocument: receipts.shown_to(_MAY_NOT_READ, delivery),
        DeliveryHistoryDocument: history_document(samples.HISTORY, base_url=""),
        endpoint_trial.EndpointTestedDocument: tested,
        endpoint_trial.TestOutcome: tested,
        DeadLetterDocument: dead_letter_document(samples.DEAD_LETTER),
        LetterGroupDocument: group_document(
            samples.LETTER_GROUP, ("partner", "endpoint", "error"), {PARTNER_ID: "acme"}
        ),
        BackAtWork: delivery_document(waiting),
        ReplayDocument: replay_document(samples.REPLAY),
        MessageDocument: whole_message_document(samples.MESSAGE),
        DiscardDocument: discard_document(samples.DISCARD),
        RetriedDocument: {"due": 120},
        FeedPageDocument: {
            "data": [message_document(samples.MESSAGE)],
            "next_cursor": samples.FEED_CURSOR,
        },
        partner_wire.PartnerDocument: partner,
        partner_wire.OwnPartnerDocument: partner_wire.own_partner_document(
            partner, samples.USE, SCOPES, max_stored_bytes=10_737_418_240
        ),
        partner_wire.PartnerWithSecretsDocument: {**partner, "key": samples.KEY_TEXT, **secret},
        partner_wire.PartnerRotatedDocument: {"id": partner["id"], **rotated},
        KeyDocument: key,
        AdminKeyDocument: admin_key,
        AdminKeyWithTextDocument: {**admin_key, "key": samples.ADMIN_KEY_TEXT},
        KeyWithTextDocument: {**key, "key": samples.KEY_TEXT},
        task_input.TaskInputDocument: {"task_id": TASK_ID, "input": {"account": "A-1"}},
        portal_links.PortalLinkDocument: {
            "url": "https://webhookd.example/portal/enter?token=…",
            "expires_at": samples.UPLOAD_ENDS,
        },
        QueueDocument: queue_document(
            samples.QUEUE, slots=(8,), ended_per_second=31.5, now_ms=samples.CREATED_MS + 4_200
        ),
        QueuePauseDocument: {"name": samples.QUEUE.queue, "paused": True},
        AuditEntryDocument: audit_document(samples.AUDIT_ENTRY),
        **_health(),
    }


def _health() -> Mapping[Any, Any]:
    parts: health.PartsDocument = {
        "database": {"status": "ok"},
        "broker": {"status": "ok"},
        "disk": {"status": "ok", "free_bytes": 81_604_378_624},
        "task_workers": {"status": "ok", "count": 2},
        "deliver_workers": {"status": "ok", "count": 1},
    }
    full: health.PartsDocument = {
        **parts,
        "disk": {"status": "failed", "reason": "nearly full", "free_bytes": 1_048_576},
    }
    return {
        health.HealthDocument: {"status": "ok"},
        health.ReadinessDocument: health.readiness_document(parts, ""),
        health.NotReadyDocument: health.not_ready_document(full, "disk: nearly full", trace_id=TRACE_ID),
    }


def _webhooks() -> Mapping[Any, Any]:
    disabled = replace(samples.ENDPOINT, state=EndpointState.DISABLED, disabled_reason="gone")
    failing = replace(samples.ENDPOINT, failing_since_ms=samples.CREATED_MS)
    dead = replace(
        samples.DELIVERY,
        state=DeliveryState.DEAD,
        attempts=14,
        last_status=503,
        last_error="http_503",
        dead_reason="exhausted",
        delivered_ms=None,
    )
    told = {
        event.TaskEventDocument: ("task.succeeded", announced_task_document(samples.TASK)),
        event.BatchEventDocument: ("batch.completed", batch_document(samples.BATCH)),
        event.EndpointFailingEventDocument: ("endpoint.failing", endpoint_document(failing)),
        event.EndpointRecoveredEventDocument: ("endpoint.recovered", endpoint_document(samples.ENDPOINT)),
        event.EndpointDisabledEventDocument: ("endpoint.disabled", endpoint_document(disabled)),
        event.DeliveryDeadEventDocument: ("delivery.dead", event.dead_delivery_document(dead, 17)),
        event.EndpointTestEventDocument: (
            "webhookd.test",
            tested_endpoint_document(samples.ENDPOINT.id),
        ),
    }
    return {
        kind: orjson.Fragment(event.event_body(name, timestamp_ms=samples.ENDED_MS, data=data))
        for kind, (name, data) in told.items()
    }
