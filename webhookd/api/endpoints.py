"""Endpoints: registered callback URLs, their settings, their secrets, turning them on and off."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from webhookd.adapters import entropy
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.endpoints.endpoint_settings import (
    PacedEndpoint,
    change_endpoint,
    create_endpoint,
    get_endpoint,
    list_endpoints,
    lock_endpoint,
)
from webhookd.adapters.store.endpoints.endpoint_states import EndpointStates, Settled
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, makes, removes, shows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.endpoint_secrets import (
    EndpointRotatedDocument,
    EndpointWithSecretDocument,
    new_secrets,
    with_headers,
    with_schemes,
)
from webhookd.api.endpoint_wire import (
    EndpointChange,
    EndpointCreate,
    EndpointSecretCreate,
    with_settings,
)
from webhookd.api.owners import with_owner, with_owners, written_with_owner
from webhookd.api.wire import AdminListing, NoBody, NoQuery, cursor_of
from webhookd.core import ids
from webhookd.core.egress import check_url
from webhookd.core.errors import Conflict, FieldError, UrlNotAllowed
from webhookd.core.model import EndpointState
from webhookd.core.pacing import breaker_state
from webhookd.core.records import Endpoint
from webhookd.core.render import EndpointDocument, endpoint_document
from webhookd.core.times import to_rfc3339

Move = Callable[[EndpointStates, Tx, str, str | None, int], Settled | None]


async def create(call: Call[EndpointCreate, NoQuery]) -> Answer:
    """`POST /v1/endpoints`: the endpoint and its secret, shown this once."""
    partner = await call.acting_partner(call.body.partner)
    endpoint_id = entropy.new_id(ids.ENDPOINT, call.now_ms)
    plain = Endpoint(
        id=endpoint_id,
        partner_id=partner.id,
        url=_checked_url(call, call.body.url),
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
    )
    endpoint = with_headers(call, with_settings(plain, call.body), call.body)
    made = new_secrets(call, endpoint, endpoint.signature, brought=call.body.secret)
    endpoint = replace(endpoint, public_key=made.public_key)

    def effect(tx: Tx) -> Answer:
        create_endpoint(tx, endpoint)
        made.add(tx)
        call.audit(tx, "endpoint.create", endpoint.id, partner_id=partner.id)
        shown = _document(call, PacedEndpoint(endpoint=endpoint, pace=None))
        document: EndpointWithSecretDocument = {**shown, "secret": made.shown}
        return json_answer(
            201,
            written_with_owner(call, tx, endpoint, document),
            call.located(f"/v1/endpoints/{endpoint.id}"),
        )

    return await call.once(effect)


class EndpointListing(AdminListing):
    """`GET /v1/endpoints`."""

    cursor: str | None = cursor_of(ids.ENDPOINT)
    state: EndpointState | None = None
    """In this state only."""
    failing: bool | None = None
    """`true`: only those whose attempts have failed since their last success; `false`: only the others."""


async def page(call: Call[None, EndpointListing]) -> Answer:
    """`GET /v1/endpoints`."""
    rows, cursor = await call.read(
        list_endpoints,
        await call.narrowed(call.query.partner),
        call.query.page,
        state=call.query.state,
        failing=call.query.failing,
    )
    owned = [row.endpoint for row in rows]
    return page_answer(await with_owners(call, owned, [_document(call, row) for row in rows]), cursor)


async def show(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/endpoints/{id}`."""
    row = await call.named(get_endpoint, "endpoint")
    return json_answer(200, await with_owner(call, row.endpoint, _document(call, row)))


async def patch(call: Call[EndpointChange, NoQuery]) -> Answer:
    """`PATCH /v1/endpoints/{id}`: never id, partner or state."""
    body, endpoint_id = call.body, call.path_params["id"]
    url = _checked_url(call, body.url) if "url" in body.model_fields_set else None

    def effect(tx: Tx) -> Answer:
        def change(before: Endpoint) -> Endpoint:
            after = with_headers(call, with_settings(before, body), body)
            after = after if url is None else replace(after, url=url)
            return with_schemes(call, tx, before, after)

        row = found(change_endpoint(tx, endpoint_id, call.caller.partner_id, change, call.now_ms), "endpoint")
        detail = {"settings": sorted(body.model_fields_set)}
        call.audit(tx, "endpoint.change", endpoint_id, partner_id=row.endpoint.partner_id, detail=detail)
        return json_answer(200, written_with_owner(call, tx, row.endpoint, _document(call, row)))

    return await call.once(effect)


async def delete(call: Call[None, NoQuery]) -> Answer:
    """`DELETE /v1/endpoints/{id}`."""
    return await _move(call, "delete", EndpointStates.delete)


