"""The body of a submission, and its rules: from JSON to the `NewTask` the store takes."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, Field

from webhookd.adapters import entropy
from webhookd.api.place import place_of
from webhookd.api.wire import Create, Time, json_path
from webhookd.core import ids
from webhookd.core.egress import CallbackUrl, EgressPolicy, check_url
from webhookd.core.errors import FieldError, Invalid, UrlNotAllowed
from webhookd.core.fields import DescribedAs, EventPattern, MetadataValue, PriorityName
from webhookd.core.model import SUBSCRIBABLE_EVENTS, Priority, TaskState
from webhookd.core.records import NewTask, Partner, Submitted, Task
from webhookd.core.routing import type_matches
from webhookd.core.run_folder import Reference
from webhookd.core.trace import TraceContext
from webhookd.taskset.file import may_name_files
from webhookd.taskset.known import TaskType, TaskTypes

MAX_METADATA_KEYS: Final = 50
MAX_METADATA_BYTES: Final = 16_384
MAX_ENDPOINTS: Final = 50
MAX_EVENTS: Final = 50
LATEST_RUN_MS: Final = 366 * 86_400_000
"""How far ahead `run_at` and `expires_at` may lie: a year and a day."""


def _subscribable(event: str) -> str:
    if event not in SUBSCRIBABLE_EVENTS:
        raise ValueError(f"must be one of {', '.join(SUBSCRIBABLE_EVENTS)}")
    return event


Event = Annotated[str, AfterValidator(_subscribable), DescribedAs(EventPattern)]
MetadataOfMost = Annotated[dict[str, MetadataValue], Field(max_length=MAX_METADATA_KEYS)]


class TaskCreate(Create):
    """A task to be done."""

    type: str
    """One of the task types there are."""
    input: Annotated[Any, DescribedAs(dict[str, Any])] = Field(default_factory=dict)
    """What the function gets; `{}` if left out. It must satisfy the type's schema."""
    callback_url: str | None = None
    """Where this task's webhooks go, without registration; signed with the partner's own secret."""
    endpoints: list[str] | None = Field(None, max_length=MAX_ENDPOINTS)
    """The endpoints that get a copy, whatever they subscribe to; empty: no webhook to any of them."""
    events: list[Event] | None = Field(None, min_length=1, max_length=MAX_EVENTS)
    """Which events go to `callback_url` and `endpoints`; the four final ones if left out."""
    metadata: Annotated[dict[str, Any] | None, DescribedAs(MetadataOfMost)] = None
    """Up to 16 KiB of the caller's own; comes back in the Task and in webhooks."""
    priority: Annotated[Literal["low", "normal", "high"], DescribedAs(PriorityName)] = "normal"
    """The order among the partner's own tasks of a queue; `normal` if left out."""
    run_at: Time | None = None
    """Not before this time, up to a year ahead; at once if left out."""
    expires_at: Time | None = None
    """The task expires where it has not started by then; never if left out."""
    partner: str | None = None
    """For admins: on whose behalf, by its id."""


Steps = tuple[int | str, ...]


def new_task(
    body: TaskCreate,
    *,
    partner: Partner,
    task_types: TaskTypes,
    egress: EgressPolicy,
    trace: TraceContext,
    now_ms: int,
    max_input_bytes: int,
    at: Steps = (),
) -> NewTask:
    """Return the task to store. `at` is where the body stands in the whole one, for the paths of errors.

    Raises Invalid with every wrong field, or UrlNotAllowed where only the callback URL is refused.
    """
    errors: list[FieldError] = []
    definition = task_types.get(body.type) if type_matches(partner.task_types, body.type) else None
    input_json = ""
    files: list[Reference] = []
    if definition is None:
        message = _unknown_type(body.type, task_types, partner)
        errors.append(FieldError(path=json_path((*at, "type")), message=message))
    else:
        input_json = orjson.dumps(body.input).decode()
        if len(input_json) > max_input_bytes:
            errors.append(
                FieldError(
                    path=json_path((*at, "input")), message=f"is larger than {max_input_bytes:,} bytes"
                )
            )
        else:
            errors += _input_errors(body, definition, at)
            if not errors and may_name_files(input_json):
                files = definition.files_named(body.input)
    metadata_json = orjson.dumps(body.metadata or {}).decode()
    errors += metadata_errors(body.metadata, metadata_json, at)
    errors += _time_errors(body, now_ms, at)
    callback = None
    try:
        callback = checked_callback(body.callback_url, egress, at)
        _check_file_urls(body, files, egress, at)
    except UrlNotAllowed as error:
        if not errors:
            raise
        errors += error.errors
    if errors or definition is None:
        raise Invalid("The task is not valid.", errors=errors)
    due_ms = max(now_ms, body.run_at or 0)
    return NewTask(
        id=entropy.new_id(ids.TASK, now_ms),
        partner_id=partner.id,
        type=body.type,
        queue=definition.queue,
        priority=Priority[body.priority.upper()],
        max_attempts=definition.max_attempts,
        due_ms=due_ms,
        run_at_ms=body.run_at,
        expires_ms=body.expires_at,
        created_ms=now_ms,
        scheduled=due_ms > now_ms,
        trace=trace,
        input_json=input_json,
        metadata_json=metadata_json,
        callback_url=None if callback is None else callback.url,
        callback_origin=None if callback is None else callback.origin,
        endpoint_ids=None if body.endpoints is None else tuple(dict.fromkeys(body.endpoints)),
        events=tuple(dict.fromkeys(body.events or ())),
        file_ids=tuple(one.file_id for one in files if one.file_id),
    )


