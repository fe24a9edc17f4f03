"""Writing what comes of runs: ends, however long the store is away, and progress, the newest only."""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Final

import structlog

from webhookd.core.errors import Overloaded, ServiceError, StoreFault, Unavailable
from webhookd.core.execution import End, Progress, Recorded, TaskEnd
from webhookd.core.facts import RunEnded
from webhookd.flows.alarm import SWEEP, Alarm
from webhookd.flows.execute.ports import Tasks
from webhookd.flows.execute.run import ActiveRun
from webhookd.flows.lease import Lease
from webhookd.runtime.persist import persist

log = structlog.get_logger(__name__)

NOT_RECORDED: Final = "end_not_recorded"
_FRAMES: Final = 4
ANNOUNCED_EVERY_SECONDS: Final = 0.5
"""Watchers see progress as it is written; `task.progress` is made of it at most this often a task."""


class RunWriter:
    """Writes, and tells everybody whom it concerns: the alarm and listeners."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        lease: Lease,
        alarm: Alarm,
        now_ms: Callable[[], int],
        listeners: Sequence[Callable[[RunEnded], None]],
    ) -> None:
        self._tasks = tasks
        self._lease = lease
        self._alarm = alarm
        self._now_ms = now_ms
        self._listeners = tuple(listeners)
        self._writing: set[asyncio.Task[None]] = set()

    async def end(self, run: ActiveRun, end: TaskEnd) -> None:
        """Write the end, however long the store is away, unless the lease is lost meanwhile.

        An end the store will never take (a text it cannot hold) is written as a failure instead: a task
        must not stay running for what it returned.
        """
        began = perf_counter()

        async def write() -> Recorded:
            nonlocal end
            try:
                return await self._tasks.record(end)
            except (Unavailable, Overloaded):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, the task must not stay running
                log.error(  # noqa: TRY400 - the text of an exception may hold values
                    "task_end_refused",
                    task=end.task.id,
                    end=end.end.value,
                    reason=_reason(error),
                    raised_at=_raised_at(error),
                )
                if end.error_code == NOT_RECORDED:
                    raise StoreFault(reason=_reason(error)) from None
            end = _failure(end)
            return await write()

        written = await persist(
            write,
            held=lambda: run.session_id == self._lease.id,
            tell=lambda why: log.warning("task_end_not_written", task=end.task.id, reason=why),
        )
        recorded = written or Recorded(lost=True)
        if end.due_ms is not None and end.end is End.RETRY:
            self._alarm.at(SWEEP, end.due_ms)
        outcome = "lost" if recorded.lost else end.end.value
        write_us = int((perf_counter() - began) * 1_000_000)
        self._tell(run.ended(outcome, end.error_code, end.now_ms, write_us=write_us))

    def lost(self, run: ActiveRun) -> None:
        """Tell that others run this task now; nothing of it may be written."""
        self._tell(run.ended("lost", None, self._now_ms()))

    def progress(self, run: ActiveRun, percent: float | None, message: str | None) -> None:
        """Note progress, to be written as soon as the last is."""
        run.percent = percent if percent is not None else run.percent
        run.message = message
        self._write_soon(run)

    def _write_soon(self, run: ActiveRun) -> None:
        run.unwritten = True
        if not run.writing:
            run.writing = True
            writing = asyncio.get_running_loop().create_task(self._write_progress(run))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)

    async def _write_progress(self, run: ActiveRun) -> None:
        """Write the newest progress, as long as there is a newer one."""
        try:
            while run.unwritten:
                run.unwritten = False
                announced = self._may_announce(run)
                report = Progress(
                    task_id=run.task.id,
                    session_id=run.session_id,
                    token=run.task.token,
                    percent=run.percent,
                    message=run.message,
                    now_ms=self._now_ms(),
                    span_id=run.span_id,
                    announced=announced,
                )
                if not await self._tasks.progress(report):
                    return
        except Exception as error:  # noqa: BLE001 - it is only progress; the next report may do
            log.info("progress_not_written", task=run.task.id, reason=_reason(error))
        finally:
            run.writing = False

    def _may_announce(self, run: ActiveRun) -> bool:
        """Whether this report is announced. One that comes too soon is written again in its time."""
        loop = asyncio.get_running_loop()
        left = run.announced_at + ANNOUNCED_EVERY_SECONDS - loop.time()
        if left <= 0:
            run.announced_at = loop.time()
            if run.announcement is not None:
                run.announcement.cancel()
                run.announcement = None
            return True
        if run.announcement is None:
            run.announcement = loop.call_later(left, self._announce_newest, run)
        return False

    def _announce_newest(self, run: ActiveRun) -> None:
        run.announcement = None
        if run.work is not None and not run.work.done():
            self._write_soon(run)

    def _tell(self, fact: RunEnded) -> None:
        for tell in self._listeners:
            tell(fact)


def _failure(end: TaskEnd) -> TaskEnd:
    """Return the end of a task whose own end the store refuses: nothing of it is kept."""
    return replace(
        end,
        end=End.FAILED,
        result_json=None,
        error_code=NOT_RECORDED,
        error_message="It ended, but how it ended could not be stored; the log has the reason.",
        due_ms=None,
        reason="task_failed",
        progress_percent=None,
        progress_message=None,
        log=(),
        raised=None,
    )


def _reason(error: Exception) -> str:
    """Say what it was without a value in it: an exception's text may hold what the function returned."""
    return str(error) if isinstance(error, ServiceError) else type(error).__name__


def _raised_at(error: Exception) -> str:
    """Return the innermost frames, the last first, without what they held."""
    frames = reversed(traceback.extract_tb(error.__traceback__)[-_FRAMES:])
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
