"""Spans, where an OTLP endpoint is set. OpenTelemetry is an extra, and imported only then."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from webhookd.adapters import entropy
from webhookd.core.errors import SettingsError
from webhookd.core.facts import AttemptEnded, RunEnded, RunStarted, TasksSubmitted
from webhookd.core.trace import TraceContext
from webhookd.settings import Settings

if TYPE_CHECKING:
    from webhookd.adapters.spans import Spans
    from webhookd.api.parts import Listener

_DISABLED: Final = "OTEL_SDK_DISABLED"
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """What makes spans in a process: listeners, none where there are no spans to make.

    `spans` must be closed at the end.
    """

    spans: "Spans | None" = None
    new_trace: Callable[[], TraceContext] = entropy.new_trace
    on_request: "tuple[Listener, ...]" = ()
    on_submission: tuple[Callable[[TasksSubmitted], None], ...] = ()
    on_run_start: tuple[Callable[[RunStarted], None], ...] = ()
    on_run_end: tuple[Callable[[RunEnded], None], ...] = ()
    on_attempt: tuple[Callable[[AttemptEnded], None], ...] = ()


def wants_spans(settings: Settings) -> bool:
    """Whether processes make spans. Raises SettingsError where they should and cannot."""
    if not settings.otel_endpoint or os.environ.get(_DISABLED, "").strip().lower() == "true":
        return False
    try:
        import webhookd.adapters.spans  # noqa: F401 - to find out whether what it needs is there
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed; "
            "install it with `pip install 'webhookd[otel]'`, or unset the variable."
        ) from None
    return True


def open_tracing(settings: Settings, role: str, now_ms: Callable[[], int]) -> Tracing:
    """Return the listeners of a process; `now_ms` is the store's clock. Raises SettingsError."""
    if not wants_spans(settings):
        return Tracing()
    from webhookd.adapters import spans as made_of

    spans = made_of.Spans(made_of.otlp_exporter(settings.otel_endpoint), role=role)
    if role == "tasks":
        spans.install()
    return Tracing(
        spans=spans,
        new_trace=spans.new_trace,
        on_request=(made_of.span_request(spans, base_url=_base_url(settings)),),
        on_submission=(made_of.span_submission(spans),),
        on_run_start=(made_of.start_run(spans),),
        on_run_end=(made_of.end_run(),),
        on_attempt=(made_of.span_attempt(spans, now_ms=now_ms),),
    )


def _base_url(settings: Settings) -> str:
    if settings.public_url:
        return settings.public_url
    host = socket.gethostname() if settings.host in _ANY_ADDRESS else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
