"""Metrics of the whole service, whichever of its processes is asked (docs/adr/0007).

`Tally` counts what this process sees; every few seconds `Metrics` adds the increments to totals that all
processes share on the broker. Which families there are is `families`; what they look like to Prometheus
is `exposition`.
"""

from webhookd.adapters.metrics.exposition import Sample, exposition
from webhookd.adapters.metrics.families import FAMILIES, Metric
from webhookd.adapters.metrics.figures import (
    bucket_figures,
    forged_figures,
    log_figures,
    ring_figures,
    store_figures,
)
from webhookd.adapters.metrics.listeners import (
    count_attempt,
    count_refused_addresses,
    count_request,
    count_run,
)
from webhookd.adapters.metrics.metrics import Metrics
from webhookd.adapters.metrics.tally import Tally
from webhookd.adapters.metrics.totals import BrokerTotals, MemoryTotals

__all__ = [
    "FAMILIES",
    "BrokerTotals",
    "MemoryTotals",
    "Metric",
    "Metrics",
    "Sample",
    "Tally",
    "bucket_figures",
    "count_attempt",
    "count_refused_addresses",
    "count_request",
    "count_run",
    "exposition",
    "forged_figures",
    "log_figures",
    "ring_figures",
    "store_figures",
]
