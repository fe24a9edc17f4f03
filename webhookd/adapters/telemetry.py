"""Log lines: one way for our own events and the libraries', as text for people or JSON for machines.

Lines go to stderr (`log_writer`), so that a command's output stays clean. What is logged is decided where
it happens (facts: `log_facts`); secrets never are. `Stamp` and the two renderers are one processor each,
because a line is written for every attempt: structlog's own chain for the same takes half as long again.
"""

import webhookd.runtime.lean_imports  # noqa: F401 - before structlog

# isort: split
import logging
import sys
from datetime import UTC, datetime
from time import time
from typing import Any, Final, Literal

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from webhookd.adapters.log_writer import LogWriter
from webhookd.runtime.current_run import current_run

NOISY: Final = ("uvicorn.access", "uvicorn.error", "alembic", "dramatiq", "httpx", "httpcore")
"""Their chatter helps nobody (and uvicorn's access log and httpx's lines have whole URLs): warnings only."""


def configure_logging(*, log_format: Literal["text", "json"], level: str, process: str) -> None:
    """Set up structlog and the standard library's logging; `process` names this process in each line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    writer = LogWriter(sys.stderr)
    lines = LineLogger(writer)
    handler = _Handler(writer)
    before: list[Any] = [Stamp(process), carry_run]
    if log_format == "text" and sys.stderr.isatty():
        render: Any = structlog.dev.ConsoleRenderer(pad_event_to=0)
        to_text = render
    else:
        before.append(exception_text)
        render = json_line if log_format == "json" else text_line
        to_text = _Decoded(render)
    structlog.configure(
        processors=[*before, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, to_text],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


_LEFT_OUT: Final = frozenset(
    {"process", "task_id", "attempt", "trace_id", "_record", "_from_structlog", "stack_info"}
)
"""What a line kept with its run need not say."""


def dropped_lines() -> int:
    """Return how many lines of this process were dropped, because nobody read the earlier ones."""
    return sum(one.writer.dropped for one in logging.getLogger().handlers if isinstance(one, _Handler))


class LineLogger:
    """Gives each line, text or bytes, to the writer."""

    def __init__(self, writer: LogWriter) -> None:
        self._put = writer.put

    def msg(self, line: str | bytes) -> None:
        """Take one line. Returns at once."""
        data = line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace")
        self._put(data + b"\n")

    debug = info = warning = error = critical = exception = log = msg


class _Handler(logging.Handler):
    """The standard library's lines go the same way."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a library's line with the wrong arguments must not end its work
            text = f"{record.name}: a line that cannot be made: {record.msg!r}"
        self.writer.put(f"{text}\n".encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Be asked by `logging.shutdown`."""
        self.writer.flush()


class Stamp:
    """Puts time (RFC 3339 with milliseconds), level and process into a line."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._last = (0, "")  # one value, because several threads log

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Be the processor."""
        now = time()
        second, text = self._last
        if second != int(now):
            second = int(now)
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._last = second, text
        event["timestamp"] = f"{text}.{int((now - second) * 1000):03d}Z"
        event["level"] = "error" if method == "exception" else method
        event["process"] = self._process
        return event


def carry_run(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Mark a line that a task function logs, by whatever logger, with its run, and keep it with the run."""
    run = current_run()
    if run is None:
        return event
    event.setdefault("task_id", run.task_id)
    event.setdefault("attempt", run.attempt)
    event.setdefault("trace_id", run.trace_id)
    shown = {name: value for name, value in event.items() if name not in _LEFT_OUT}
    run.keep(text_line(logger, method, exception_text(logger, method, shown)).decode())
    return event


def exception_text(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Turn `exc_info` into text, where there is one."""
    if "exc_info" in event:
        return structlog.processors.format_exc_info(logger, method, event)
    return event


def json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    """Render as one line of JSON; what JSON does not know as its `repr`."""
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)


def text_line(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    """Render as `time [level] event name=value …`; values with spaces or unprintable characters quoted."""
    exception = event.pop("exception", None)
    head = f"{event.pop('timestamp', '')} [{event.pop('level', '')}] {_sentence(event.pop('event', ''))}"
    fields = [f" {name}={value}" for name, value in event.items() if value is not None]
    line = "".join(fields)
    if not line.isprintable() or line.count(" ") != len(fields):
        line = "".join([f" {name}={_word(value)}" for name, value in event.items() if value is not None])
    if exception is not None:
        line += f"\n{exception}"
    return (head + line).encode("utf-8", "backslashreplace")


def _word(value: object) -> str:
    """Return one word, so that nobody can smuggle a line or a field into the log."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def _sentence(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)


class _Decoded:
    """A renderer to bytes as one to text, which the standard library's handlers want."""

    def __init__(self, render: Any) -> None:
        self._render = render

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        text: str = self._render(logger, method, event).decode()
        return text
