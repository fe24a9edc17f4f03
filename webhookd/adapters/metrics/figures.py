"""Counts that others keep since the start of the process, as `Metrics` takes them."""

from webhookd.adapters.broker.buckets import SharedBuckets
from webhookd.adapters.broker.ringer import Ringer
from webhookd.adapters.metrics.metrics import Figures
from webhookd.adapters.metrics.totals import BrokerTotals
from webhookd.adapters.signals import Signals
from webhookd.adapters.store.database import CommitFigures
from webhookd.adapters.telemetry import dropped_lines


def store_figures(figures: CommitFigures, role: str) -> Figures:
    """Return the group commits of this process, which is of the kind `role`."""

    def read() -> dict[tuple[str, ...], int]:
        return {
            ("webhookd_store_commits_total", role): figures.commits,
            ("webhookd_store_operations_total", role): figures.operations,
            ("webhookd_store_commit_failures_total", role): figures.failures,
            ("webhookd_store_commit_seconds_total", role): int(figures.seconds * 1_000_000),
        }

    return read


def ring_figures(ringer: Ringer) -> Figures:
    """Return the permits this process put into the broker."""

    def read() -> dict[tuple[str, ...], int]:
        return {
            ("webhookd_broker_rings_total", "rung"): ringer.rung,
            ("webhookd_broker_rings_total", "failed"): ringer.failed,
        }

    return read


def log_figures(role: str) -> Figures:
    """Return the log lines that this process, which is of the kind `role`, had to drop."""

    def read() -> dict[tuple[str, ...], int]:
        return {("webhookd_log_lines_dropped_total", role): dropped_lines()}

    return read


def forged_figures(signals: Signals, totals: BrokerTotals) -> Figures:
    """Return what this process found on the broker that was not ours."""

    def read() -> dict[tuple[str, ...], int]:
        return {
            ("webhookd_broker_forged_total", "signals"): signals.forged,
            ("webhookd_broker_forged_total", "metrics"): totals.forged,
        }

    return read


def bucket_figures(buckets: SharedBuckets) -> Figures:
    """Return what was found on the broker in the place of a partner's rate."""

    def read() -> dict[tuple[str, ...], int]:
        return {("webhookd_broker_forged_total", "rates"): buckets.forged}

    return read
