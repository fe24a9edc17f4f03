"""An input to try a task type with, made from its JSON Schema."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from webhookd.taskset.definition import TaskDefinition

_FORMATS: Final = {
    "date": "2026-11-24",
    "date-time": "2026-11-24T06:00:00Z",
    "time": "06:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
    "email": "somebody@example.com",
}
_VALUES: Final = {"const", "default"}
_LISTS: Final = {"examples", "enum"}
_CHOICES: Final = {"anyOf", "oneOf", "allOf"}
_DEEPEST: Final = 16


def type_to_try(types: Iterable[TaskDefinition]) -> tuple[str, Any]:
    """Return a type and an input that it takes; one whose input has a model, where any has."""
    found = list(types)
    for definition in sorted(found, key=lambda one: one.input_adapter is None):
        schema = definition.input_schema()
        with contextlib.suppress(RecursionError, LookupError):
            value = _sample(schema, schema.get("$defs", {}), 0)
            if not definition.validate_input(value):
                return definition.type, value
    return found[0].type, {}


def _sample(schema: Mapping[str, Any], defs: Mapping[str, Any], depth: int) -> Any:
    """Return a small value of this schema. Raises LookupError, RecursionError where there is none to find."""
    if depth > _DEEPEST:
        raise RecursionError
    for word in _VALUES & schema.keys():
        return schema[word]
    for word in _LISTS & schema.keys():
        return schema[word][0]
    for word in _CHOICES & schema.keys():
        return _sample(schema[word][0], defs, depth + 1)
    if "$ref" in schema:
        return _sample(defs[schema["$ref"].rpartition("/")[2]], defs, depth + 1)
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: _sample(members[name], defs, depth + 1) for name in schema.get("required", ())}
        case "array":
            return [_sample(schema["items"], defs, depth + 1) for _ in range(schema.get("minItems", 0))]
        case "string":
            return _FORMATS.get(schema.get("format", ""), "x" * max(1, schema.get("minLength", 1)))
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return False if schema.get("type") == "boolean" else None
