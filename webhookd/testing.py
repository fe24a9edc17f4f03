"""For operators' tests: `run(tasks, "type", input)` runs a type as a worker would, without a service.

The input is checked against its model, the time limit is kept, `Fail`, `Retry` and exceptions mean what they
mean in a worker, and the result must be JSON within its limit. A `File.local(path)` in the input is a file of
the task; what the function attaches is in the outcome. What is left out is the service: nothing is stored,
tried again or sent, and what says `isolation="process"` runs in a thread of this process.
"""

import asyncio
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import BaseModel

from webhookd.adapters.runner import Runner
from webhookd.core.execution import End, TaskEnd, facts_of
from webhookd.core.model import Priority
from webhookd.core.outcome import Raised
from webhookd.core.records import ClaimedTask
from webhookd.core.run_folder import INPUTS, Attached, Brought
from webhookd.core.trace import TraceContext
from webhookd.flows.execute.run import ActiveRun, ending
from webhookd.taskset import TaskPartner, TaskSet
from webhookd.taskset.attaching import attached_in, forget
from webhookd.taskset.file import File
from webhookd.taskset.lifespan import Lifespan

__all__ = ["TestFile", "TestOutcome", "run"]

_NOW_MS: Final = 0
_STATES: Final = {
    End.SUCCEEDED: "succeeded",
    End.FAILED: "failed",
    End.CANCELLED: "cancelled",
    End.RETRY: "scheduled",
    End.HANDED_BACK: "queued",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFile:
    """A file that the function attached."""

    __test__ = False  # its name is no test's

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOutcome:
    """What became of the task.

    `state` is `succeeded`, `failed`, `cancelled`, or `scheduled` where another attempt follows, after
    `retry_after_seconds`. `result` is the JSON as a partner reads it, `error` (`{code, message}`) what it is
    told. `exception` is what admins see; its `traceback` is text. `progress` has each report that was passed
    on, the last one always. `files` are those that the function attached, where it succeeded.
    """

    __test__ = False  # its name is no test's

    state: str
    result: Any
    error: dict[str, str] | None
    retry_after_seconds: float | None
    exception: Raised | None
    progress: tuple[tuple[float | None, str | None], ...]
    files: tuple[TestFile, ...] = ()


def run(
    tasks: TaskSet,
    type: str,  # noqa: A002 -- the contract's word for it
    input: Mapping[str, Any] | BaseModel | None = None,  # noqa: A002 -- the contract's word for it
    *,
    partner: TaskPartner | None = None,
    metadata: Mapping[str, Any] | None = None,
    priority: str = "normal",
    attempt: int = 1,
    max_attempts: int | None = None,
    state: Any = None,
    task_id: str = "task_test",
    trace_id: str = "0" * 31 + "1",
) -> TestOutcome:
    """Run `type` of `tasks` once, as a worker would, and return what became of the task.

    The rest is what the function finds in its context; where `state` is None, the task set's lifespan is
    entered around the run. Raises KeyError for an unknown type. May be called
    where a loop runs: the function has one of its own, in another thread.
    """
    partner = partner or TaskPartner()
    task = ClaimedTask(
        id=task_id,
        partner_id=partner.id,
        partner_name=partner.name,
        type=type,
        priority=Priority[priority.upper()],
        metadata_json=orjson.dumps(dict(metadata or {})).decode(),
        queue=tasks[type].queue,
        version=1,
        attempt=attempt,
        budget_attempt=attempt,
        max_attempts=max_attempts or tasks[type].max_attempts,
        token=1,
        suspect=False,
        trace=TraceContext(trace_id=trace_id, parent_id="", flags=1),
        input_json=_as_json(input),
        created_ms=_NOW_MS,
        claimed_ms=_NOW_MS,
        due_ms=_NOW_MS,
    )
    brought = dict(_files_in(input))
    outcomes: list[TestOutcome] = []
    failures: list[BaseException] = []

    def in_thread() -> None:
        try:
            outcomes.append(asyncio.run(_run(tasks, task, state, brought)))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            failures.append(error)

    thread = threading.Thread(target=in_thread, name="webhookd-testing")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return outcomes[0]


async def _run(tasks: TaskSet, task: ClaimedTask, state: Any, brought: Mapping[str, Brought]) -> TestOutcome:
    definition = replace(tasks[task.type], isolation="thread", memory_mb=None)
    if state is not None:
        definition = replace(definition, lifespan=Lifespan(lambda: nullcontext(state), tasks))
    runner = Runner(slots=1, task_spec="")
    progress: list[tuple[float | None, str | None]] = []
    this = ActiveRun(task=task, session_id="", host="", pid=0, started_ms=_NOW_MS, deadline=0.0)
    folder = Path(tempfile.mkdtemp(prefix="webhookd-testing-"))
    try:
        if brought:
            inputs = {text: asdict(one) for text, one in brought.items()}
            (folder / INPUTS).write_bytes(orjson.dumps(inputs))
        await runner.start((definition,))
        outcome = await runner.run(
            definition,
            orjson.loads(task.input_json),
            facts=facts_of(task, folder=str(folder), inputs_brought=bool(brought)),
            log=this.log,
            cancel=this.cancel,
            on_progress=lambda percent, message: progress.append((percent, message)),
            on_attach=this.gets_folder,
        )
        attached = [_attached(one) for one in attached_in(folder)]
    finally:
        await runner.stop(0)
        forget(folder)
    return _told(ending(this, definition, outcome, _NOW_MS), progress, attached)


def _told(
    end: TaskEnd, progress: list[tuple[float | None, str | None]], attached: list[TestFile]
) -> TestOutcome:
    return TestOutcome(
        state=_STATES[end.end],
        result=None if end.result_json is None else orjson.loads(end.result_json),
        error=None
        if end.error_code is None
        else {"code": end.error_code, "message": end.error_message or ""},
        retry_after_seconds=(end.due_ms - _NOW_MS) / 1000
        if end.end is End.RETRY and end.due_ms is not None
        else None,
        exception=end.raised,
        progress=tuple(progress),
        files=tuple(attached) if end.end is End.SUCCEEDED else (),
    )


def _attached(one: Attached) -> TestFile:
    return TestFile(name=one.name, content_type=one.content_type, content=Path(one.path).read_bytes())


def _files_in(value: object) -> Iterator[tuple[str, Brought]]:
    """Yield the files of an input by what stands for each of them in its JSON."""
    match value:
        case File(brought=Brought() as brought):
            yield value.reference.text, brought
        case BaseModel():
            for _, item in value:
                yield from _files_in(item)
        case Mapping():
            for item in value.values():
                yield from _files_in(item)
        case list() | tuple():
            for item in value:
                yield from _files_in(item)


def _as_json(given: Mapping[str, Any] | BaseModel | None) -> str:
    if isinstance(given, BaseModel):
        return given.model_dump_json(by_alias=True)
    return orjson.dumps(dict(given or {}), default=_reference).decode()


def _reference(value: object) -> Any:
    if isinstance(value, File):
        return value.reference.value
    raise TypeError
