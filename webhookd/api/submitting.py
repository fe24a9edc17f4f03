"""Tasks of a call on their way to the intake, and what was kept for a repeat of it."""

from collections.abc import Iterable
from typing import Any

import orjson

from webhookd.api.call import AnyCall, found
from webhookd.api.idempotency_key import fingerprint
from webhookd.api.task_wire import as_accepted
from webhookd.core.records import NewTask, Partner, Task
from webhookd.core.submission import Submission


def submission(
    call: AnyCall, partner: Partner, tasks: Iterable[NewTask], *, kept: object | None = None
) -> Submission:
    """Return the tasks as a submission under the call's Idempotency-Key; a repeat is answered by `kept`."""
    has_key = call.key is not None
    return Submission(
        partner_id=partner.id,
        tasks=tuple(tasks),
        key=call.task_key(),
        fingerprint=fingerprint(call.method, call.path, call.json) if has_key else "",
        now_ms=call.now_ms,
        layout=orjson.dumps(kept).decode() if has_key and kept is not None else None,
        parent_span_id=call.trace.parent_id,
    )


def kept_for_repeats(outcome: str | None) -> Any:
    """Return what `submission` was given as `kept`, from the outcome of the key."""
    return orjson.loads(orjson.loads(outcome or "{}")["layout"])


async def submit_one(call: AnyCall, partner: Partner, task: NewTask) -> tuple[Task, bool]:
    """Submit a task; return it, and whether it is an earlier call's, which this one repeats."""
    accepted = await call.parts.submit.submit(partner, submission(call, partner, [task]))
    if not accepted.replayed:
        return as_accepted(task), False
    shown: Task = found(await call.parts.store.tasks.get(accepted.task_ids[0], partner.id), "task")
    call.link(shown)
    return shown, True
