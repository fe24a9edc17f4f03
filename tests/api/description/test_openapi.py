"""The OpenAPI document: valid, complete, and with examples that hold."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from tests.support.description import description
from tests.support.strict import strictly
from webhookd.api.api_route import ADMIN, ANY_KEY, OPEN
from webhookd.api.app import ROUTES
from webhookd.api.description.examples import examples
from webhookd.api.description.fixed_parts import PROBLEMS
from webhookd.api.description.openapi import WEBHOOKS
from webhookd.api.description.page import CONTENT_SECURITY_POLICY, page
from webhookd.api.wire import NoBody
from webhookd.core import errors
from webhookd.core.model import SCOPES, SUBSCRIBABLE_EVENTS, TEST_EVENT


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return description()


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator for a schema that refers to the document's components."""
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": document["components"]}, validate_formats=True
    )


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_document_satisfies_the_meta_schema_of_openapi_3_1(document: dict[str, Any]) -> None:
    from schemathesis.specs.openapi.definitions import OPENAPI_31

    jsonschema_rs.Draft202012Validator(OPENAPI_31).validate(document)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.Draft202012Validator(OPENAPI_31).validate({**document, "paths": {"no-slash": {}}})


def test_every_schema_is_a_json_schema(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert "__" not in name, "two models share a name"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def look(part: Any) -> None:
        if isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str):
                found: Any = document
                for step in reference.removeprefix("#/").split("/"):
                    found = found[step]
            for value in part.values():
                look(value)
        elif isinstance(part, list):
            for value in part:
                look(value)

    look(document)


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    routes = {(row.method, row.path) for row in ROUTES}
    assert {(method, path) for method, path, _ in operations(document)} == routes
    assert len(routes) == len(ROUTES)


def test_operation_ids_are_unique_and_every_group_is_known(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+[A-Za-z]+", one) for one in ids)
    known = {tag["name"] for tag in document["tags"]}
    assert {tag for _, _, operation in operations(document) for tag in operation["tags"]} == known - {
        "Webhooks"
    }


def test_every_parameter_and_body_of_a_route_is_described(document: dict[str, Any]) -> None:
    for row in ROUTES:
        operation = document["paths"][row.path][row.method.lower()]
        named = {parameter.get("name") for parameter in operation["parameters"]}
        asked = {field.alias or name for name, field in row.query.model_fields.items()}
        assert named >= asked | set(re.findall(r"\{(\w+)\}", row.path))
        assert ("requestBody" in operation) == (row.body not in (None, NoBody) or bool(row.streams))
        assert row.access not in SCOPES or operation["security"] == [{"key": [row.access]}]
        assert (operation.get("security") == []) == (row.access == OPEN)
        assert row.access in {*SCOPES, ADMIN, ANY_KEY, OPEN}


def test_every_body_in_and_out_has_an_example_that_holds(document: dict[str, Any]) -> None:
    contents = []
    for _, _, operation in operations(document):
        contents += operation.get("requestBody", {}).get("content", {}).values()
        for response in operation["responses"].values():
            contents += response.get("content", {}).values()
    for item in document["webhooks"].values():
        contents += item["post"]["requestBody"]["content"].values()
    named = [content["schema"] for content in contents if "$ref" in content["schema"]]
    for schema in named:
        found = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        assert found["examples"], schema
    for content in [*contents, *(r["content"] for r in document["components"]["responses"].values())]:
        if "example" in content:
            validator(document, content["schema"]).validate(content["example"])


def test_examples_hold(document: dict[str, Any]) -> None:
    checked = 0
    for schema in document["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            validator(document, schema).validate(example)
            checked += 1
    assert checked >= len(examples())
    for kind, example in examples().items():
        strictly(kind).validate_json(json.dumps([example]))
    for _, _, operation in operations(document):
        for parameter in operation["parameters"]:
            if "example" in parameter:
                validator(document, parameter["schema"]).validate(parameter["example"])


def test_wrong_documents_are_noticed(document: dict[str, Any]) -> None:
    task = document["components"]["schemas"]["Task"]
    [example] = task["examples"]
    for change in ({"state": "asleep"}, {"created_at": "yesterday"}, {"id": "task_1"}, {"attempts": -1}):
        assert not validator(document, task).is_valid({**example, **change})
    assert validator(document, task).is_valid({**example, "new_field": 1}), "readers must bear new fields"
    assert not validator(document, task).is_valid({**example, "deliveries": None})


def test_every_event_is_among_the_webhooks(document: dict[str, Any]) -> None:
    events = {*SUBSCRIBABLE_EVENTS, TEST_EVENT} - {"task.*"}
    assert set(document["webhooks"]) == events == set(WEBHOOKS)
    for event, item in document["webhooks"].items():
        [content] = item["post"]["requestBody"]["content"].values()
        assert content["example"]["type"] == event


def test_submission_has_its_webhook_as_a_callback(document: dict[str, Any]) -> None:
    callbacks = document["paths"]["/v1/tasks"]["post"]["callbacks"]
    assert list(callbacks["taskEnded"]) == ["{$request.body#/callback_url}"]


def test_every_error_a_caller_can_meet_is_described() -> None:
    known = {error for kind in PROBLEMS.values() for error in kind.errors}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.ClientError | errors.ServiceError):
            # 405 belongs to no operation: the method is not there.
            assert error in known | {errors.ClientError, errors.MethodNotAllowed}
    assert all(error.status == status for status, kind in PROBLEMS.items() for error in kind.errors)


def test_titles_and_null_defaults_do_not_clutter_the_schemas(document: dict[str, Any]) -> None:
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["properties"]["title"]) == {"type", "description"}
    body = document["components"]["schemas"]["TaskCreate"]["properties"]
    assert "default" not in body["callback_url"]
    assert {key: body["run_at"][key] for key in ("type", "format")} == {
        "type": "string",
        "format": "date-time",
    }


def test_page_has_nothing_inline_and_is_below_any_prefix() -> None:
    made = page()
    assert re.findall(r"<script(?![^>]* src=)|<style| on\w+=| style=", made) == []
    links = re.findall(r'(?:src|href)="([^"]*)"', made)
    assert {link.partition("?")[0] for link in links} == {
        "docs/swagger-ui.css",
        "docs/swagger-ui-bundle.js",
        "docs/start.js",
        "openapi.json",
        "data:,",
    }
    assert "unsafe" not in CONTENT_SECURITY_POLICY
