"""Partners: made and changed by admins; each sees itself and rotates its own secret."""

from typing import Final

from webhookd.adapters import entropy
from webhookd.adapters.store.access import api_keys
from webhookd.adapters.store.access.partner_use import read_use
from webhookd.adapters.store.access.partners import add_partner, change_partner, lock_partner, read_partners
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.rows import names_json
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import ADMIN, ANY_KEY, AnyRoute, ApiRoute, Returned, lists, makes, shows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.partner_wire import (
    OnePartner,
    OwnPartnerDocument,
    PartnerChange,
    PartnerCreate,
    PartnerDocument,
    PartnerRotatedDocument,
    PartnerSecretCreate,
    PartnerWithSecretsDocument,
    own_partner_document,
    partner_document,
)
from webhookd.api.wire import ListingQuery, NoQuery, cursor_of
from webhookd.core import ids
from webhookd.core.api_keys import PARTNER_PREFIX, first_key_name
from webhookd.core.errors import Conflict
from webhookd.core.model import SCOPES, USUAL_SCOPES
from webhookd.core.records import ApiKey, Limits, Partner
from webhookd.core.times import to_rfc3339

SECRET_SCHEME: Final = "v1"


async def create_partner(call: Call[PartnerCreate, NoQuery]) -> Answer:
    """`POST /v1/partners`: the partner with its first key and its secret, both shown this once."""
    body, vault = call.body, call.parts.vault
    partner = Partner(
        id=entropy.new_id(ids.PARTNER, call.now_ms),
        name=body.name,
        weight=body.weight,
        limits=Limits(**body.limits.model_dump()),
        suspended=False,
        created_ms=call.now_ms,
        task_types=tuple(body.task_types),
    )
    key = entropy.new_api_key(PARTNER_PREFIX, call.now_ms)
    secret = entropy.new_signing_secret(SECRET_SCHEME)
    sealed = vault.seal(secret.encode(), partner=partner.id, endpoint=None, field=secrets.SECRET_FIELD)

    def effect(tx: Tx) -> Answer:
        add_partner(tx, partner)
        api_keys.add_key(
            tx,
            ApiKey(
                id=key.id,
                partner_id=partner.id,
                name=first_key_name(partner.name),
                scopes=USUAL_SCOPES,
                secret_hash=key.hash,
                created_ms=call.now_ms,
                expires_ms=None,
                revoked_ms=None,
            ),
        )
        secrets.add(tx, partner.id, None, scheme=SECRET_SCHEME, sealed=sealed, created_ms=call.now_ms)
        call.audit(tx, "partner.create", partner.id, partner_id=partner.id, detail={"name": partner.name})
        document: PartnerWithSecretsDocument = {
            **_document(call, partner),
            "key": key.text,
            "secret": secret,
        }
        return json_answer(201, document, call.located(f"/v1/partners/{partner.id}"))

    return await call.once(effect)


class PartnerListing(ListingQuery):
    """`GET /v1/partners`."""

    cursor: str | None = cursor_of(ids.PARTNER)


async def list_partners(call: Call[None, PartnerListing]) -> Answer:
    """`GET /v1/partners`."""
    partners, cursor = await call.read(read_partners, call.query.page)
    return page_answer([_document(call, partner) for partner in partners], cursor)


