"""What the bearer of a page's token may read: what it names, and what belongs to that."""

from collections.abc import Mapping
from typing import Final

from webhookd.adapters.store.tasks.task_files import tasks_of_file
from webhookd.api.parts import ApiParts
from webhookd.core.errors import Forbidden, NotFound
from webhookd.core.page_tokens import Grant
from webhookd.core.records import Task

TASK: Final = "task"
BATCH: Final = "batch"
FILE: Final = "file"


async def require_granted(parts: ApiParts, grant: Grant, kind: str, path_params: Mapping[str, str]) -> None:
    """Let a call pass that reads what the token names; `kind` is what the id in the path is of.

    Raises Forbidden for calls that no token may make, NotFound for what is not named. A batch's token reads
    its tasks, a task's the files that it made or was given.
    """
    if not kind:
        raise Forbidden("A token reads the tasks or the batch that it names, and nothing else.")
    named = path_params["id"]
    if kind == BATCH:
        covered = named == grant.batch_id
    elif kind == TASK:
        covered = named in grant.task_ids or await _is_in_batch(parts, grant, named)
    else:
        owners = await parts.store.read(tasks_of_file, named)
        covered = any(_named(grant, task_id, batch_id) for task_id, batch_id in owners)
    if not covered:
        raise NotFound(f"There is no such {kind}.")


def covers(grant: Grant, task: Task) -> bool:
    """Whether a token names a task, or the batch that it is in."""
    return _named(grant, task.id, task.batch_id)


async def _is_in_batch(parts: ApiParts, grant: Grant, task_id: str) -> bool:
    if grant.batch_id is None:
        return False
    task = await parts.store.tasks.get(task_id, grant.partner_id)
    return task is not None and covers(grant, task)


def _named(grant: Grant, task_id: str, batch_id: str | None) -> bool:
    return task_id in grant.task_ids or (batch_id is not None and batch_id == grant.batch_id)
