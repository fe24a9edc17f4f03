"""`GET /openapi.json`: an OpenAPI 3.1 description made from the routes and the wire models.

Nothing is described twice: parameters, bodies and keys are the routes' own, and the refusals of a call
follow from what it takes. Webhooks come as `webhooks`, and as the callback of a submission.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import webhookd
from webhookd.api.answers import JSON
from webhookd.api.api_route import ADMIN, ANY_KEY, OPEN, AnyRoute, Returned
from webhookd.api.description.examples import examples
from webhookd.api.description.fixed_parts import (
    COMMON_HEADERS,
    DESCRIPTION,
    HEADER_PARAMETERS,
    PROBLEMS,
    RESPONSE_HEADERS,
    SECURITY_SCHEME,
    TAGS,
    WEBHOOK_ANSWERS,
    WEBHOOK_HEADERS,
)
from webhookd.api.description.schemas import ADMINS, AUDIENCE, Schemas, used_schemas
from webhookd.api.example_ids import TRACE_ID
from webhookd.api.problems import PROBLEM, ProblemDocument
from webhookd.api.wire import NoBody
from webhookd.core.files import OCTETS
from webhookd.core.model import (
    BATCH_COMPLETED,
    FINAL_EVENTS,
    TEST_EVENT,
    TRANSIENT_EVENTS,
)
from webhookd.core.render import event as sent

Json = dict[str, Any]

KEY: Final = "key"
ANY_PROBLEM: Final = "Problem"
WEBHOOK_TAG: Final = "Webhooks"
_PATH_TEXTS: Final = {"id": "Its id.", "name": "Its name."}
PATH_VALUE: Final = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"}

WEBHOOKS: Final[Mapping[str, tuple[Any, str]]] = {
    **dict.fromkeys(FINAL_EVENTS, (sent.TaskEventDocument, "A task has ended.")),
    **dict.fromkeys(TRANSIENT_EVENTS, (sent.TaskEventDocument, "A task goes on. Sent once, never retried.")),
    BATCH_COMPLETED: (sent.BatchEventDocument, "All tasks of a closed batch have ended."),
    "endpoint.failing": (sent.EndpointFailingEventDocument, "Another endpoint had no success for a while."),
    "endpoint.recovered": (sent.EndpointRecoveredEventDocument, "Another endpoint takes deliveries again."),
    "endpoint.disabled": (sent.EndpointDisabledEventDocument, "Another endpoint was disabled."),
    "delivery.dead": (sent.DeliveryDeadEventDocument, "Deliveries to another endpoint are dead."),
    TEST_EVENT: (sent.EndpointTestEventDocument, "Somebody asked for a test of this endpoint."),
}


def openapi_document(rows: Iterable[AnyRoute], *, base_url: str) -> Json:
    """Return the description of these routes; `base_url` is where they are served."""
    rows = tuple(rows)
    schemas = Schemas(_types(rows), examples=examples())
    paths: dict[str, Json] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schemas)
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": "webhookd", "version": webhookd.__version__, "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{KEY: []}],
        "paths": paths,
        "webhooks": {
            event: {"post": _webhook(event, model, text, schemas)}
            for event, (model, text) in WEBHOOKS.items()
        },
        "components": {
            "responses": {
                ANY_PROBLEM: _any_problem(schemas),
                **{problem.name: _problem_response(schemas, status) for status, problem in PROBLEMS.items()},
            },
            "parameters": HEADER_PARAMETERS,
            "headers": {
                name: {"required": name not in _SOMETIMES, **told} for name, told in RESPONSE_HEADERS.items()
            },
            "securitySchemes": {KEY: SECURITY_SCHEME},
        },
    }
    document["components"]["schemas"] = used_schemas(document, schemas.components)
    return document


def _types(rows: Iterable[AnyRoute]) -> Iterable[Any]:
    yield ProblemDocument
    for row in rows:
        yield row.query
        if _described_body(row) is not None:
            yield row.body
        for returned in row.answers.values():
            if returned.document is not None:
                yield returned.document
    for model, _ in WEBHOOKS.values():
        yield model


def _operation(row: AnyRoute, schemas: Schemas) -> Json:
    responses = {str(status): _response(row, returned, schemas) for status, returned in row.answers.items()}
    for status in _refusals(row):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{PROBLEMS[status].name}"})
    responses = dict(sorted(responses.items())) | {
        "default": {"$ref": f"#/components/responses/{ANY_PROBLEM}"}
    }
    operation: Json = {
        "operationId": row.id,
        "tags": [row.tag],
        "summary": row.summary,
        "description": _who_may(row.access),
        "parameters": [*_parameters(row, schemas)],
        "responses": responses,
    }
    if row.access == ADMIN:
        operation[AUDIENCE] = ADMINS
    if (body := _described_body(row)) is not None:
        operation["requestBody"] = {
            "required": not row.may_be_empty,
            "content": {JSON: {"schema": schemas.refs[body]}},
        }
    if row.streams:
        operation["requestBody"] = {
            "required": True,
            "description": f"It is {row.streams}.",
            "content": {OCTETS: {"schema": {"type": "string", "contentMediaType": OCTETS}}},
        }
    if row.access == OPEN:
        operation["security"] = []
    elif row.access not in (ANY_KEY, ADMIN):
        operation["security"] = [{KEY: [row.access]}]
    if row.id == "submitTask":
        model, text = WEBHOOKS[FINAL_EVENTS[0]]
        operation["callbacks"] = {
            "taskEnded": {
                "{$request.body#/callback_url}": {"post": _webhook("task.callback", model, text, schemas)}
            }
        }
    return operation


def _described_body(row: AnyRoute) -> Any:
    """Return the model of the body, None where there is nothing to be said in it."""
    return None if row.body is NoBody else row.body


def _who_may(access: str) -> str:
    match access:
        case "open":
            return "No key is needed."
        case "admin":
            return "Needs an admin's key."
        case "any key":
            return "Any key will do."
        case scope:
            return f"Needs the scope `{scope}`, which an admin's key has too."


def _parameters(row: AnyRoute, schemas: Schemas) -> Iterable[Json]:
    for name in ("id", "name"):
        if f"{{{name}}}" in row.path:
            where = {"name": name, "in": "path", "required": True}
            told = _PATH_TEXTS[name]
            yield {**where, "description": told, "schema": PATH_VALUE, "example": row.path_example}
    for name, schema in schemas.parameters(row.query):
        about = {key: value for key, value in schema.items() if key in ("description", AUDIENCE)}
        rest = {key: value for key, value in schema.items() if key not in about}
        yield {"name": name, "in": "query", "required": False, **about, "schema": rest}
    names = (*row.headers, "Idempotency-Key") if row.method == "POST" else row.headers
    for header in names:
        yield {"$ref": f"#/components/parameters/{header}"}


def _refusals(row: AnyRoute) -> Iterable[int]:
    """Yield the statuses of the problems a call may answer with."""
    if row.access != OPEN:
        yield from (401, 403, 429)
    if "{" in row.path:
        yield 404
    if row.body is not None:
        yield from (400, 408, 413, 415)
    if row.streams:
        yield from (408, 413, 415)
    if "Range" in row.headers:
        yield 416
    if row.conflicts:
        yield 409
    yield from (422, 500, 503)


def _response(row: AnyRoute, returned: Returned, schemas: Schemas) -> Json:
    response: Json = {
        "description": returned.meaning,
        "headers": _headers([*returned.headers, *COMMON_HEADERS], [*returned.perhaps, *_perhaps(row)]),
    }
    if returned.media is not None:
        if returned.document is not None:
            schema = schemas.refs[returned.document]
        else:
            schema = {"type": "object"} if returned.media == JSON else {"type": "string"}
        response["content"] = {returned.media: {"schema": schema}}
    return response


_SOMETIMES: Final = ("RateLimit", "RateLimit-Policy", "Idempotency-Replayed")


def _perhaps(row: AnyRoute) -> Iterable[str]:
    """Yield the headers that an answer has for some callers and calls."""
    if row.access != OPEN:
        yield from ("RateLimit", "RateLimit-Policy")
    if row.method == "POST":
        yield "Idempotency-Replayed"


def _headers(always: Iterable[str], perhaps: Iterable[str] = ()) -> Json:
    """Return the headers of an answer; of what some answers always have, an option is no component."""
    shared = [*always, *(name for name in perhaps if name in _SOMETIMES)]
    return {
        **{name: {"$ref": f"#/components/headers/{name}"} for name in shared},
        **{name: {**RESPONSE_HEADERS[name], "required": False} for name in perhaps if name not in shared},
    }


def _any_problem(schemas: Schemas) -> Json:
    return {
        "description": "Any other problem.",
        "headers": _headers(COMMON_HEADERS),
        "content": {PROBLEM: {"schema": schemas.refs[ProblemDocument]}},
    }


def _problem_response(schemas: Schemas, status: int) -> Json:
    told = PROBLEMS[status]
    error = told.errors[0]
    example = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": told.meaning,
        "code": error.code,
        "trace_id": TRACE_ID,
    }
    codes = " or ".join(f"`{one.code}`" for one in told.errors)
    return {
        "description": f"{told.meaning} (code {codes})",
        "headers": _headers([*told.headers, *COMMON_HEADERS]),
        "content": {PROBLEM: {"schema": schemas.refs[ProblemDocument], "example": example}},
    }


def _webhook(event: str, model: Any, text: str, schemas: Schemas) -> Json:
    example = {**schemas.of(model)["examples"][0]}
    if event in FINAL_EVENTS or event in TRANSIENT_EVENTS:
        example["type"] = event
    return {
        "operationId": "receive" + "".join(word.capitalize() for word in event.split(".")),
        "tags": [WEBHOOK_TAG],
        "summary": text,
        "description": "Standard Webhooks 1.0.0: signed is `id.timestamp.body`, exactly the bytes sent.",
        "security": [],
        "parameters": [*WEBHOOK_HEADERS],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": schemas.refs[model], "example": example}},
        },
        "responses": dict(WEBHOOK_ANSWERS),
    }
