"""The types that fields of documents have: what they hold, and how the description of the API names them.

A `TypeAliasType` is a component of the description. Most of them are text to Python: what a program of
today does not know, one of tomorrow may send, so a list of known values stays open (`known`), and is closed
(`one_of`) only where there can never be another.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final, get_args

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter, WithJsonSchema
from pydantic_core.core_schema import CoreSchema, definition_reference_schema, definitions_schema
from typing_extensions import TypeAliasType

from webhookd.core import activity
from webhookd.core.endpoint_stats import WINDOWS
from webhookd.core.files import FileKind, FileState
from webhookd.core.model import (
    BATCH_COMPLETED,
    FINAL_EVENTS,
    OPERATIONAL_EVENTS,
    SCOPES,
    SUBSCRIBABLE_EVENTS,
    TEST_EVENT,
    TRANSIENT_EVENTS,
)
from webhookd.core.reply import ErrorCode

KNOWN_VALUES: Final = "x-extensible-enum"
"""The keyword for a list that is open: generators take the field for text, readers see the values."""


def known(what: str, values: Iterable[str]) -> WithJsonSchema:
    """Return the schema of text that is mostly one of `values`."""
    listed = list(values)
    told = ", ".join(f"`{value}`" for value in listed)
    text = f"{what} Known are {told}; others may come."
    return WithJsonSchema({"type": "string", "description": text, KNOWN_VALUES: listed})


def one_of(what: str, values: Iterable[str]) -> WithJsonSchema:
    """Return the schema of text that is always one of `values`."""
    return WithJsonSchema({"type": "string", "description": what, "enum": list(values)})


def _exclusive(schema: dict[str, Any]) -> None:
    schema["oneOf"] = schema.pop("anyOf")


EXCLUSIVE: Final = Field(json_schema_extra=_exclusive)
"""Marks a union of which a value is only ever one; of any other, generators for Rust make one struct."""

EVENTS: Final = (*FINAL_EVENTS, *TRANSIENT_EVENTS, BATCH_COMPLETED, *OPERATIONAL_EVENTS, TEST_EVENT)
"""Everything that a message may tell of."""

DEAD_REASONS: Final = ("exhausted", "gone", "endpoint_deleted", "task_failed", "worker_crashed")

ATTEMPT_ERRORS: Final = tuple(code for code in get_args(ErrorCode) if code != "proxy")
"""Why an attempt had no answer; with one that is no success the error is `http_` and its status."""

TASK_CODES: Final = (
    "error",
    "retry",
    "timeout",
    "worker_crashed",
    "invalid_input",
    "result_not_json",
    "result_too_large",
    "file_not_found",
    "file_not_fetched",
    "file_too_large",
    "files_not_stored",
    "too_many_files",
    "quota_exceeded",
    "url_not_allowed",
    "end_not_recorded",
    "expired",
)
"""The service's own codes of a task's error; a function has others."""


class DescribedAs:
    """Describes a value that Python does not look into, spliced in as text or parsed later, as `shape`."""

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema of the shape, a reference where it has a name."""
        del core_schema
        shape = TypeAdapter(self._shape).core_schema
        name = shape.get("ref")
        if not isinstance(name, str):
            return handler(definitions_schema(shape, []))
        return handler(definitions_schema(definition_reference_schema(name), [shape]))


Timestamp = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""RFC 3339 in UTC with milliseconds."""

Count = Annotated[int, Field(ge=0)]
TraceId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
TaskId = Annotated[str, Field(pattern="^task_[0-9a-z]{26}$")]
BatchId = Annotated[str, Field(pattern="^batch_[0-9a-z]{26}$")]
FileId = Annotated[str, Field(pattern="^file_[0-9a-z]{26}$")]
EndpointId = Annotated[str, Field(pattern="^ep_[0-9a-z]{26}$")]
MessageId = Annotated[str, Field(pattern="^msg_[0-9a-z]{26}$")]
DeliveryId = Annotated[str, Field(pattern="^dlv_[0-9a-z]{26}$")]
ReplayId = Annotated[str, Field(pattern="^rpl_[0-9a-z]{26}$")]
DiscardId = Annotated[str, Field(pattern="^dsc_[0-9a-z]{26}$")]
PartnerId = Annotated[str, Field(pattern="^prt_[0-9a-z]{26}$")]
DeadLetterId = Annotated[str, Field(pattern="^(task|dlv)_[0-9a-z]{26}$")]

MetadataValue = TypeAliasType(
    "MetadataValue",
    Annotated[
        Any,
        WithJsonSchema(
            {
                "description": "A value of the metadata: text, a number, true, false or null.",
                # Not as a list of types: of that each generator makes a class of its own, which reads "42" as
                # a number (Java), 0.1 in 32 bits (Go) or nothing at all (Rust).
                "not": {"type": ["object", "array"], "items": {}},
            }
        ),
    ],
)
Metadata = Annotated[Any, DescribedAs(dict[str, MetadataValue])]
"""Flat, of the caller's own; to Python text that is spliced in."""