async def enable(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/endpoints/{id}/enable`."""
    return await _move(call, "enable", EndpointStates.enable)


async def disable(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/endpoints/{id}/disable`."""
    return await _move(call, "disable", EndpointStates.disable)


async def rotate_secret(call: Call[EndpointSecretCreate, NoQuery]) -> Answer:
    """`POST /v1/endpoints/{id}/rotate-secret`: the new secret, shown this once."""
    endpoint_id = call.path_params["id"]
    overlap_ms = round(call.body.overlap_seconds * 1000)

    def effect(tx: Tx) -> Answer:
        endpoint: Endpoint = found(lock_endpoint(tx, endpoint_id, call.caller.partner_id), "endpoint")
        if not secrets.make_way(
            tx, endpoint.partner_id, endpoint_id, now_ms=call.now_ms, overlap_ms=overlap_ms
        ):
            raise Conflict("Too many secrets sign for this endpoint; wait until an overlap ends.")
        made = new_secrets(call, endpoint, endpoint.signature, brought=call.body.secret)
        made.add(tx)
        row = found(
            change_endpoint(
                tx,
                endpoint_id,
                endpoint.partner_id,
                lambda before: replace(before, public_key=made.public_key),
                call.now_ms,
            ),
            "endpoint",
        )
        detail = {"overlap_seconds": call.body.overlap_seconds}
        call.audit(tx, "endpoint.rotate-secret", endpoint_id, partner_id=endpoint.partner_id, detail=detail)
        document: EndpointRotatedDocument = {
            **_document(call, row),
            "secret": made.shown,
            "previous_expires_at": to_rfc3339(call.now_ms + overlap_ms),
        }
        return json_answer(200, written_with_owner(call, tx, endpoint, document))

    return await call.once(effect)


async def _move(call: AnyCall, name: str, move: Move) -> Answer:
    """Make a move of state in one transaction, then let the rest of the deliveries follow."""
    endpoint_id, partner_id = call.path_params["id"], call.caller.partner_id
    endpoints = call.parts.store.endpoints
    first: list[Settled] = []

    def effect(tx: Tx) -> Answer:
        before = found(get_endpoint(tx, endpoint_id, partner_id), "endpoint")
        first.append(found(move(endpoints.states, tx, endpoint_id, partner_id, call.now_ms), "endpoint"))
        call.audit(tx, f"endpoint.{name}", endpoint_id, partner_id=before.endpoint.partner_id)
        after = get_endpoint(tx, endpoint_id, partner_id)
        if after is None:
            return Answer(status=204)
        return json_answer(200, written_with_owner(call, tx, after.endpoint, _document(call, after)))

    answer = await call.once(effect)
    if any(settled.more for settled in first):
        await endpoints.settle(endpoint_id, call.now_ms)
    return answer


def _checked_url(call: AnyCall, url: str) -> str:
    try:
        return check_url(url, call.parts.egress).url
    except UrlNotAllowed as refused:
        raise UrlNotAllowed(
            refused.detail, errors=[FieldError(path="$.url", message=refused.detail)]
        ) from None


def _document(call: AnyCall, row: PacedEndpoint) -> EndpointDocument:
    breaker = "closed" if row.pace is None else breaker_state(row.pace, call.now_ms)
    return endpoint_document(row.endpoint, breaker=breaker)


_WRITE: Final = "endpoints:write"
_READ: Final = "tasks:read"
_ONE: Final = "/v1/endpoints/{id}"

ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/endpoints",
        handler=create,
        id="createEndpoint",
        tag="Endpoints",
        summary="Register a callback URL",
        access=_WRITE,
        query=NoQuery,
        body=EndpointCreate,
        answers=makes(EndpointWithSecretDocument),
        conflicts=True,
    ),
    ApiRoute(
        method="GET",
        path="/v1/endpoints",
        handler=page,
        id="listEndpoints",
        tag="Endpoints",
        summary="List endpoints",
        access=_READ,
        query=EndpointListing,
        answers=lists(EndpointDocument),
    ),
    ApiRoute(
        method="GET",
        path=_ONE,
        path_example=example_ids.ENDPOINT_ID,
        handler=show,
        id="getEndpoint",
        tag="Endpoints",
        summary="Look at an endpoint",
        access=_READ,
        query=NoQuery,
        answers=shows(EndpointDocument),
    ),
    ApiRoute(
        method="PATCH",
        path=_ONE,
        path_example=example_ids.ENDPOINT_ID,
        handler=patch,
        id="changeEndpoint",
        tag="Endpoints",
        summary="Change an endpoint's settings",
        access=_WRITE,
        query=NoQuery,
        body=EndpointChange,
        answers={200: Returned(EndpointDocument, "The endpoint as it is now.")},
    ),
    ApiRoute(
        method="DELETE",
        path=_ONE,
        path_example=example_ids.ENDPOINT_ID,
        handler=delete,
        id="deleteEndpoint",
        tag="Endpoints",
        summary="Delete an endpoint; what waits for it is dead",
        access=_WRITE,
        query=NoQuery,
        answers=removes(),
    ),
    ApiRoute(
        method="POST",
        path=_ONE + "/rotate-secret",
        path_example=example_ids.ENDPOINT_ID,
        handler=rotate_secret,
        id="rotateEndpointSecret",
        tag="Endpoints",
        summary="Make a new secret; both sign until the overlap ends",
        access=_WRITE,
        query=NoQuery,
        body=EndpointSecretCreate,
        may_be_empty=True,
        answers={200: Returned(EndpointRotatedDocument, "The new secret, shown this once.")},
        conflicts=True,
    ),
    ApiRoute(
        method="POST",
        path=_ONE + "/enable",
        path_example=example_ids.ENDPOINT_ID,
        handler=enable,
        id="enableEndpoint",
        tag="Endpoints",
        summary="Enable an endpoint and release what is parked",
        access=_WRITE,
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers={200: Returned(EndpointDocument, "The endpoint as it is now.")},
    ),
    ApiRoute(
        method="POST",
        path=_ONE + "/disable",
        path_example=example_ids.ENDPOINT_ID,
        handler=disable,
        id="disableEndpoint",
        tag="Endpoints",
        summary="Disable an endpoint and park what waits",
        access=_WRITE,
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers={200: Returned(EndpointDocument, "The endpoint as it is now.")},
    ),
)