_SUBMITTED: Final = tuple(one.name for one in fields(Submitted))


def as_accepted(task: NewTask) -> Task:
    """Return the task as it stands right after its commit, without asking the store."""
    state = TaskState.SCHEDULED if task.scheduled else TaskState.QUEUED
    return Task(state=state, version=1, attempts=0, **{name: getattr(task, name) for name in _SUBMITTED})


def unknown_endpoint_errors(
    named: Sequence[str] | None, unknown: frozenset[str], at: Steps = ()
) -> list[FieldError]:
    """Return an error for each of the endpoints a body names that is among the unknown."""
    return [
        FieldError(path=json_path((*at, "endpoints", index)), message="there is no such endpoint")
        for index, endpoint_id in enumerate(named or ())
        if endpoint_id in unknown
    ]


def _unknown_type(name: str, task_types: TaskTypes, partner: Partner) -> str:
    known = sorted(one.type for one in task_types if type_matches(partner.task_types, one.type))
    near = get_close_matches(name[:100], known, n=3)
    asked = f" (did you mean {' or '.join(near)}?)" if near else ""
    told = f"; known are {', '.join(known)}" if known else ""
    return f"is not a task type here{asked}{told}"


def _input_errors(body: TaskCreate, definition: TaskType, at: Steps) -> Iterator[FieldError]:
    root = json_path(at)
    for error in definition.validate_input(body.input):
        yield FieldError(path=root + error.path.removeprefix("$"), message=error.message)


def metadata_errors(
    metadata: dict[str, Any] | None, metadata_json: str, at: Steps = ()
) -> Iterator[FieldError]:
    """Yield what is wrong with metadata; `metadata_json` is its text."""
    if not metadata:
        return
    if len(metadata) > MAX_METADATA_KEYS:
        yield FieldError(path=json_path((*at, "metadata")), message=f"has over {MAX_METADATA_KEYS} names")
        return
    if len(metadata_json.encode()) > MAX_METADATA_BYTES:
        yield FieldError(path=json_path((*at, "metadata")), message=f"is over {MAX_METADATA_BYTES:,} bytes")
    for name, value in metadata.items():
        if isinstance(value, dict | list):
            yield FieldError(
                path=json_path((*at, "metadata", name)), message="must be a string, number, boolean or null"
            )


def _time_errors(body: TaskCreate, now_ms: int, at: Steps) -> Iterator[FieldError]:
    if body.run_at is not None and body.run_at > now_ms + LATEST_RUN_MS:
        yield FieldError(path=json_path((*at, "run_at")), message="is more than a year ahead")
    if body.expires_at is None:
        return
    path = json_path((*at, "expires_at"))
    if body.expires_at <= now_ms:
        yield FieldError(path=path, message="has passed")
    elif body.run_at is not None and body.expires_at <= body.run_at:
        yield FieldError(path=path, message="must be later than run_at")


def checked_callback(url: str | None, egress: EgressPolicy, at: Steps = ()) -> CallbackUrl | None:
    """Return a callback URL as it is kept. Raises UrlNotAllowed, with the path of the field."""
    if url is None:
        return None
    try:
        return _checked_url(url, egress)
    except UrlNotAllowed as error:
        path = json_path((*at, "callback_url"))
        raise UrlNotAllowed(error.detail, errors=[FieldError(path=path, message=error.detail)]) from None


def _check_file_urls(body: TaskCreate, files: list[Reference], egress: EgressPolicy, at: Steps) -> None:
    for one in files:
        if not one.url:
            continue
        try:
            _checked_url(one.url, egress)
        except UrlNotAllowed as error:
            path = json_path((*at, "input", *(place_of(body.input, one.value) or ())))
            raise UrlNotAllowed(error.detail, errors=[FieldError(path=path, message=error.detail)]) from None


# Pure, dear, and a partner's tasks mostly name the same few URLs. Refusals are not kept.
_checked_url: Final = lru_cache(maxsize=1_024)(check_url)
