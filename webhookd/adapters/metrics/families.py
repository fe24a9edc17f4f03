"""Every metric family there is, as rows. docs/reference/metrics.md lists the same; a test compares.

Labels have few values: no ids, no partners, no hosts. Durations are kept in whole microseconds, so that
increments are integers, and shown in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

_REQUEST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_RUN: Final = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_WAIT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
_ATTEMPT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0)
_LATENCY: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 43200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One family. `per_unit` is how many of what is kept make one of what is shown.

    A gauge, and a counter that is `sampled`, is read where it is shown and never kept among the totals.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    per_unit: int = 1
    sampled: bool = False

    @property
    def kept(self) -> bool:
        """Whether the shared totals have it."""
        return self.kind != "gauge" and not self.sampled


_ROWS: Final = (
    Metric(
        name="webhookd_tasks_accepted_total",
        kind="counter",
        help="Tasks answered with 202, by queue.",
        labels=("queue",),
        sampled=True,
    ),
    Metric(
        name="webhookd_admission_refusals_total",
        kind="counter",
        help="Submissions refused for want of room, by the code of the problem.",
        labels=("code",),
    ),
    Metric(
        name="webhookd_http_requests_total",
        kind="counter",
        help="Requests answered; 499 is a client that went away first.",
        labels=("method", "route", "status"),
    ),
    Metric(
        name="webhookd_http_request_duration_seconds",
        kind="histogram",
        help="Time to answer a request, held ones (wait, streams) included.",
        labels=("method", "route"),
        bounds=_REQUEST,
        per_unit=1_000_000,
    ),
    Metric(
        name="webhookd_queue_tasks",
        kind="gauge",
        help="Tasks of a queue by state: scheduled, queued, running.",
        labels=("queue", "state"),
    ),
    Metric(
        name="webhookd_queue_oldest_age_seconds",
        kind="gauge",
        help="How long the oldest queued task has been due.",
        labels=("queue",),
    ),
    Metric(
        name="webhookd_queue_ended_per_second",
        kind="gauge",
        help="Tasks of a queue that ended a second, over the last 20 seconds.",
        labels=("queue",),
    ),
    Metric(name="webhookd_queue_paused", kind="gauge", help="1 where a queue is paused.", labels=("queue",)),
    Metric(
        name="webhookd_runs_total",
        kind="counter",
        help="Tries of task functions by outcome: succeeded, failed, retry, cancelled, handed_back, lost.",
        labels=("type", "outcome"),
    ),
    Metric(
        name="webhookd_run_duration_seconds",
        kind="histogram",
        help="How long task functions ran.",
        labels=("type",),
        bounds=_RUN,
        per_unit=1_000_000,
    ),
    Metric(
        name="webhookd_run_wait_seconds",
        kind="histogram",
        help="How long tasks that were due waited to be claimed.",
        labels=("type",),
        bounds=_WAIT,
        per_unit=1_000_000,
    ),
    Metric(
        name="webhookd_attempts_total",
        kind="counter",
        help="Webhook attempts by outcome: delivered, http_3xx, http_4xx, http_5xx, timeout, connect, dns, "
        "tls_expired, tls_self_signed, tls_name, tls_unknown_ca, tls_other, closed, reset, header_too_large, "
        "not_http, protocol, blocked, proxy, lost.",
        labels=("outcome",),
    ),
    Metric(
        name="webhookd_attempt_duration_seconds",
        kind="histogram",
        help="How long webhook attempts took, from the name look-up to the end of the excerpt.",
        bounds=_ATTEMPT,
        per_unit=1_000_000,
    ),
    Metric(
        name="webhookd_delivery_latency_seconds",
        kind="histogram",
        help="From the making of a message to the receiver's 2xx.",
        bounds=_LATENCY,
        per_unit=1_000_000,
    ),
    Metric(
        name="webhookd_deliveries_ended_total",
        kind="counter",
        help="Deliveries that an attempt ended: delivered or dead.",
        labels=("how",),
    ),
    Metric(
        name="webhookd_dead_letters",
        kind="gauge",
        help="Dead letters nobody has acted on, by kind (delivery, task); counted up to 10,000 each.",
        labels=("kind",),
    ),
    Metric(
        name="webhookd_breakers_open",
        kind="gauge",
        help="Lanes whose circuit breaker is not closed; counted up to 10,000.",
    ),
    Metric(
        name="webhookd_security_events_total",
        kind="counter",
        help="Callback hosts that led to addresses that may not be called: blocked, or mixed.",
        labels=("kind",),
    ),
    Metric(
        name="webhookd_store_commits_total",
        kind="counter",
        help="Group commits, by the kind of process: api, tasks, deliver.",
        labels=("role",),
    ),
    Metric(
        name="webhookd_store_operations_total",
        kind="counter",
        help="Writes in group commits; divided by the commits, the size of a batch.",
        labels=("role",),
    ),
    Metric(
        name="webhookd_store_commit_failures_total",
        kind="counter",
        help="Group commits that failed and were halved, tried again or given up.",
        labels=("role",),
    ),
    Metric(
        name="webhookd_store_commit_seconds_total",
        kind="counter",
        help="Time spent in group commits.",
        labels=("role",),
        per_unit=1_000_000,
    ),
    Metric(
        name="webhookd_broker_rings_total",
        kind="counter",
        help="Permits put into the broker (rung), and those it did not take (failed).",
        labels=("result",),
    ),
    Metric(
        name="webhookd_log_lines_dropped_total",
        kind="counter",
        help="Log lines dropped because nobody read the earlier ones, by the kind of process.",
        labels=("role",),
    ),
    Metric(
        name="webhookd_broker_forged_total",
        kind="counter",
        help="What was found on the broker and is not ours, dropped: signals, metrics, rates.",
        labels=("what",),
    ),
    Metric(name="webhookd_broker_up", kind="gauge", help="1 where the broker answers and has room."),
    Metric(name="webhookd_broker_memory_used_bytes", kind="gauge", help="Memory the broker uses."),
    Metric(name="webhookd_broker_memory_max_bytes", kind="gauge", help="The broker's limit; 0 is no limit."),
    Metric(name="webhookd_database_up", kind="gauge", help="1 where the database answers."),
    Metric(name="webhookd_disk_free_bytes", kind="gauge", help="Free space where the database is a file."),
    Metric(
        name="webhookd_processes",
        kind="gauge",
        help="Processes with a running lease, by kind: api, tasks, deliver.",
        labels=("role",),
    ),
    Metric(
        name="webhookd_build_info", kind="gauge", help="1, with the version as a label.", labels=("version",)
    ),
)

FAMILIES: Final[Mapping[str, Metric]] = {row.name: row for row in _ROWS}
