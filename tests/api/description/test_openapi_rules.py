"""What generators of clients need, as rules over the whole description."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.description import description
from webhookd.api.api_route import ADMIN
from webhookd.api.app import ROUTES
from webhookd.api.description.audience import for_partners

DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "whole": description,
    "for partners": lambda: for_partners(description()),
}

Found = Iterator[tuple[str, dict[str, Any]]]


@pytest.fixture(params=DOCUMENTS, scope="module")
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return DOCUMENTS[request.param]()


def parts(part: Any, at: str = "") -> Found:
    """Every object in the document, with its place; examples are not looked into."""
    if isinstance(part, dict):
        yield at, part
        for key, value in part.items():
            if key not in ("example", "examples"):
                yield from parts(value, f"{at}/{key}")
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from parts(value, f"{at}/{index}")


def properties(document: dict[str, Any]) -> Found:
    for at, part in parts(document["components"]["schemas"]):
        if isinstance(part.get("properties"), dict) and not at.endswith("/properties"):
            yield from ((f"{at}.{name}", told) for name, told in part["properties"].items())


def operations(document: dict[str, Any]) -> Found:
    for place in ("paths", "webhooks"):
        for path, item in document[place].items():
            for method, operation in item.items():
                yield f"{method.upper()} {path}", operation
                for name, callback in operation.get("callbacks", {}).items():
                    for inner in callback.values():
                        yield from ((f"{name} {verb}", told) for verb, told in inner.items())


def bodies(document: dict[str, Any]) -> set[str]:
    """The names of the schemas that are sent to us."""
    return {
        content["schema"]["$ref"].rsplit("/", 1)[1]
        for item in document["paths"].values()
        for operation in item.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if "$ref" in content["schema"]
    }


def is_sentence(text: object) -> bool:
    return isinstance(text, str) and bool(re.fullmatch(r"[A-Z0-9`].{2,}[.]", text, re.DOTALL))


def test_every_property_is_described_in_a_sentence(document: dict[str, Any]) -> None:
    assert [at for at, told in properties(document) if not is_sentence(told.get("description"))] == []


def test_every_schema_is_described_in_a_sentence(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"].items()
    assert [name for name, told in schemas if not is_sentence(told.get("description"))] == []


def test_every_parameter_and_header_is_described_in_a_sentence(document: dict[str, Any]) -> None:
    described = [(at, part) for at, part in parts(document) if "in" in part and "name" in part]
    described += document["components"]["headers"].items()
    assert len(described) > 40
    assert [at for at, told in described if not is_sentence(told.get("description"))] == []


def test_bodies_are_named_by_what_they_do(document: dict[str, Any]) -> None:
    assert [name for name in bodies(document) if not name.endswith(("Create", "Change"))] == []


def test_no_schema_has_the_name_of_a_constructor_or_of_a_test_file(document: dict[str, Any]) -> None:
    names = document["components"]["schemas"]
    assert [
        name for name in names if name.startswith("New") or name.endswith(("Test", "Body", "Document"))
    ] == []


def test_every_number_says_how_wide_it_is(document: dict[str, Any]) -> None:
    formats = {"integer": {"int32", "int64"}, "number": {"double"}}
    plain = [
        at
        for at, part in parts(document)
        if isinstance(part.get("type"), str)
        and part["type"] in formats
        and "const" not in part
        and part.get("format") not in formats[part["type"]]
    ]
    assert plain == []


def test_bytes_are_64_bits_wide(document: dict[str, Any]) -> None:
    [free, _] = document["components"]["schemas"]["DiskStatus"]["properties"]["free_bytes"]["anyOf"]
    assert free["format"] == "int64"


def test_no_body_has_a_default_and_no_default_is_an_object(document: dict[str, Any]) -> None:
    defaults = {at: told["default"] for at, told in properties(document) if "default" in told}
    assert {at for at in defaults if at.split("/")[-1].split(".")[0].endswith(("Create", "Change"))} == set()
    objects = [at for at, part in parts(document) if isinstance(part.get("default"), dict | list)]
    assert [at for at in objects if not at.endswith("/responses")] == []
    assert document["components"]["schemas"]["TaskCreate"]["required"] == ["type"]


def test_no_pattern_stands_beside_a_format(document: dict[str, Any]) -> None:
    both = [at for at, part in parts(document) if "pattern" in part and part.get("format") == "date-time"]
    assert both == []


def test_every_enum_is_a_component(document: dict[str, Any]) -> None:
    inline = [
        at
        for at, part in parts(document)
        if len(part.get("enum", ())) > 1 and not re.fullmatch(r"/components/schemas/\w+", at)
    ]
    assert inline == []


def test_a_list_that_is_open_is_text(document: dict[str, Any]) -> None:
    lists = {at: part for at, part in parts(document) if "x-extensible-enum" in part}
    for name in ("ProblemCode", "DeadReason", "EventName", "AttemptError", "TaskErrorCode"):
        assert lists[f"/components/schemas/{name}"]["type"] == "string"
    assert [at for at, part in lists.items() if "enum" in part or not part["x-extensible-enum"]] == []


def test_null_is_sent_only_in_a_patch(document: dict[str, Any]) -> None:
    nullable = [
        at
        for at, told in properties(document)
        if re.match(r"/\w+Create\b", at) and {"type": "null"} in told.get("anyOf", ())
    ]
    assert nullable == []
    change = document["components"]["schemas"]["EndpointChange"]["properties"]
    assert {"type": "null"} in change["rate_limit"]["anyOf"]


def test_a_call_that_takes_nothing_has_no_body(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert [name for name in bodies(document) if not schemas[name].get("properties")] == []
    assert "requestBody" not in document["paths"]["/v1/tasks/{id}/cancel"]["post"]


def test_every_operation_has_an_id_a_tag_and_an_answer_for_the_rest(document: dict[str, Any]) -> None:
    known = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for at, operation in operations(document):
        assert re.fullmatch(r"[a-z]+(?:[A-Z][a-z]*)+", operation["operationId"]), at
        assert set(operation["tags"]) <= known, at
        assert "default" in operation["responses"], at
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}


def test_webhooks_have_a_tag_and_ids_of_their_own(document: dict[str, Any]) -> None:
    webhooks = {event: item["post"] for event, item in document["webhooks"].items()}
    assert webhooks["task.failed"]["operationId"] == "receiveTaskFailed"
    assert {tag for one in webhooks.values() for tag in one["tags"]} == {"Webhooks"}


def test_a_header_is_required_unless_it_comes_to_some_only(document: dict[str, Any]) -> None:
    headers = document["components"]["headers"].items()
    optional = [name for name, told in headers if not told["required"]]
    assert optional == ["RateLimit", "RateLimit-Policy", "Idempotency-Replayed"]


def test_every_component_is_used(document: dict[str, Any]) -> None:
    used = {part["$ref"] for _, part in parts(document) if "$ref" in part}
    assert [
        f"{kind}/{name}"
        for kind, named in document["components"].items()
        for name in named
        if kind != "securitySchemes" and f"#/components/{kind}/{name}" not in used
    ] == []


def test_every_array_says_what_is_in_it(document: dict[str, Any]) -> None:
    arrays = [(at, part) for at, part in parts(document) if "array" in part.get("type", ())]
    assert len(arrays) > 40
    assert [at for at, part in arrays if "items" not in part] == []


def test_items_of_a_batch_are_typed_and_their_results_told_apart(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    items = schemas["TaskBatchCreate"]["properties"]["tasks"]["items"]
    assert items == {"$ref": "#/components/schemas/TaskCreate"}
    statuses = [schemas[name]["properties"]["status"]["const"] for name in ("AcceptedTask", "RefusedTask")]
    assert statuses == [202, 422]


def test_what_is_an_object_in_truth_is_one_in_the_description(document: dict[str, Any]) -> None:
    task = document["components"]["schemas"]["TaskCreate"]["properties"]
    assert task["input"]["type"] == task["metadata"]["type"] == "object"
    for name in ("TaskCreate", "EndpointCreate", "EndpointChange"):
        events = str(document["components"]["schemas"][name]["properties"]["events"])
        assert "#/components/schemas/EventPattern" in events


def test_what_is_for_admins_is_marked_and_left_out_for_partners() -> None:
    whole, partners = (made() for made in DOCUMENTS.values())
    marked = {at for at, operation in operations(whole) if operation.get("x-audience") == "admin"}
    assert marked == {f"{row.method} {row.path}" for row in ROUTES if row.access == ADMIN}
    assert {at for at, _ in operations(whole)} - marked == {at for at, _ in operations(partners)}
    assert [at for at, part in parts(partners) if part.get("x-audience") == "admin"] == []
    assert "partner" in whole["components"]["schemas"]["TaskCreate"]["properties"]
    assert "partner" not in partners["components"]["schemas"]["TaskCreate"]["properties"]
    named = {part["name"] for _, part in parts(partners) if "in" in part and "name" in part}
    assert "partner" not in named
    assert "PartnerCreate" not in partners["components"]["schemas"]
    assert "PartnerCreate" in whole["components"]["schemas"], "the whole one is left as it was"
