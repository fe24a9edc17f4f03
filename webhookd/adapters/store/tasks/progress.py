"""Progress of running tasks: accepted under the token of the claim, many reports at once."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import func

from webhookd.adapters.store.deliveries.publish import announce_tasks
from webhookd.adapters.store.rowset import Int4, between, rowset
from webhookd.adapters.store.schema import tasks
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tasks.ends import read_tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import Progress
from webhookd.core.model import TaskState


class _ReportIn(NamedTuple):
    id: str
    session_id: str
    token: Int4
    percent: float | None
    message: str | None


class _ReportedRow(NamedTuple):
    id: str
    token: int
    partner_id: str
    version: int


def _reporting(dialect: str) -> Any:
    """Write progress, where the fence still holds, and return the tasks."""
    r = rowset(dialect, "reports", _ReportIn).c
    return (
        tasks.update()
        .where(
            tasks.c.id == r.id,
            between(dialect, tasks.c.id, "reports"),
            tasks.c.session_id.is_not_distinct_from(r.session_id),  # by id, not by ix_tasks_held
            tasks.c.token == r.token,
            tasks.c.state == TaskState.RUNNING.value,
        )
        .values(
            version=tasks.c.version + 1,
            progress_percent=func.coalesce(r.percent, tasks.c.progress_percent),
            progress_message=r.message,
        )
        .returning(tasks.c.id, tasks.c.token, tasks.c.partner_id, tasks.c.version)
    )


_REPORT: Final = Query(_ReportedRow, _reporting)


def progress(tx: Tx, reports: Sequence[Progress]) -> list[bool | Exception]:
    """Write the newest progress of running tasks; announce what is due. False: the task was taken away."""
    newest = {(report.task_id, report.token): report for report in reports}
    rows = tx.run(
        _REPORT,
        reports=[
            _ReportIn(report.task_id, report.session_id, report.token, report.percent, report.message)
            for report in newest.values()
        ],
    )
    for row in rows:
        tx.wakes.changed(row.id, row.partner_id, row.version)
    announced = {(report.task_id, report.token) for report in reports if report.announced}
    told = [row.id for row in rows if (row.id, row.token) in announced]
    if told:
        announce_tasks(
            tx,
            [(task, "task.progress") for task in read_tasks(tx, told)],
            now_ms=max(report.now_ms for report in reports),
            span_ids={report.task_id: report.span_id for report in newest.values()},
        )
    held = {(row.id, row.token) for row in rows}
    return [(report.task_id, report.token) in held for report in reports]
