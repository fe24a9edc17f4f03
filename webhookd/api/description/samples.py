"""Sample records: one story from submission to delivery, out of which examples are rendered."""

from dataclasses import replace
from typing import Final

from webhookd.adapters.store.access.audit import AuditEntry
from webhookd.adapters.store.access.partner_use import PartnerUse
from webhookd.adapters.store.deliveries.deliveries import DeliveryHistory
from webhookd.adapters.store.endpoints.endpoint_stats import EndpointStats
from webhookd.adapters.store.traces import Trace
from webhookd.adapters.store.upkeep.workers import HeldTask, Worker
from webhookd.api.example_ids import (
    BATCH_ID,
    DELIVERY_ID,
    DISCARD_ID,
    ENDPOINT_ID,
    FILE_ID,
    KEY_ID,
    MESSAGE_ID,
    PARTNER_ID,
    REPLAY_ID,
    TASK_ID,
    TRACE_ID,
)
from webhookd.core import activity
from webhookd.core.batches import Batch, BatchCounts
from webhookd.core.endpoint_stats import MINUTE_MS, WINDOWS, Span, bucket_of, drawn
from webhookd.core.file_links import DOWNLOAD_MS
from webhookd.core.files import File, FileKind, FileState
from webhookd.core.listing import LetterGroup
from webhookd.core.model import (
    TEST_EVENT,
    USUAL_SCOPES,
    BatchState,
    DeliveryState,
    EndpointState,
    Priority,
    ReplayState,
    TaskState,
)
from webhookd.core.outcome import ERROR, PRIVATE, Raised
from webhookd.core.records import (
    ApiKey,
    Attempt,
    DeadLetter,
    Delivery,
    DeliveryCounts,
    Endpoint,
    Limits,
    LimitsInForce,
    Message,
    Partner,
    QueueDepth,
    Run,
    Task,
)
from webhookd.core.render import announced_task_document, event_body, tested_endpoint_document
from webhookd.core.replay import DeadLetterFilter, Deed, Replay
from webhookd.core.timeline import History, Sendings
from webhookd.core.times import parse_rfc3339
from webhookd.core.trace import TraceContext

CREATED_MS: Final = parse_rfc3339("2026-11-24T06:00:00.000Z")
STARTED_MS: Final = CREATED_MS + 12
ENDED_MS: Final = CREATED_MS + 1_406
SENT_MS: Final = CREATED_MS + 1_409
DELIVERED_MS: Final = CREATED_MS + 1_431
DEAD_MS: Final = parse_rfc3339("2026-11-27T14:10:00.000Z")
REPLAYED_MS: Final = parse_rfc3339("2026-11-28T08:00:00.000Z")
UPLOAD_ENDS: Final = "2026-11-24T07:00:00.000Z"
OVERLAP_ENDS: Final = "2026-11-25T06:00:00.000Z"
URL: Final = "https://partner.example/hooks"

# Neither opens anything: the texts are too short to be a key or a secret.
KEY_TEXT: Final = "whk_…"
TOKEN_TEXT: Final = "wht_…"
ADMIN_KEY_TEXT: Final = "wha_…"
SECRET_TEXT: Final = "whsec_…"

