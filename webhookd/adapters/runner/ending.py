"""Calls a task function once and says how that ended; every place (thread, loop, child) calls it here.

Nothing an operator's function does escapes: whatever it returns or raises becomes a value.
"""

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel

from webhookd.adapters.runner.job import Job
from webhookd.core.errors import Invalid
from webhookd.core.nesting import MAX_DEPTH, too_deep
from webhookd.core.outcome import (
    ERROR,
    PRIVATE,
    CancelledByRequest,
    Crashed,
    Failed,
    Interrupted,
    Outcome,
    Raised,
    RetryLater,
    RunTimedOut,
    Succeeded,
    clean_message,
)
from webhookd.core.run_log import raised_from
from webhookd.runtime.current_run import as_current
from webhookd.taskset import Cancelled, Fail, Retry
from webhookd.taskset.file import inputs_in

CODE_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class Stopped:
    """The function ended because it was told to: by `Cancelled`, or by asyncio's cancellation."""


Ending = Succeeded | Failed | RetryLater | Crashed | Stopped


def call(job: Job) -> Ending:
    """Run a sync function in the calling thread."""
    try:
        with as_current(job.current):
            value = job.definition.function(job.context, _parsed_input(job))
            return _returned(value, job.max_result_bytes)
    except BaseException as error:  # noqa: BLE001 -- SystemExit and the like are the function's end, not ours
        return _raised(job, error)


async def call_async(job: Job) -> Ending:
    """Run an async function on the running loop. Its cancellation ends here, as a value."""
    try:
        with as_current(job.current):
            value = await job.definition.function(job.context, _parsed_input(job))
            return _returned(value, job.max_result_bytes)
    except BaseException as error:  # noqa: BLE001 -- as above
        return _raised(job, error)


Forced = RunTimedOut | Interrupted | CancelledByRequest


def judge(ending: Ending, *, cancel_requested: bool, forced: Forced | None) -> Outcome:
    """What an ending means, given what the function had been told.

    `forced` is set once it was stopped: at its time limit, for a shutdown, or in a child after its task was
    cancelled. What it still returned, or
    said with `Fail` and `Retry`, counts even then; any other exception is a consequence of the stopping.
    """
    if isinstance(ending, Stopped):
        return CancelledByRequest() if cancel_requested or forced is None else forced
    if forced is not None and (isinstance(ending, Crashed) or _is_plain_exception(ending)):
        return forced
    return ending


def _is_plain_exception(ending: Ending) -> bool:
    return isinstance(ending, RetryLater) and ending.code == ERROR


def _parsed_input(job: Job) -> Any:
    """Checked again here: the schema may have changed since the task was accepted."""
    brought = inputs_in(job.facts.folder) if job.facts.inputs_brought else None
    return job.definition.parse_input(job.raw_input, files=brought)


def _returned(value: Any, max_result_bytes: int) -> Ending:
    if asyncio.iscoroutine(value):
        value.close()
        return Failed(code="result_not_json", message="the function returned a coroutine: use async def")
    try:
        result_json = orjson.dumps(value, default=_model_as_json)
    except TypeError as error:
        return Failed(code="result_not_json", message=clean_message(f"the result is not JSON: {error}"))
    # orjson writes NaN and infinity as null, silently; the walk is only needed where there is a null.
    if b"null" in result_json and any(not math.isfinite(number) for number in _floats(value)):
        return Failed(code="result_not_json", message="the result holds NaN or infinity, which JSON has not")
    if result_json.count(b"[") + result_json.count(b"{") > MAX_DEPTH and too_deep(orjson.loads(result_json)):
        return Failed(
            code="result_not_json", message=f"the result is nested more than {MAX_DEPTH} levels deep"
        )
    if len(result_json) > max_result_bytes:
        return Failed(
            code="result_too_large",
            message=f"the result is {len(result_json)} bytes of JSON, at most {max_result_bytes} are kept; "
            "store it elsewhere and return its address",
        )
    return Succeeded(result_json=result_json)


def _model_as_json(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError


def _floats(value: Any) -> Iterator[float]:
    """Every float in what orjson has just written, so without cycles and of bounded depth."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _floats(item)
    elif isinstance(value, BaseModel):
        yield from _floats(dict(value))
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _floats(getattr(value, field.name))


def _raised(job: Job, error: BaseException) -> Ending:
    match error:
        case Fail():
            code = clean_message(str(error.code), max_chars=CODE_CHARS)
            message = clean_message(str(error.message))
            return Failed(code=code or "failed", message=message, raised=_reason(error))
        case Retry():
            message = clean_message(str(error.message))
            return RetryLater(
                after_seconds=error.after_seconds, code="retry", message=message, raised=_reason(error)
            )
        case Invalid():
            wrong = "; ".join(f"{one.path}: {one.message}" for one in error.errors)
            return Failed(code="invalid_input", message=clean_message(wrong or error.detail))
        case Cancelled() | asyncio.CancelledError() if job.context.cancelled:
            return Stopped()
    with contextlib.suppress(Exception):  # a log that cannot be written must not lose the ending
        job.context.log.warning("task_raised", type=job.definition.type, exc_info=error)
    raised = raised_from(error)
    if not job.definition.expose_errors:
        return RetryLater(code=ERROR, message=PRIVATE, raised=raised)
    text = f"{raised.type}: {raised.message}" if raised.message else raised.type
    return RetryLater(code=ERROR, message=clean_message(text), raised=raised)


def _reason(error: BaseException) -> Raised | None:
    """What `Fail` or `Retry` was raised because of, if anything: they say enough themselves."""
    return raised_from(error) if error.__cause__ or error.__context__ else None