async def show_partner(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/partners/{id}`."""
    partner = found(await call.parts.store.partners.get(call.path_params["id"]), "partner")
    return json_answer(200, _document(call, partner))


async def patch_partner(call: Call[PartnerChange, NoQuery]) -> Answer:
    """`PATCH /v1/partners/{id}`."""
    body, partner_id = call.body, call.path_params["id"]
    given = body.model_fields_set
    changes: dict[str, object] = {name: getattr(body, name) for name in ("name", "weight") if name in given}
    if "limits" in given:
        changes |= {name: getattr(body.limits, name) for name in body.limits.model_fields_set}
    if "suspended" in given:
        changes["suspended_ms"] = call.now_ms if body.suspended else None
    if "task_types" in given:
        changes["task_types"] = names_json(tuple(body.task_types or ()))

    def effect(tx: Tx) -> Answer:
        partner = found(change_partner(tx, partner_id, changes), "partner")
        detail = body.model_dump(exclude_unset=True)
        call.audit(tx, "partner.change", partner_id, partner_id=partner_id, detail=detail)
        return json_answer(200, _document(call, partner))

    return await call.once_for_keys(effect)


async def show_own_partner(call: Call[None, OnePartner]) -> Answer:
    """`GET /v1/partner`."""
    partner = await call.acting_partner(call.query.partner, place="query")
    use = await call.read(read_use, partner.id)
    scopes = SCOPES if call.caller.is_admin else call.caller.scopes
    most = call.parts.options.partner_max_file_bytes
    return json_answer(
        200, own_partner_document(_document(call, partner), use, scopes, max_stored_bytes=most)
    )


async def rotate_secret(call: Call[PartnerSecretCreate, NoQuery]) -> Answer:
    """`POST /v1/partner/rotate-secret`: the new secret, shown this once."""
    partner = await call.acting_partner(call.body.partner)
    secret = call.body.secret or entropy.new_signing_secret(SECRET_SCHEME)
    sealed = call.parts.vault.seal(
        secret.encode(), partner=partner.id, endpoint=None, field=secrets.SECRET_FIELD
    )
    overlap_ms = round(call.body.overlap_seconds * 1000)

    def effect(tx: Tx) -> Answer:
        lock_partner(tx, partner.id)
        if not secrets.make_way(tx, partner.id, None, now_ms=call.now_ms, overlap_ms=overlap_ms):
            raise Conflict("Too many secrets sign for this partner; wait until an overlap ends.")
        secrets.add(tx, partner.id, None, scheme=SECRET_SCHEME, sealed=sealed, created_ms=call.now_ms)
        detail = {"overlap_seconds": call.body.overlap_seconds}
        call.audit(tx, "partner.rotate-secret", partner.id, partner_id=partner.id, detail=detail)
        previous_expires_at = to_rfc3339(call.now_ms + overlap_ms)
        document: PartnerRotatedDocument = {
            "id": partner.id,
            "secret": secret,
            "previous_expires_at": previous_expires_at,
        }
        return json_answer(200, document)

    return await call.once(effect)


def _document(call: AnyCall, partner: Partner) -> PartnerDocument:
    return partner_document(partner, call.parts.submit.limits(partner))


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/partners",
        handler=create_partner,
        id="createPartner",
        tag="Partners",
        summary="Make a partner",
        access=ADMIN,
        query=NoQuery,
        body=PartnerCreate,
        answers=makes(PartnerWithSecretsDocument),
        conflicts=True,
    ),
    ApiRoute(
        method="GET",
        path="/v1/partners",
        handler=list_partners,
        id="listPartners",
        tag="Partners",
        summary="List partners",
        access=ADMIN,
        query=PartnerListing,
        answers=lists(PartnerDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/partners/{id}",
        path_example=example_ids.PARTNER_ID,
        handler=show_partner,
        id="getPartner",
        tag="Partners",
        summary="Look at a partner",
        access=ADMIN,
        query=NoQuery,
        answers=shows(PartnerDocument),
    ),
    ApiRoute(
        method="PATCH",
        path="/v1/partners/{id}",
        path_example=example_ids.PARTNER_ID,
        handler=patch_partner,
        id="changePartner",
        tag="Partners",
        summary="Change a partner's limits, weight or task types, suspend it",
        access=ADMIN,
        query=NoQuery,
        body=PartnerChange,
        answers=shows(PartnerDocument),
        conflicts=True,
    ),
    ApiRoute(
        method="GET",
        path="/v1/partner",
        handler=show_own_partner,
        id="getOwnPartner",
        tag="Partners",
        summary="Look at the partner this key belongs to: limits, use, and what the key may do",
        access=ANY_KEY,
        query=OnePartner,
        answers=shows(OwnPartnerDocument),
    ),
    ApiRoute(
        method="POST",
        path="/v1/partner/rotate-secret",
        handler=rotate_secret,
        id="rotatePartnerSecret",
        tag="Partners",
        summary="Make a new signing secret; both sign until the overlap ends",
        access="endpoints:write",
        query=NoQuery,
        body=PartnerSecretCreate,
        may_be_empty=True,
        answers={200: Returned(PartnerRotatedDocument, "The new secret, shown this once.")},
        conflicts=True,
    ),
)
