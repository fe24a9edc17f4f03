"""What a task was submitted with, for running it again as another one."""

from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from webhookd.adapters.store.rows import filled, names, opt_names
from webhookd.adapters.store.schema import file_uses, task_bodies, tasks
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import Priority
from webhookd.core.records import NewTask
from webhookd.core.trace import TraceContext


class _Submitted(NamedTuple):
    id: str
    partner_id: str
    type: str
    queue: str
    priority: int
    max_attempts: int
    finished_ms: int | None
    input: str
    metadata: str
    callback_url: str | None
    callback_origin: str | None
    endpoint_ids: str | None
    events: str | None


def _submitted(given: frozenset[str]) -> Any:
    columns = (tasks.c[name] if name in tasks.c else task_bodies.c[name] for name in _Submitted._fields)
    return narrowed(
        select(*columns)
        .join(task_bodies, task_bodies.c.task_id == tasks.c.id)
        .where(tasks.c.id == bindparam("task_id")),
        given,
        partner_id=tasks.c.partner_id == bindparam("partner_id"),
    )


class _File(NamedTuple):
    file_id: str


_SUBMITTED: Final = Listing(_Submitted, lambda _, given: _submitted(given))
_FILES: Final = Query(
    _File,
    lambda _: (
        select(file_uses.c.file_id)
        .where(file_uses.c.task_id == bindparam("task_id"))
        .order_by(file_uses.c.file_id)
    ),
)


def read_rerun(
    tx: Tx, task_id: str, partner_id: str | None, new_id: str, trace: TraceContext
) -> tuple[NewTask, bool] | None:
    """Return the task that would run this one again, and whether this one has ended. None: unknown, foreign.

    It is due at once, in no batch and never expires; its tries are those the old one was born with.
    """
    row = tx.first(_SUBMITTED, task_id=task_id, partner_id=partner_id)
    if row is None:
        return None
    again = filled(
        NewTask,
        row,
        id=new_id,
        priority=Priority(row.priority),
        due_ms=tx.now_ms,
        run_at_ms=None,
        expires_ms=None,
        created_ms=tx.now_ms,
        scheduled=False,
        trace=trace,
        input_json=row.input,
        metadata_json=row.metadata,
        endpoint_ids=opt_names(row.endpoint_ids),
        events=names(row.events),
        file_ids=tuple(one.file_id for one in tx.run(_FILES, task_id=task_id)),
        rerun_of=task_id,
    )
    return again, row.finished_ms is not None
