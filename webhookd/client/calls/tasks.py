"""Submitting tasks and following them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from webhookd.client.calls.asking import (
    given,
    id_of,
    path_of,
    posting,
    reading,
    time_of,
    until_done,
    versions,
)
from webhookd.client.documents import Batch, Task
from webhookd.client.steps import Call, Stream


def submit(
    type: str,  # noqa: A002 - the API's own name
    input: object = None,  # noqa: A002
    *,
    callback_url: str | None = None,
    endpoints: Sequence[str] | None = None,
    events: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    priority: str | None = None,
    run_at: datetime | str | None = None,
    expires_at: datetime | str | None = None,
    partner: str | None = None,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
) -> Call[Task]:
    """Submit a task and return it as soon as it is durable; it runs afterwards.

    `endpoints=[]` asks for no webhook at all. Without an `idempotency_key` the call makes one, so that it
    can be sent again safely when the connection breaks. Raises ApiError, NoAnswer.
    """
    body = given(
        type=type,
        input=input,
        callback_url=callback_url,
        endpoints=None if endpoints is None else list(endpoints),
        events=None if events is None else list(events),
        metadata=metadata,
        priority=priority,
        run_at=time_of(run_at),
        expires_at=time_of(expires_at),
        partner=partner,
    )
    headers = {} if traceparent is None else {"traceparent": traceparent}
    return Task.of((yield posting("v1/tasks", body, key=idempotency_key, headers=headers)))


def get(task: str | Task) -> Call[Task]:
    """Return the task as it is now. Raises NotFound."""
    return Task.of((yield reading(path_of("tasks", id_of(task)))))


def wait(task: str | Task, timeout: float | None = None) -> Call[Task]:
    """Return the task once it is done, however it ended: look at `state`. A batch is waited for as well.

    Long-polls. Raises TimedOut after `timeout` seconds (None: never).
    """
    return (yield from until_done(*_followed(task), timeout))


def watch(task: str | Task) -> Stream[Task]:
    """Iterate over the versions of a task, or of a batch, from the present one to the final one.

    Who looks slowly gets the newest, not all.
    """
    return versions(*_followed(task))


def _followed(task: str | Task) -> tuple[type[Task], str]:
    """Return what is followed, and where. Who has only an id need not know which of the two it is."""
    id_ = id_of(task)
    if id_.startswith("batch_"):
        return cast("type[Task]", Batch), path_of("batches", id_)
    return Task, path_of("tasks", id_)


def rerun(task: str | Task) -> Call[Task]:
    """Run an ended task again, as a new one; `rerun_of` of that names this one."""
    return Task.of((yield posting(path_of("tasks", id_of(task), "rerun"))))


def cancel(task: str | Task) -> Call[Task]:
    """Cancel a task: a waiting one at once; a running function is told. Return the task after the call."""
    return Task.of((yield posting(path_of("tasks", id_of(task), "cancel"))))
