"""What a task's function gets: read alone, because it may be large and no list shows it."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, select

from webhookd.adapters.store.schema import task_bodies, tasks
from webhookd.adapters.store.statement import Listing, narrowed
from webhookd.adapters.store.tx import Tx


class _Input(NamedTuple):
    input: str


_ONE: Final = Listing(
    _Input,
    lambda _, given: narrowed(
        select(task_bodies.c.input)
        .join(tasks, tasks.c.id == task_bodies.c.task_id)
        .where(task_bodies.c.task_id == bindparam("task_id")),
        given,
        partner_id=tasks.c.partner_id == bindparam("partner_id"),
    ),
)


def read_input(tx: Tx, task_id: str, partner_id: str | None) -> str | None:
    """Return the JSON text of a task's input; None where the task is unknown or another partner's."""
    row = tx.first(_ONE, task_id=task_id, partner_id=partner_id)
    return None if row is None else row.input