TASK: Final = Task(
    id=TASK_ID,
    partner_id=PARTNER_ID,
    type="report.statement",
    queue="reports",
    state=TaskState.SUCCEEDED,
    priority=Priority.NORMAL,
    version=4,
    attempts=1,
    max_attempts=3,
    progress_percent=100.0,
    progress_message="done",
    trace=TraceContext(trace_id=TRACE_ID, parent_id="b7ad6b7169203331", flags=1),
    callback_url=URL,
    callback_origin="https://partner.example",
    endpoint_ids=None,
    events=(),
    metadata_json='{"order":"42"}',
    result_json='{"pages":2}',
    error_code=None,
    error_message=None,
    created_ms=CREATED_MS,
    run_at_ms=None,
    due_ms=CREATED_MS,
    expires_ms=None,
    started_ms=STARTED_MS,
    finished_ms=ENDED_MS,
    deliveries=DeliveryCounts(delivered=1),
)
BATCH: Final = Batch(
    id=BATCH_ID,
    partner_id=PARTNER_ID,
    state=BatchState.COMPLETED,
    total=1_000,
    counts=BatchCounts(succeeded=998, failed=2),
    version=3_002,
    metadata_json='{"run":"november"}',
    defaults_json="{}",
    callback_url=URL,
    callback_origin="https://partner.example",
    endpoint_ids=None,
    trace=TraceContext(trace_id=TRACE_ID, parent_id="b7ad6b7169203331", flags=1),
    created_ms=CREATED_MS,
    closed_ms=CREATED_MS,
    cancel_requested_ms=None,
    completed_ms=ENDED_MS,
)
RUN: Final = Run(
    task_id=TASK_ID,
    attempt=1,
    token=1,
    started_ms=STARTED_MS,
    finished_ms=ENDED_MS,
    outcome="succeeded",
    error_code=None,
    error_message=None,
)
DELIVERY: Final = Delivery(
    id=DELIVERY_ID,
    message_id=MESSAGE_ID,
    partner_id=PARTNER_ID,
    task_id=TASK_ID,
    task_type="report.statement",
    endpoint_id=None,
    lane_id="lane",
    url=URL,
    event="task.succeeded",
    state=DeliveryState.DELIVERED,
    attempts=1,
    attempts_in_budget=1,
    max_attempts=14,
    due_ms=None,
    in_flight=False,
    last_status=204,
    last_error=None,
    dead_reason=None,
    created_ms=ENDED_MS,
    delivered_ms=DELIVERED_MS,
    ended_ms=DELIVERED_MS,
)
ATTEMPT: Final = Attempt(
    delivery_id=DELIVERY_ID,
    number=1,
    at_ms=SENT_MS,
    duration_us=21_400,
    dns_us=1_200,
    connect_us=4_000,
    tls_us=9_600,
    first_byte_us=6_100,
    status=204,
    error=None,
    headers=(("date", "Tue, 24 Nov 2026 06:00:01 GMT"),),
    excerpt="",
)
MESSAGE: Final = Message(
    id=MESSAGE_ID,
    partner_id=PARTNER_ID,
    task_id=TASK_ID,
    event="task.succeeded",
    body=event_body("task.succeeded", timestamp_ms=ENDED_MS, data=announced_task_document(TASK)),
    seq=17,
    created_ms=ENDED_MS,
)
FEED_CURSOR: Final = f"{MESSAGE.seq}.{PARTNER_ID}.{MESSAGE_ID}"
HISTORY: Final = DeliveryHistory(delivery=DELIVERY, attempts=(ATTEMPT,), body=MESSAGE.body, header_names=())
TESTED: Final = DeliveryHistory(
    delivery=replace(
        DELIVERY, task_id=None, task_type=None, endpoint_id=ENDPOINT_ID, event=TEST_EVENT, max_attempts=1
    ),
    attempts=(ATTEMPT,),
    body=event_body(TEST_EVENT, timestamp_ms=ENDED_MS, data=tested_endpoint_document(ENDPOINT_ID)),
    header_names=(),
)
LIFE: Final = History(
    task=TASK,
    runs=(RUN,),
    sendings=Sendings(messages=(MESSAGE,), deliveries=(DELIVERY,), attempts=(ATTEMPT,)),
)
TRACE: Final = Trace(trace_id=TRACE_ID, histories=(LIFE,))
ENDPOINT: Final = Endpoint(
    id=ENDPOINT_ID,
    partner_id=PARTNER_ID,
    url=URL,
    description="production",
    events=("task.*",),
    task_types=(),
    headers_sealed=None,
    header_names=("X-Team",),
    rate_limit=50.0,
    max_concurrency=None,
    ordering="none",
    retry_max_attempts=10,
    retry_base_seconds=None,
    retry_factor=None,
    retry_cap_seconds=None,
    signature=("v1",),
    public_key=None,
    state=EndpointState.ENABLED,
    disabled_reason=None,
    failing_since_ms=None,
    created_ms=CREATED_MS,
    updated_ms=CREATED_MS,
)
STATS: Final = EndpointStats(
    endpoint=ENDPOINT,
    pace=None,
    last_success_ms=DELIVERED_MS,
    steps=drawn(
        [
            Span(
                at_ms=CREATED_MS,
                length_ms=MINUTE_MS,
                attempts=41,
                delivered=40,
                errors={"http_503": 1},
                times={bucket_of(21_400): 40, bucket_of(380_000): 1},
            )
        ],
        WINDOWS["24h"],
        DELIVERED_MS,
    )[-1:],
    pending=3,
    parked=0,
    dead=1,
)
RUNS: Final = drawn(
    [
        Span(
            at_ms=CREATED_MS,
            length_ms=activity.FIVE_MINUTES_MS,
            attempts=9_000,
            delivered=8_990,
            times={bucket_of(130_000): 8_900, bucket_of(2_400_000): 100},
        )
    ],
    activity.WINDOWS["6h"],
    DELIVERED_MS,
)[-1:]
ATTEMPTS: Final = drawn(STATS.steps, activity.WINDOWS["6h"], DELIVERED_MS)[-1:]
FILE: Final = File(
    id=FILE_ID,
    partner_id=PARTNER_ID,
    name="photo.jpg",
    content_type="image/jpeg",
    size=20_971_520,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    state=FileState.READY,
    kind=FileKind.INPUT,
    key=FILE_ID,
    created_ms=CREATED_MS,
    download_token="…",  # noqa: S106 - opens nothing
    download_until_ms=CREATED_MS + DOWNLOAD_MS,
)
DEAD_LETTER: Final = DeadLetter(
    id=DELIVERY_ID,
    kind="delivery",
    partner_id=PARTNER_ID,
    reason="exhausted",
    at_ms=DEAD_MS,
    task_id=TASK_ID,
    endpoint_id=ENDPOINT_ID,
    url=URL,
    event="task.succeeded",
    type="report.statement",
    last_error="http_503",
)
LETTER_GROUP: Final = LetterGroup(
    partner=PARTNER_ID,
    endpoint=ENDPOINT_ID,
    error="http_503",
    type=None,
    reason=None,
    hour=None,
    kind=None,
    letters=482,
    first_ms=DEAD_MS,
    last_ms=DEAD_MS + 5_400_000,
)
REPLAY: Final = Replay(
    id=REPLAY_ID,
    partner_id=PARTNER_ID,
    filter=DeadLetterFilter(reason="exhausted"),
    dry_run=False,
    rate_per_second=50.0,
    state=ReplayState.RUNNING,
    matched=1_200,
    replayed=350,
    place=None,
    created_ms=REPLAYED_MS,
    finished_ms=None,
    reason="their certificate is renewed",
    started_by="ada",
    delivered=341,
    failed_again=4,
)
DISCARD: Final = replace(
    REPLAY, id=DISCARD_ID, deed=Deed.DISCARD, reason="superseded", delivered=0, failed_again=0
)
PARTNER: Final = Partner(
    id=PARTNER_ID, name="acme", weight=1, limits=Limits(), suspended=False, created_ms=CREATED_MS
)
LIMITS: Final = LimitsInForce(rate_per_second=1_000.0, burst=5_000, max_queued=100_000)
USE: Final = PartnerUse(queued=120, stored_files=41, stored_bytes=18_204_417, endpoints=2, keys=3, replays=0)
API_KEY: Final = ApiKey(
    id=KEY_ID,
    partner_id=PARTNER_ID,
    name="first key of acme",
    scopes=USUAL_SCOPES,
    secret_hash=b"",
    created_ms=CREATED_MS,
    expires_ms=None,
    revoked_ms=None,
    last_used_ms=DELIVERED_MS,
)
QUEUE: Final = QueueDepth(
    queue="reports",
    queued=120,
    scheduled=3,
    running=8,
    finished=90_210,
    oldest_queued_ms=CREATED_MS,
    paused=False,
)
AUDIT_ENTRY: Final = AuditEntry(
    id="aud_01kats8w3zk2m4n6p8q0r2s4t6",
    at_ms=CREATED_MS,
    actor="alice",
    key_id=KEY_ID,
    address="192.0.2.7",
    action="partner.create",
    target=PARTNER_ID,
    partner_id=PARTNER_ID,
    detail={"name": "acme"},
)

FAILED_RUN: Final = Run(
    task_id=TASK_ID,
    attempt=1,
    token=1,
    started_ms=STARTED_MS,
    finished_ms=ENDED_MS,
    outcome="retry",
    error_code=ERROR,
    error_message=PRIVATE,
    host="worker-2",
    pid=4711,
    log=("2026-11-24T06:00:01.402Z [info] asked the ledger account=A-1",),
    raised=Raised(
        type="TimeoutError",
        message="the ledger did not answer",
        traceback="Traceback (most recent call last):\n  …\nTimeoutError: the ledger did not answer\n",
    ),
)
WORKER: Final = Worker(
    id="ses_01kats8w3zk2m4n6p8q0r2s4t6",
    role="tasks",
    host="worker-2",
    pid=4711,
    queues=("default", "reports"),
    slots=8,
    started_ms=CREATED_MS,
    lease_until_ms=CREATED_MS + 30_000,
    running=(
        HeldTask(
            id=TASK_ID,
            type="report.statement",
            partner_id=PARTNER_ID,
            partner_name="acme",
            attempt=1,
            started_ms=STARTED_MS,
            deadline_ms=STARTED_MS + 300_000,
            cancel_requested=False,
        ),
    ),
    in_flight=0,
)