PriorityName = TypeAliasType(
    "PriorityName",
    Annotated[
        str, one_of("The order among one partner's queued tasks of a queue.", ("low", "normal", "high"))
    ],
)
EventName = TypeAliasType(
    "EventName",
    Annotated[
        str,
        known("What happened.", EVENTS),
    ],
)
EventPattern = TypeAliasType(
    "EventPattern",
    Annotated[
        str,
        one_of("An event to be told of; `task.*` stands for the four final ones.", SUBSCRIBABLE_EVENTS),
    ],
)
SubscribedEvent = TypeAliasType(
    "SubscribedEvent",
    Annotated[str, known("An event that is told of, or a group of them.", SUBSCRIBABLE_EVENTS)],
)
DisabledReason = TypeAliasType(
    "DisabledReason",
    Annotated[str, known("Why an endpoint is disabled.", ("requested", "gone", "failing"))],
)
Ordering = TypeAliasType(
    "Ordering",
    Annotated[
        str,
        one_of("`fifo`: one delivery at a time, in the order of their making.", ("none", "fifo")),
    ],
)
SignatureScheme = TypeAliasType(
    "SignatureScheme",
    Annotated[str, one_of("`v1` is HMAC-SHA256, `v1a` is Ed25519.", ("v1", "v1a"))],
)
StatsWindow = TypeAliasType(
    "StatsWindow",
    Annotated[str, one_of("A time until now: the last hour, day or week.", WINDOWS)],
)
ActivityWindow = TypeAliasType(
    "ActivityWindow",
    Annotated[str, one_of("A time until now: the last hour, six hours or day.", activity.WINDOWS)],
)
BreakerState = TypeAliasType(
    "BreakerState",
    Annotated[
        str,
        one_of(
            "`open` holds deliveries back, `half_open` lets one probe through.",
            ("closed", "open", "half_open"),
        ),
    ],
)
AttemptError = TypeAliasType(
    "AttemptError",
    Annotated[
        str,
        known(
            "Why an attempt failed: a status that is no success, or why there was none.",
            ("http_500", "http_503", *ATTEMPT_ERRORS),
        ),
    ],
)
DeadReason = TypeAliasType("DeadReason", Annotated[str, known("Why it is a dead letter.", DEAD_REASONS)])
DeadLetterKind = TypeAliasType(
    "DeadLetterKind",
    Annotated[str, one_of("A delivery that was given up, or a task that failed.", ("delivery", "task"))],
)
ReplayedState = TypeAliasType(
    "ReplayedState",
    Annotated[str, one_of("What a replay takes: what is dead, or what waits.", ("dead", "pending"))],
)
TaskErrorCode = TypeAliasType(
    "TaskErrorCode",
    Annotated[
        str, known("Why a task failed: a code of the function's own, or one of the service's.", TASK_CODES)
    ],
)
RunOutcome = TypeAliasType(
    "RunOutcome",
    Annotated[
        str,
        known(
            "How a run ended, or that it has not.",
            ("running", "succeeded", "failed", "retry", "cancelled", "crashed", "handed_back"),
        ),
    ],
)
WorkerRole = TypeAliasType(
    "WorkerRole",
    Annotated[
        str,
        known("What a process does: HTTP, operators' functions, deliveries.", ("api", "tasks", "deliver")),
    ],
)
Scope = TypeAliasType("Scope", Annotated[str, one_of("What a key may do.", SCOPES)])
FileStateName = TypeAliasType(
    "FileStateName",
    Annotated[
        str,
        one_of("`awaiting`: its bytes are to come. `ready`: counted and hashed.", [*FileState]),
    ],
)
FileKindName = TypeAliasType(
    "FileKindName",
    Annotated[str, one_of("`input`: a partner brought it. `result`: a task made it.", [*FileKind])],
)
ScopeName = TypeAliasType("ScopeName", Annotated[str, known("What a key may do.", SCOPES)])
