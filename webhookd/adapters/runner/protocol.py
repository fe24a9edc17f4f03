"""What is said between the worker and a child process: one JSON value a line, in both directions.

To the child: first the hello, then any number of runs, each perhaps cancelled; the end of its input means
that the worker is gone. From it: READY, or why it is not; then of each run, with its number, that it began,
any number of progress lines, log lines and spans, and one ending. A child that leaves without one has
crashed.
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

RUN: Final = "run"
CANCEL: Final = "cancel"
LEAVE: Final = "leave"
READY: Final = "ready"
UNREADY: Final = "unready"
BEGAN: Final = "began"
PROGRESS: Final = "progress"
SPAN: Final = "span"
LOGGED: Final = "log"
ENDED: Final = "ended"
LEAVE_LINE: Final = b'["leave"]\n'
READY_LINE: Final = b'["ready"]\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    """What every child of a worker is given: WEBHOOKD_TASKS as text, and how its log lines look.

    `spans`: whether spans that functions make are wanted.
    """

    task_spec: str
    log_format: Literal["text", "json"]
    log_level: str
    spans: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run that a child has to make. `carrier` is its place in its trace (`traceparent`, `tracestate`)."""

    number: int
    type: str
    raw_input: Any
    facts: RunFacts
    timeout_seconds: float
    max_result_bytes: int
    memory_mb: int | None
    carrier: dict[str, str]


def hello_line(settings: ChildSettings) -> bytes:
    """The first line to a child. The path is the worker's, so that both find the same modules."""
    return _line([sys.path, asdict(settings)])


def hello_from(line: bytes) -> tuple[list[str], ChildSettings]:
    """The path and the settings that `hello_line` wrote."""
    path, settings = json.loads(line)
    return path, ChildSettings(**settings)


def run_line(number: int, job: Job, carrier: Mapping[str, str]) -> bytes:
    """The order for `job`; what is left of its time limit is its time limit over there."""
    order = {
        "number": number,
        "type": job.definition.type,
        "raw_input": job.raw_input,
        "facts": asdict(job.facts),
        "timeout_seconds": job.context.remaining_seconds,
        "max_result_bytes": job.max_result_bytes,
        "memory_mb": job.definition.memory_mb,
        "carrier": dict(carrier),
    }
    return _line([RUN, order])


def order_from(fields: dict[str, Any]) -> Order:
    """The order that `run_line` wrote, its line already taken apart."""
    return Order(**fields | {"facts": RunFacts(**fields["facts"])})


def cancel_line(number: int) -> bytes:
    """Tell the function of a run to stop."""
    return _line([CANCEL, number])


def unready_line(raised: Raised) -> bytes:
    """Why a child cannot run anything."""
    return _line([UNREADY, asdict(raised)])


def parsed(line: bytes) -> list[Any]:
    """A line taken apart."""
    values: list[Any] = json.loads(line)
    return values


def run_says(number: int, kind: str, *values: Any) -> bytes:
    """A line about a run."""
    return _line([number, kind, *values])


def ending_values(ending: Ending) -> list[Any]:
    """How a function ended, as JSON values. (Crashed is never said, only concluded.)"""
    match ending:
        case Succeeded():
            return ["succeeded", ending.result_json.decode()]
        case Failed():
            return ["failed", ending.code, ending.message, _raised(ending.raised)]
        case RetryLater():
            return ["retry", ending.after_seconds, ending.code, ending.message, _raised(ending.raised)]
        case _:
            return ["stopped"]


def ending_from(values: list[Any]) -> Ending:
    """The ending that `ending_values` wrote."""
    match values:
        case ["succeeded", result_json]:
            return Succeeded(result_json=result_json.encode())
        case ["failed", code, message, raised]:
            return Failed(code=code, message=message, raised=raised and Raised(**raised))
        case ["retry", after_seconds, code, message, raised]:
            return RetryLater(
                after_seconds=after_seconds, code=code, message=message, raised=raised and Raised(**raised)
            )
        case _:
            return Stopped()


def _raised(raised: Raised | None) -> dict[str, str] | None:
    return None if raised is None else asdict(raised)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
