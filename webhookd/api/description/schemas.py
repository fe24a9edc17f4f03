"""JSON Schemas of the wire models and documents, as /openapi.json wants them under `components`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from webhookd.api.answers import Page
from webhookd.api.description.sentences import sentences

REF: Final = "#/components/schemas/"

Schema = dict[str, Any]


class _Schemas(GenerateJsonSchema):
    """pydantic's, with the sentences of fields, without titles, and without `default: null`."""

    def normalize_name(self, name: str) -> str:
        """Name a component: `TaskDocument` is the Task of the API, `Page[TaskDocument]` its TaskPage."""
        name = re.sub(r"Page\[(?:\w+\.)*(\w+?)(?:Document)?(:\d+)?\]", r"\1Page", name)
        return super().normalize_name(re.sub(r"Document\b", "", name))

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Never: the field's name says as much."""
        return False

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
        """Describe a body."""
        made = super().model_schema(schema)
        made.pop("title", None)
        return _told(made, schema["cls"])


class Schemas:
    """The schemas of some types, models and documents. `refs` says where in `components` each is."""

    def __init__(
        self, types: Iterable[Any], *, patches: Iterable[Any] = (), examples: Mapping[Any, Any]
    ) -> None:
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
        for patch in patches:
            for field in self.of(patch).get("properties", {}).values():
                field.pop("default", None)

    def of(self, one: Any) -> Schema:
        """Return the schema of a type itself."""
        return self.components[self.refs[one]["$ref"].removeprefix(REF)]

    def parameters(self, model: type[BaseModel]) -> Iterable[tuple[str, Schema]]:
        """Return the fields of a query model: `(name, schema)`. Null cannot be sent in a query string."""
        for name, field in self.of(model).get("properties", {}).items():
            kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
            rest = {key: value for key, value in field.items() if key != "anyOf"}
            yield name, rest | kinds[0] if kinds else field

    def keep_used(self, document: Any) -> dict[str, Schema]:
        """Return the components that `document` refers to, and those these refer to, by name."""
        used: dict[str, Schema] = {}
        waiting = [document]
        while waiting:
            for name in _names(waiting.pop()):
                if name not in used:
                    used[name] = self.components[name]
                    waiting.append(used[name])
        return dict(sorted(used.items()))


def _told(made: Schema, kind: type[Any]) -> Schema:
    said = sentences(kind)
    for name, field in made.get("properties", {}).items():
        if name in said:
            field["description"] = said[name]
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
