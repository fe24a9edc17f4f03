"""Sending spans to an OTLP endpoint over HTTP, in a thread of the SDK's.

A collector that is away must not fill the log: the exporter's own lines are silenced, and one of ours tells
when spans begin to be lost and when that is over.
"""

import logging
import os
import time
from collections.abc import Sequence
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = structlog.get_logger(__name__)

LONG_SECONDS: Final = 1.0
_PATH: Final = "/v1/traces"


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Return an exporter to a base URL such as `http://collector:4318`.

    The other standard variables (`OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`, `…_CERTIFICATE`, …) are read by
    OpenTelemetry itself; `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` goes before `endpoint`, and is used as it is.
    """
    logging.getLogger(OTLPSpanExporter.__module__).setLevel(logging.CRITICAL)
    url = os.environ.get(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or endpoint.removesuffix("/") + _PATH
    return OTLPSpanExporter(endpoint=url)


class OutageToldOnce(SpanExporter):
    """Passes spans on to another exporter, and logs when they begin to be lost and when no more are."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._began: float | None = None

    @property
    def away(self) -> bool:
        """Whether spans are being lost, or one batch has been on its way for long: it is tried again then."""
        began = self._began
        return self._lost > 0 or (began is not None and time.monotonic() - began > LONG_SECONDS)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export; never raises."""
        self._began = time.monotonic()
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - spans are not worth a thread
            log.warning("span_exporter_broken", reason=type(error).__name__)
            result = SpanExportResult.FAILURE
        self._began = None
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.info("spans_exported_again", lost=self._lost)
            self._lost = 0
        else:
            if not self._lost:
                log.warning("spans_not_exported", reason="the OTLP endpoint does not take them")
            self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Give up what is being sent or waits to be sent again."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return self._exporter.force_flush(timeout_millis)
