"""The files that a submission names: they must be there, whole, and the partner's own."""

from collections.abc import Iterable
from typing import Any

from webhookd.api.call import AnyCall
from webhookd.api.file_content import ensured_ready
from webhookd.api.place import Steps, place_of
from webhookd.api.wire import json_path
from webhookd.core.errors import ClientError, FieldError
from webhookd.core.files import File, FileState
from webhookd.core.records import NewTask


async def file_faults(call: AnyCall, partner_id: str, tasks: Iterable[NewTask]) -> dict[str, str]:
    """Return what is wrong with the files these tasks name, by id.

    One whose bytes were sent straight to the object store is checked now: this is its first use.
    """
    wanted = {file_id for task in tasks for file_id in task.file_ids}
    if not wanted:
        return {}
    found = await call.parts.store.files.get_many(wanted, partner_id)
    faults = dict.fromkeys(wanted - found.keys(), "there is no such file")
    for file in found.values():
        if file.state is not FileState.READY and (fault := await _fault_of_awaited(call, file)):
            faults[file.id] = fault
    return faults


async def _fault_of_awaited(call: AnyCall, file: File) -> str | None:
    try:
        await ensured_ready(call, file)
    except ClientError as error:
        return f"cannot be used: {error.detail}"
    return None


def file_errors(raw: Any, task: NewTask, faults: dict[str, str], at: Steps = ()) -> list[FieldError]:
    """Return an error for each file of the task that has a fault; `raw` is the task's input."""
    return [
        FieldError(path=json_path((*at, "input", *(place_of(raw, file_id) or ()))), message=faults[file_id])
        for file_id in task.file_ids
        if file_id in faults
    ]
