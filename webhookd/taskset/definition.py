"""One declared task type: its limits, and what input it takes.

The values were checked when the type was declared (`declared`); here they are only held and used.
"""

import contextlib
import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from webhookd.core.complaints import complaint
from webhookd.core.errors import FieldError, Invalid
from webhookd.core.run_folder import Reference
from webhookd.taskset.file import InputFiles
from webhookd.taskset.json_schema import validator
from webhookd.taskset.lifespan import Lifespan

Isolation = Literal["thread", "process"]

MAX_FIELD_ERRORS: Final = 50
MOST_COMPLAINTS: Final = 1_000
"""More of pydantic's are not put into words: that costs ten times what finding them did."""
SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskDefinition:
    """A task type and its function.

    `concurrency` (runs of this type at once, over all workers) and `rate_per_second` (starts) are
    kept by the claim, not by the runner; None means no limit. `retry_base_seconds` and `retry_factor`
    give the pauses between attempts: base, base x factor, and so on. `description` is the first
    paragraph of the function's docstring. `input_adapter` is None for a plain dict. `expose_errors` shows
    partners the text of any exception, `expose_logs` the lines a run logged. `max_runs` is after how many
    runs a child process is replaced; `lifespan` is the task set's, what gives `ctx.state`.
    """

    type: str
    description: str
    function: Callable[..., Any]
    is_async: bool
    queue: str
    timeout_seconds: float
    max_attempts: int
    concurrency: int | None
    rate_per_second: float | None
    isolation: Isolation
    memory_mb: int | None
    retry_base_seconds: float
    retry_factor: float
    input_adapter: TypeAdapter[Any] | None
    schema: dict[str, Any]
    expose_errors: bool = False
    expose_logs: bool = False
    max_runs: int | None = None
    lifespan: Lifespan | None = None
    result_schema: dict[str, Any] | None = None

    def output_schema(self) -> dict[str, Any] | None:
        """The JSON Schema (2020-12) of the result, as a copy; None where the type says none."""
        if self.result_schema is None:
            return None
        return {"$schema": SCHEMA_DIALECT, **copy.deepcopy(self.result_schema)}

    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of `input`, as a copy the caller may change."""
        return {"$schema": SCHEMA_DIALECT, **copy.deepcopy(self.schema)}

    def validate_input(self, raw: Any) -> list[FieldError]:
        """What is wrong with `raw`, a parsed JSON value (a missing input is `{}`); empty when it fits.

        Both the model and its published schema must take it: pydantic by itself takes "1" for a number.
        """
        try:
            self.parse_input(raw)
        except Invalid as error:
            return list(error.errors)
        if self.input_adapter is None or self._validator is None:
            return []
        try:
            self._validator.validate(raw)
        except ValueError as error:  # the first fault only: to list all those of a large input takes seconds
            fault: Any = error
            path = path_in_input(raw, tuple(fault.instance_path), absent=False)
            return [FieldError(path=path, message=fault.message)]
        return []

    @cached_property
    def _validator(self) -> Any | None:
        return validator(self.input_schema())

    def files_named(self, raw: Any) -> list[Reference]:
        """Return the files that `raw` names, each once; none where it does not fit."""
        files = InputFiles()
        with contextlib.suppress(Invalid):
            self.parse_input(raw, files=files)
            return list(dict.fromkeys(files.named))
        return []

    def parse_input(self, raw: Any, *, files: InputFiles | None = None) -> Any:
        """Return what the function is given for `raw`: the dict itself, or the model.

        Raises Invalid with at most MAX_FIELD_ERRORS errors, their paths under `$.input`. Validation is
        pydantic's for JSON, so strict models take dates and decimals as text, as JSON has to send them.
        `files` has the bytes of its files, and learns which it names.
        """
        if self.input_adapter is None:
            if isinstance(raw, dict):
                return raw
            raise _invalid([FieldError(path="$.input", message="must be a JSON object")])
        try:
            return self.input_adapter.validate_json(to_json(raw), context=files)
        except ValidationError as error:
            if error.error_count() > MOST_COMPLAINTS:
                message = f"is wrong in {error.error_count():,} places"
                raise _invalid([FieldError(path="$.input", message=message)]) from None
            details = error.errors(include_url=False, include_context=False, include_input=False)
            raise _invalid([_field_error(raw, one) for one in details[:MAX_FIELD_ERRORS]]) from None
        except PydanticSerializationError:
            raise _invalid([FieldError(path="$.input", message="must be a JSON value")]) from None


def _invalid(errors: list[FieldError]) -> Invalid:
    return Invalid("The input does not satisfy the schema of the task type.", errors=errors)


def _field_error(raw: Any, detail: ErrorDetails) -> FieldError:
    absent = detail["type"] == "missing"
    return FieldError(path=path_in_input(raw, detail["loc"], absent=absent), message=complaint(detail))


def path_in_input(raw: Any, steps: tuple[int | str, ...], *, absent: bool) -> str:
    """The steps that really exist in `raw`, the input, as JSONPath (RFC 9535); `absent`: but for the last.

    pydantic puts more than fields into a location (the member of a union it tried, `[key]` for the key
    of a dict): such a step leads nowhere in the caller's document and is left out.
    """
    path, here = "$.input", raw
    for position, step in enumerate(steps):
        is_missing_field = absent and position == len(steps) - 1
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(step, str) and isinstance(here, dict) and (is_missing_field or step in here):
            path, here = path + _member(step), here.get(step)
    return path


def _member(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return f".{name}"
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{quoted}']"
