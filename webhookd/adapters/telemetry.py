"""Log lines: one way for our own events and the libraries', as text for people or JSON for machines.

Lines go to stderr, so that a command's output stays clean. What is logged is decided where it happens;
secrets never are.
"""

import logging
import sys
from typing import Any, Literal

import structlog


def configure_logging(*, log_format: Literal["text", "json"], level: str, process: str) -> None:
    """Set up structlog and the standard library's logging; `process` names this process in each line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    # The access log is our own wide line; the libraries' chatter helps nobody (and uvicorn's has whole URLs).
    for name in ("uvicorn.access", "uvicorn.error", "alembic", "dramatiq", "aiosqlite"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)
