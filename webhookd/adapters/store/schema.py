"""The tables, for SQLite and PostgreSQL alike. `migrations/` builds the same; a test compares the two.

Times are Unix milliseconds in BigInteger. JSON that is only carried is Text, because JSONB would
reorder it and break signatures. Queue rows are narrow and bodies have tables of their own, so that a
claim touches few pages. Hot tables carry no foreign keys: every write comes through one transaction
that made or locked the parent, and a check per row would cost a third of the insert rate.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial(name: str, *columns: str, where: str) -> Index:
    condition = text(where)
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


partners = Table(
    "partners",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("weight", Integer, nullable=False),
    Column("rate_per_second", Float),
    Column("burst", Integer),
    Column("max_queued", Integer),
    Column("suspended_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("task_types", Text),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, ForeignKey("partners.id"), index=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("last_used_ms", BigInteger),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, ForeignKey("partners.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events", Text, nullable=False),
    Column("task_types", Text, nullable=False),
    Column("headers_sealed", Text),
    Column("header_names", Text),
    Column("rate_limit", Float),
    Column("max_concurrency", Integer),
    Column("ordering", Text, nullable=False),
    Column("retry_max_attempts", Integer),
    Column("retry_base_seconds", Float),
    Column("retry_factor", Float),
    Column("retry_cap_seconds", Float),
    Column("signature", Text, nullable=False),
    Column("public_key", Text),
    Column("state", Text, nullable=False),
    Column("disabled_reason", Text),
    Column("failing_since_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("deleted_ms", BigInteger),
    Column("failing_told_ms", BigInteger),
    _partial("ix_endpoints_partner_id", "partner_id", "id", where="deleted_ms IS NULL"),
    _partial(
        "ix_endpoints_failing",
        "failing_since_ms",
        where="failing_since_ms IS NOT NULL AND failing_told_ms IS NULL AND state = 'enabled' "
        "AND deleted_ms IS NULL",
    ),
)

secrets = Table(
    "secrets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, ForeignKey("partners.id"), nullable=False),
    Column("endpoint_id", Text, ForeignKey("endpoints.id")),
    Column("scheme", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Index(None, "partner_id", "endpoint_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("partner_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("sealed_by", Text),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "created_ms"),
    _partial("ix_idempotency_sealed", "sealed_by", "created_ms", where="sealed_by IS NOT NULL"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempts_before", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("run_at_ms", BigInteger),
    Column("expires_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("session_id", Text),
    Column("token", Integer, nullable=False),
    Column("deadline_ms", BigInteger),
    Column("cancel_requested_ms", BigInteger),
    Column("suspect", Boolean, nullable=False),
    Column("progress_percent", Float),
    Column("progress_message", Text),
    Column("trace_id", Text, nullable=False, index=True),
    Column("dead_ms", BigInteger),
    Column("dead_reason", Text),
    Column("batch_id", Text),
    _partial("ix_tasks_claim", "queue", "partner_id", "priority", "id", where="state = 'queued'"),
    _partial("ix_tasks_age", "queue", "due_ms", where="state = 'queued'"),
    _partial("ix_tasks_schedule", "due_ms", where="state = 'scheduled'"),
    _partial(
        "ix_tasks_expiry",
        "expires_ms",
        where="expires_ms IS NOT NULL AND state IN ('scheduled', 'queued')",
    ),
    _partial("ix_tasks_suspect", "queue", "id", where="suspect AND state = 'queued'"),
    _partial("ix_tasks_held", "session_id", where="session_id IS NOT NULL"),
    _partial("ix_tasks_dead", "dead_ms", "id", where="dead_ms IS NOT NULL"),
    _partial("ix_tasks_dead_partner", "partner_id", "dead_ms", "id", where="dead_ms IS NOT NULL"),
    Index("ix_tasks_partner", "partner_id", "id"),
    Index("ix_tasks_partner_state", "partner_id", "state", "id"),
    Index("ix_tasks_partner_type", "partner_id", "type", "id"),
    _partial("ix_tasks_batch", "batch_id", "id", where="batch_id IS NOT NULL"),
    _partial("ix_tasks_batch_state", "batch_id", "state", "id", where="batch_id IS NOT NULL"),
)

task_bodies = Table(
    "task_bodies",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("input", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("callback_url", Text),
    Column("callback_origin", Text),
    Column("endpoint_ids", Text),
    Column("events", Text),
    Column("trace_parent_id", Text, nullable=False),
    Column("trace_flags", Integer, nullable=False),
    Column("trace_state", Text, nullable=False),
    Column("result", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("files", Text),
    Column("rerun_of", Text),
    Column("idempotency_key", Text),
    _partial("ix_task_bodies_rerun", "rerun_of", "task_id", where="rerun_of IS NOT NULL"),
    _partial("ix_task_bodies_key", "idempotency_key", "task_id", where="idempotency_key IS NOT NULL"),
    _partial("ix_task_bodies_error", "error_code", "task_id", where="error_code IS NOT NULL"),
)

task_tags = Table(
    "task_tags",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("partner_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("last_task_id", Text),
    Column("metadata", Text, nullable=False),
    Column("defaults", Text, nullable=False),
    Column("callback_url", Text),
    Column("callback_origin", Text),
    Column("endpoint_ids", Text),
    Column("trace_id", Text, nullable=False),
    Column("trace_parent_id", Text, nullable=False),
    Column("trace_flags", Integer, nullable=False),
    Column("trace_state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Column("cancel_requested_ms", BigInteger),
    Column("completed_ms", BigInteger),
    Index("ix_batches_partner", "partner_id", "id"),
    Index("ix_batches_partner_state", "partner_id", "state", "id"),
    _partial(
        "ix_batches_cancelling",
        "cancel_requested_ms",
        where="cancel_requested_ms IS NOT NULL AND state = 'running'",
    ),
)

batch_counts = Table(
    "batch_counts",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("shard", Text, primary_key=True),
    Column("moves", BigInteger, nullable=False),
    Column("scheduled", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    _partial("ix_batch_counts_shard", "shard", where="shard <> ''"),
)

runs = Table(
    "runs",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("token", Integer, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("host", Text),
    Column("pid", Integer),
    Column("log", Text),
    Column("raised", Text),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("task_id", Text),
    Column("event", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("trace_parent_id", Text, nullable=False),
    Column("trace_flags", Integer, nullable=False),
    Column("trace_state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_messages_feed", "partner_id", "seq", unique=True),
    Index("ix_messages_task", "task_id"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("partner_id", Text, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, nullable=False, index=True),
    Column("partner_id", Text, nullable=False),
    Column("task_id", Text),
    Column("task_type", Text),
    Column("endpoint_id", Text),
    Column("lane_id", Text, nullable=False),
    Column("url", Text),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("once", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempts_before", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("due_ms", BigInteger),
    Column("session_id", Text),
    Column("token", Integer, nullable=False),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("dead_reason", Text),
    Column("discarded_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("replay_id", Text),
    Column("replayed_attempts", Integer),
    _partial(
        "ix_deliveries_claim", "lane_id", "due_ms", "id", where="state = 'pending' AND session_id IS NULL"
    ),
    _partial("ix_deliveries_line", "lane_id", "id", where="state = 'pending'"),
    _partial("ix_deliveries_held", "session_id", where="session_id IS NOT NULL"),
    _partial("ix_deliveries_parked", "endpoint_id", where="state = 'parked'"),
    _partial("ix_deliveries_dead", "ended_ms", "id", where="state = 'dead' AND discarded_ms IS NULL"),
    _partial(
        "ix_deliveries_dead_partner",
        "partner_id",
        "ended_ms",
        "id",
        where="state = 'dead' AND discarded_ms IS NULL",
    ),
    _partial(
        "ix_deliveries_dead_endpoint",
        "endpoint_id",
        "ended_ms",
        "id",
        where="state = 'dead' AND discarded_ms IS NULL",
    ),
    _partial(
        "ix_deliveries_replay",
        "replay_id",
        "state",
        "attempts",
        "replayed_attempts",
        where="replay_id IS NOT NULL",
    ),
    Index("ix_deliveries_task", "task_id"),
    Index("ix_deliveries_partner", "partner_id", "id"),
    Index("ix_deliveries_partner_state", "partner_id", "state", "id"),
    Index("ix_deliveries_endpoint", "endpoint_id", "id"),
    _partial("ix_deliveries_error", "last_error", "id", where="last_error IS NOT NULL"),
    _partial("ix_deliveries_partner_error", "partner_id", "last_error", "id", where="last_error IS NOT NULL"),
    *(
        _partial(
            f"ix_deliveries_dead_{name}",
            column,
            "ended_ms",
            "id",
            where="state = 'dead' AND discarded_ms IS NULL",
        )
        for name, column in (("error", "last_error"), ("type", "task_type"))
    ),
    _partial(
        "ix_deliveries_dead_alike",
        "partner_id",
        "endpoint_id",
        "last_error",
        "task_type",
        "dead_reason",
        "ended_ms",
        where="state = 'dead' AND discarded_ms IS NULL",
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("dns_us", BigInteger),
    Column("connect_us", BigInteger),
    Column("tls_us", BigInteger),
    Column("first_byte_us", BigInteger),
    Column("status", Integer),
    Column("error", Text),
    Column("headers", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
    Column("resent", Boolean),
)

lanes = Table(
    "lanes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("endpoint_id", Text),
    Column("fifo", Boolean, nullable=False),
    Column("ready_ms", BigInteger),
    Column("hold_ms", BigInteger, nullable=False),
    Column("served_ms", BigInteger, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("cap", Integer, nullable=False),
    Column("slow", Boolean, nullable=False),
    Column("heard", Boolean, nullable=False),
    Column("pace", Text, nullable=False),
    Column("open_until_ms", BigInteger),
    _partial("ix_lanes_ready", "ready_ms", where="ready_ms IS NOT NULL"),
    _partial("ix_lanes_open", "open_until_ms", where="open_until_ms IS NOT NULL"),
    Index("ix_lanes_endpoint", "endpoint_id"),
)

dead_digests = Table(
    "dead_digests",
    metadata,
    Column("lane_id", Text, primary_key=True),
    Column("next_ms", BigInteger, nullable=False, index=True),
    Column("died", BigInteger, nullable=False),
    Column("delivery_id", Text, nullable=False),
)

endpoint_spans = Table(
    "endpoint_spans",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("length_ms", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("attempts", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("errors", Text, nullable=False),
    Column("times", Text, nullable=False),
    Index("ix_endpoint_spans_age", "length_ms", "at_ms"),
)

activity_spans = Table(
    "activity_spans",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("length_ms", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("process_id", Text, primary_key=True),
    Column("total", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("times", Text, nullable=False),
)

queues = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_ms", BigInteger),
    Column("vtime", Float, nullable=False),
)

shares = Table(
    "shares",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("partner_id", Text, primary_key=True),
    Column("vtime", Float, nullable=False),
)

type_rates = Table(
    "type_rates",
    metadata,
    Column("type", Text, primary_key=True),
    Column("next_ms", Float, nullable=False),
)

depths = Table(
    "depths",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("partner_id", Text, primary_key=True),
    Column("shard", Text, primary_key=True),
    Column("scheduled", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False, index=True),
)

page_sessions = Table(
    "page_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("key_mark", Text, nullable=False),
    Column("partner_id", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_page_sessions_expiry", "expires_ms"),
)

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("task_id", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("upload_until_ms", BigInteger),
    Index("ix_files_partner", "partner_id", "id"),
    Index("ix_files_partner_kind", "partner_id", "kind", "id"),
    _partial("ix_files_task", "task_id", where="task_id IS NOT NULL"),
    _partial("ix_files_expiry", "expires_ms", where="expires_ms IS NOT NULL"),
    _partial("ix_files_awaited", "upload_until_ms", where="upload_until_ms IS NOT NULL"),
)

file_uses = Table(
    "file_uses",
    metadata,
    Column("file_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Index("ix_file_uses_task", "task_id"),
)

file_usage = Table(
    "file_usage",
    metadata,
    Column("partner_id", Text, primary_key=True),
    Column("stored_files", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
)

replays = Table(
    "replays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text),
    Column("filter", Text, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("rate_per_second", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("matched", BigInteger, nullable=False),
    Column("replayed", BigInteger, nullable=False),
    Column("position", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Column("deed", Text),
    Column("reason", Text),
    Column("started_by", Text),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("partner_id", Text),
    Column("detail", Text, nullable=False),
    Column("key_id", Text),
    Column("address", Text),
    Index("ix_audit_partner", "partner_id", "id"),
    Index("ix_audit_actor", "actor", "id"),
    Index("ix_audit_action", "action", "id"),
    Index("ix_audit_target", "target", "id"),
)

task_types = Table(
    "task_types",
    metadata,
    Column("type", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("document", Text, nullable=False),
)

installation = Table(
    "installation",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
