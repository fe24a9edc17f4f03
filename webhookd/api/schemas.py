"""JSON Schemas of the wire models and documents, as /openapi.json wants them under `components`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from webhookd.api.documents import Document, Page
from webhookd.api.examples import EXAMPLES

REF: Final = "#/components/schemas/"

Schema = dict[str, Any]


class _Schemas(GenerateJsonSchema):
    """pydantic's, without a title for every field and without `default: null`."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Never: the field's name says as much."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        """Leave out a default that only says that nothing was sent."""
        made = super().default_schema(schema)
        if made.get("default", "") is None:
            del made["default"]
        return made


class Schemas:
    """The schemas of some models, `patches` among them. `refs` says where in `components` each is."""

    def __init__(self, models: Iterable[type[BaseModel]], *, patches: Iterable[type[BaseModel]] = ()) -> None:
        wanted = list(dict.fromkeys(models))
        refs, made = models_json_schema(
            [(model, "validation") for model in wanted],
            ref_template=REF + "{model}",
            schema_generator=_Schemas,
        )
        self.refs: Mapping[type[BaseModel], Schema] = {model: refs[model, "validation"] for model in wanted}
        self.components: dict[str, Schema] = made["$defs"]
        for model in wanted:
            example = example_of(model)
            if example is not None:
                self.of(model)["examples"] = [example]
        for document in _all_documents(Document):
            _loosen(self.components.get(document.__name__, {}))
        for patch in patches:
            _without_defaults(self.of(patch))

    def of(self, model: type[BaseModel]) -> Schema:
        """Return the schema of a model itself."""
        return self.components[self.refs[model]["$ref"].removeprefix(REF)]

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


def example_of(model: type[BaseModel]) -> Any:
    """Return the model's example; a page's is made of its item's. None where there is none."""
    if model in EXAMPLES:
        return EXAMPLES[model]
    if issubclass(model, Page):
        item = model.model_fields["data"].annotation.__args__[0]  # type: ignore[union-attr]  # list[T]
        return {"data": [EXAMPLES[item]], "next_cursor": None}
    return None


def _all_documents(model: type[Document]) -> Iterable[type[Document]]:
    for below in model.__subclasses__():
        yield below
        yield from _all_documents(below)


def _loosen(schema: Schema) -> None:
    """Promise of an answer only what is there: fields may be added, and those with defaults left out."""
    schema.pop("additionalProperties", None)
    _without_defaults(schema)


def _without_defaults(schema: Schema) -> None:
    """Nothing stands for a field that is left out of a patch, or of an answer."""
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


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
