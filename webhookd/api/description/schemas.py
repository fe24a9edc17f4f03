"""JSON Schemas of the wire models and documents, as /openapi.json wants them under `components`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from webhookd.api.answers import Page
from webhookd.api.description.sentences import sentences
from webhookd.api.wire import Body, Create, QueryString

REF: Final = "#/components/schemas/"

Schema = dict[str, Any]


AUDIENCE: Final = "x-audience"
"""The keyword that says for whom a call, a parameter or a field is; without it, for everybody."""
ADMINS: Final = "admin"
_FOR_ADMINS: Final = "For admins:"
_LARGEST_INT32: Final = 2**31 - 1
_NULL: Final[Schema] = {"type": "null"}


class _Schemas(GenerateJsonSchema):
    """pydantic's, with formats of numbers and the sentences of fields, without titles."""

    def normalize_name(self, name: str) -> str:
        """Name a component: `TaskDocument` is the Task of the API, `Page[TaskDocument]` its TaskPage."""
        name = re.sub(r"Page\[(?:\w+\.)*(\w+?)(?:Document)?(:\d+)?\]", r"\1Page", name)
        return super().normalize_name(re.sub(r"Document\b", "", name))

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Never: the field's name says as much."""
        return False

    def int_schema(self, schema: core_schema.IntSchema) -> Schema:
        """Say how wide it is: without a format most languages take 32 bits."""
        made = super().int_schema(schema)
        most = made.get("maximum", made.get("exclusiveMaximum"))
        wide = most is None or most > _LARGEST_INT32
        return {**made, "format": "int64" if wide else "int32"}

    def float_schema(self, schema: core_schema.FloatSchema) -> Schema:
        """Say how precise it is."""
        return {**super().float_schema(schema), "format": "double"}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        """Leave out a default that only says that nothing was sent."""
        made = super().default_schema(schema)
        if made.get("default", "") is None:
            del made["default"]
        return made

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> Schema:
        """Describe a document: what is there now, to which fields may be added."""
        made = super().typed_dict_schema(schema)
        made.pop("title", None)
        return _told(made, schema["cls"])

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        """Describe a body or a query string.

        A body's defaults are said in words: generators take a field with a default for one that is always
        there. What makes something takes no null.
        """
        made, kind = super().model_schema(schema), schema["cls"]
        made.pop("title", None)
        for field in made.get("properties", {}).values():
            if issubclass(kind, Body):
                field.pop("default", None)
            if issubclass(kind, Create | QueryString):
                _without_null(field)
        return _told(made, kind)


class Schemas:
    """The schemas of some types, models and documents. `refs` says where in `components` each is."""

    def __init__(self, types: Iterable[Any], *, examples: Mapping[Any, Any]) -> None:
        wanted = list(dict.fromkeys(types))
        made, defs = TypeAdapter.json_schemas(
            [(index, "validation", TypeAdapter(one)) for index, one in enumerate(wanted)],
            ref_template=REF + "{model}",
            schema_generator=_Schemas,
        )
        self.refs: Mapping[Any, Schema] = {one: made[index, "validation"] for index, one in enumerate(wanted)}
        self.components: dict[str, Schema] = defs["$defs"]
        for one in wanted:
            if get_origin(one) is Page:
                self.of(one)["examples"] = [{"data": [examples[get_args(one)[0]]], "next_cursor": None}]
            elif one in examples:
                self.of(one)["examples"] = [examples[one]]

    def of(self, one: Any) -> Schema:
        """Return the schema of a type itself."""
        return self.components[self.refs[one]["$ref"].removeprefix(REF)]

    def parameters(self, model: type[BaseModel]) -> Iterable[tuple[str, Schema]]:
        """Return the fields of a query model: `(name, schema)`."""
        yield from self.of(model).get("properties", {}).items()


def used_schemas(document: Any, schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return those of `schemas` that `document` refers to, and those these refer to, by name."""
    used: dict[str, Schema] = {}
    waiting = [document]
    while waiting:
        for name in _names(waiting.pop()):
            if name not in used:
                used[name] = schemas[name]
                waiting.append(used[name])
    return dict(sorted(used.items()))


def _without_null(field: Schema) -> None:
    """Take null from a field in place: it can be left out, and cannot be sent as null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != _NULL]
    if len(kinds) == 1:
        del field["anyOf"]
        field.update(kinds[0])


def _told(made: Schema, kind: type[Any]) -> Schema:
    said = dict(sentences(kind))
    if issubclass(kind, BaseModel):
        said |= {field.alias: said[name] for name, field in kind.model_fields.items() if field.alias}
    for name, field in made.get("properties", {}).items():
        if name in said:
            field["description"] = said[name]
            if said[name].startswith(_FOR_ADMINS):
                field[AUDIENCE] = ADMINS
    return made


def _names(part: Any) -> Iterable[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str) and re.match(REF, value):
                yield value.removeprefix(REF)
            elif key != "examples":
                yield from _names(value)
    elif isinstance(part, list):
        for item in part:
            yield from _names(item)
