"""What is said between the worker and a child process: one JSON value a line, in both directions.

To the child: the order, then perhaps CANCEL_LINE; the end of its input means that the worker is gone.
From it: any number of progress lines, log lines and spans, then one ending. A child that leaves without one
has crashed.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from webhookd.adapters.runner.ending import Ending, Stopped
from webhookd.adapters.runner.job import Job
from webhookd.core.execution import RunFacts
from webhookd.core.outcome import Failed, Raised, RetryLater, Succeeded

CANCEL_LINE: Final = b'"cancel"\n'
PROGRESS: Final = "progress"
SPAN: Final = "span"
LOGGED: Final = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    """What every child of a worker is given: WEBHOOKD_TASKS as text, and how its log lines look."""

    task_spec: str
    log_format: Literal["text", "json"]
    log_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The call a child has to make. `sys_path` is the worker's, so that both find the same modules.

    `carrier` is the run's place in its trace (`traceparent`, `tracestate`); empty where spans are not wanted.
    """

    sys_path: list[str]
    settings: ChildSettings
    type: str
    raw_input: Any
    facts: RunFacts
    timeout_seconds: float
    max_result_bytes: int
    memory_mb: int | None
    carrier: dict[str, str]


def order_line(job: Job, settings: ChildSettings, carrier: Mapping[str, str]) -> bytes:
    """The order for `job`; what is left of its time limit is its time limit over there."""
    return _line(
        {
            "sys_path": sys.path,
            "settings": asdict(settings),
            "type": job.definition.type,
            "raw_input": job.raw_input,
            "facts": asdict(job.facts),
            "timeout_seconds": job.context.remaining_seconds,
            "max_result_bytes": job.max_result_bytes,
            "memory_mb": job.definition.memory_mb,
            "carrier": dict(carrier),
        }
    )


def order_from(line: bytes) -> Order:
    """The order that `order_line` wrote."""
    fields = json.loads(line)
    made = {"settings": ChildSettings(**fields["settings"]), "facts": RunFacts(**fields["facts"])}
    return Order(**fields | made)


def span_line(document: dict[str, Any]) -> bytes:
    """A span that ended in the function."""
    return _line([SPAN, document])


def log_line(line: str) -> bytes:
    """A line that the run logged."""
    return _line([LOGGED, line])


def progress_line(percent: float | None, message: str | None) -> bytes:
    """A report of progress."""
    return _line([PROGRESS, percent, message])


def ending_line(ending: Ending) -> bytes:
    """How the function ended. (Crashed is never said, only concluded.)"""
    match ending:
        case Succeeded():
            return _line(["succeeded", ending.result_json.decode()])
        case Failed():
            return _line(["failed", ending.code, ending.message, _raised(ending.raised)])
        case RetryLater():
            raised = _raised(ending.raised)
            return _line(["retry", ending.after_seconds, ending.code, ending.message, raised])
        case _:
            return _line(["stopped"])


def ending_from(kind: str, values: list[Any]) -> Ending:
    """The ending that `ending_line` wrote, its line already taken apart."""
    match kind, values:
        case "succeeded", [result_json]:
            return Succeeded(result_json=result_json.encode())
        case "failed", [code, message, raised]:
            return Failed(code=code, message=message, raised=raised and Raised(**raised))
        case "retry", [after_seconds, code, message, raised]:
            return RetryLater(
                after_seconds=after_seconds, code=code, message=message, raised=raised and Raised(**raised)
            )
        case _:
            return Stopped()


def _raised(raised: Raised | None) -> dict[str, str] | None:
    return None if raised is None else asdict(raised)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
