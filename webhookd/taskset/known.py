"""Task types as those see them who take tasks in: what they are called, and what input they take.

A `TaskSet` is one; an API that has no operator's code knows types by what workers have published of them.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

from webhookd.core.errors import FieldError
from webhookd.core.files import is_file_id
from webhookd.core.run_folder import Reference
from webhookd.taskset.definition import MAX_FIELD_ERRORS, TaskDefinition, path_in_input
from webhookd.taskset.file import FILE_PATTERN
from webhookd.taskset.json_schema import validator

_OBJECT: Final = {"type": "object"}


class TaskType(Protocol):
    """A task type, for whoever accepts its tasks."""

    @property
    def type(self) -> str:
        """Its name."""
        ...

    @property
    def description(self) -> str:
        """What it does."""
        ...

    @property
    def queue(self) -> str:
        """Which queue its tasks are on."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """How long a run may take."""
        ...

    @property
    def max_attempts(self) -> int:
        """How many tries a task has."""
        ...

    @property
    def expose_logs(self) -> bool:
        """Whether partners see what runs logged."""
        ...

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the input."""
        ...

    def output_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema of the result; None where the type says none."""
        ...

    def validate_input(self, raw: Any) -> list[FieldError]:
        """Return what is wrong with an input."""
        ...

    def files_named(self, raw: Any) -> list[Reference]:
        """Return the files that an input names, each once."""
        ...


class TaskTypes(Protocol):
    """Task types by name."""

    def get(self, type: str) -> TaskType | None:  # noqa: A002 -- the contract's word for it
        """Return a type, or None."""
        ...

    def __iter__(self) -> Iterator[TaskType]: ...

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of all."""
        ...


@dataclass(frozen=True, kw_only=True)
class PublishedType:
    """A type that a worker has published. Its input is checked by its JSON Schema, the rest at its start."""

    type: str
    description: str
    queue: str
    timeout_seconds: float
    max_attempts: int
    expose_logs: bool
    schema: dict[str, Any]
    result_schema: dict[str, Any] | None = None

    def output_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema (2020-12) of the result, as a copy; None where the type says none."""
        return copy.deepcopy(self.result_schema)

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of `input`, as a copy the caller may change."""
        return copy.deepcopy(self.schema)

    def validate_input(self, raw: Any) -> list[FieldError]:
        """Return what is wrong with `raw`, a parsed JSON value; at most MAX_FIELD_ERRORS."""
        if {name: self.schema.get(name) for name in self.schema if name != "$schema"} == _OBJECT:
            return [] if isinstance(raw, dict) else [_wrong(raw, [], "must be a JSON object")]
        if self._validator is None:
            return []
        found = []
        for error in self._validator.iter_errors(raw):
            missing = getattr(error.kind, "property", None)
            steps = [*error.instance_path, *([missing] if isinstance(missing, str) else [])]
            found.append(_wrong(raw, steps, "is required" if missing else error.message))
            if len(found) == MAX_FIELD_ERRORS:
                break
        return found

    def files_named(self, raw: Any) -> list[Reference]:
        """Return what in `raw` can only be a file, each once, where the schema has a field that takes one."""
        return list(dict.fromkeys(_files(raw))) if self._takes_files else []

    @cached_property
    def _takes_files(self) -> bool:
        return FILE_PATTERN in json.dumps(self.schema)

    @cached_property
    def _validator(self) -> Any | None:
        return validator(self.schema)


def published(definition: TaskDefinition) -> PublishedType:
    """Return what is published of a type."""
    return PublishedType(
        type=definition.type,
        description=definition.description,
        queue=definition.queue,
        timeout_seconds=definition.timeout_seconds,
        max_attempts=definition.max_attempts,
        expose_logs=definition.expose_logs,
        schema=definition.input_schema(),
        result_schema=definition.output_schema(),
    )


def _files(value: Any) -> Iterator[Reference]:
    match value:
        case str() if is_file_id(value):
            yield Reference(file_id=value)
        case {"url": str(url), **rest} if not rest:
            yield Reference(url=url)
        case dict():
            for item in value.values():
                yield from _files(item)
        case list():
            for item in value:
                yield from _files(item)


def _wrong(raw: Any, steps: list[Any], message: str) -> FieldError:
    return FieldError(path=path_in_input(raw, tuple(steps), absent=True), message=message)
