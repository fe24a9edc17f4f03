"""Log lines: one way for our own events and the libraries', as text for people or JSON for machines.

Lines go to stderr, so that a command's output stays clean. What is logged is decided where it happens
(facts: `log_facts`); secrets never are. `Stamp` and the two renderers are one processor each, because
a line is written for every attempt: structlog's own chain for the same takes half as long again.
"""

import logging
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from time import time
from typing import IO, Any, Final, Literal

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

NOISY: Final = ("uvicorn.access", "uvicorn.error", "alembic", "dramatiq")
"""Their chatter helps nobody (and uvicorn's access log has whole URLs): warnings only."""


def configure_logging(*, log_format: Literal["text", "json"], level: str, process: str) -> None:
    """Set up structlog and the standard library's logging; `process` names this process in each line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    before: list[Any] = [Stamp(process)]
    if log_format == "text" and sys.stderr.isatty():
        render: Any = structlog.dev.ConsoleRenderer(pad_event_to=0)
        to_text = render
        lines = LineLogger(sys.stderr)
    else:
        before.append(exception_text)
        render = json_line if log_format == "json" else text_line
        to_text = _Decoded(render)
        lines = LineLogger(sys.stderr.buffer)
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


class LineLogger:
    """Writes lines to a stream of text or of bytes.

    A line that cannot be written is lost, and nothing else: a full disk or a closed terminal must not end
    the work that had something to say.
    """

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: Any) -> None:
        """Write one line at once."""
        with self._lock, suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(line + (b"\n" if isinstance(line, bytes) else "\n"))
            self._stream.flush()

    debug = info = warning = error = critical = exception = log = msg


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
