"""Partners: made and changed by admins; each sees itself and rotates its own secret."""

from typing import Any, Final

from pydantic import Field, field_validator
from sqlalchemy import Connection

from webhookd.adapters import entropy
from webhookd.adapters.store import api_keys, secrets
from webhookd.adapters.store.partners import add_partner, change_partner, lock_partner
from webhookd.api import admin_documents, example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import ADMIN, ANY_KEY, AnyRoute, ApiRoute, Returned, makes, shows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.endpoint_wire import EndpointRotation
from webhookd.api.wire import Body, Listing, NoQuery, Query
from webhookd.core import ids
from webhookd.core.api_keys import PARTNER_PREFIX
from webhookd.core.errors import Conflict
from webhookd.core.model import SCOPES
from webhookd.core.records import ApiKey, Limits, Partner
from webhookd.core.times import to_rfc3339

DEFAULT_WEIGHT: Final = 1
SECRET_SCHEME: Final = "v1"


class LimitsBody(Body):
    """A partner's own limits; null, or left out at the making, is the service's default."""

    rate_per_second: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    burst: int | None = Field(None, ge=1, le=10_000_000)
    max_queued: int | None = Field(None, ge=0, le=1_000_000_000)


class NewPartner(Body):
    """`POST /v1/partners`."""

    name: str = Field(min_length=1, max_length=100)
    limits: LimitsBody = LimitsBody()
    weight: int = Field(DEFAULT_WEIGHT, ge=1, le=1_000)

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        return _checked_name(name)


class PartnerChange(Body):
    """`PATCH /v1/partners/{id}`: what is left out stays as it is."""

    name: str = Field("", min_length=1, max_length=100)
    limits: LimitsBody = LimitsBody()
    weight: int = Field(DEFAULT_WEIGHT, ge=1, le=1_000)
    suspended: bool = False

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        return _checked_name(name)


class Rotation(EndpointRotation):
    """`POST /v1/partner/rotate-secret`: as an endpoint's; an admin names the partner."""

    partner: str | None = None


class OnePartner(Query):
    """`partner=` says which, with an admin's key."""

    partner: str | None = None


def _checked_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be printable characters, without spaces around")
    return name


async def create_partner(call: Call[NewPartner, NoQuery]) -> Answer:
    """`POST /v1/partners`: the partner with its first key and its secret, both shown this once."""
    body, vault = call.body, call.parts.vault
    partner = Partner(
        id=entropy.new_id(ids.PARTNER, call.now_ms),
        name=body.name,
        weight=body.weight,
        limits=Limits(**body.limits.model_dump()),
        suspended=False,
        created_ms=call.now_ms,
    )
    key = entropy.new_api_key(PARTNER_PREFIX, call.now_ms)
    secret = entropy.new_signing_secret(SECRET_SCHEME)
    sealed = vault.seal(secret.encode(), partner=partner.id, endpoint=None, field=secrets.SECRET_FIELD)

    def effect(conn: Connection) -> Answer:
        add_partner(conn, partner)
        api_keys.add_key(
            conn,
            ApiKey(
                id=key.id,
                partner_id=partner.id,
                name="first",
                scopes=SCOPES,
                secret_hash=key.hash,
                created_ms=call.now_ms,
                expires_ms=None,
                revoked_ms=None,
            ),
        )
        secrets.add(conn, partner.id, None, scheme=SECRET_SCHEME, sealed=sealed, created_ms=call.now_ms)
        call.audit(conn, "partner.create", partner.id, partner_id=partner.id, detail={"name": partner.name})
        document = _document(call, partner)
        document |= {"key": key.text, "secret": secret}
        return json_answer(201, document, call.located(f"/v1/partners/{partner.id}"))

    return await call.once(effect)


async def list_partners(call: Call[None, Listing]) -> Answer:
    """`GET /v1/partners`."""
    partners, cursor = await call.read(call.parts.store.partners.list, call.query.page)
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

    def effect(conn: Connection) -> Answer:
        partner = found(change_partner(conn, partner_id, changes), "partner")
        detail = body.model_dump(exclude_unset=True)
        call.audit(conn, "partner.change", partner_id, partner_id=partner_id, detail=detail)
        return json_answer(200, _document(call, partner))

    return await call.once(effect)


async def show_own_partner(call: Call[None, OnePartner]) -> Answer:
    """`GET /v1/partner`."""
    partner = await call.acting_partner(call.query.partner, place="query")
    return json_answer(200, _document(call, partner))


async def rotate_secret(call: Call[Rotation, NoQuery]) -> Answer:
    """`POST /v1/partner/rotate-secret`: the new secret, shown this once."""
    partner = await call.acting_partner(call.body.partner)
    secret = entropy.new_signing_secret(SECRET_SCHEME)
    sealed = call.parts.vault.seal(
        secret.encode(), partner=partner.id, endpoint=None, field=secrets.SECRET_FIELD
    )
    overlap_ms = round(call.body.overlap_seconds * 1000)

    def effect(conn: Connection) -> Answer:
        lock_partner(conn, partner.id)
        if not secrets.make_way(conn, partner.id, None, now_ms=call.now_ms, overlap_ms=overlap_ms):
            raise Conflict("Too many secrets sign for this partner; wait until an overlap ends.")
        secrets.add(conn, partner.id, None, scheme=SECRET_SCHEME, sealed=sealed, created_ms=call.now_ms)
        detail = {"overlap_seconds": call.body.overlap_seconds}
        call.audit(conn, "partner.rotate-secret", partner.id, partner_id=partner.id, detail=detail)
        previous_expires_at = to_rfc3339(call.now_ms + overlap_ms)
        document = {"id": partner.id, "secret": secret, "previous_expires_at": previous_expires_at}
        return json_answer(200, document)

    return await call.once(effect)


def _document(call: AnyCall, partner: Partner) -> dict[str, Any]:
    """The Partner; `limits` are those in force, its own or the service's."""
    limits = call.parts.submit.limits(partner)
    return {
        "id": partner.id,
        "name": partner.name,
        "weight": partner.weight,
        "limits": {
            "rate_per_second": limits.rate_per_second,
            "burst": limits.burst,
            "max_queued": limits.max_queued,
        },
        "suspended": partner.suspended,
        "created_at": to_rfc3339(partner.created_ms),
    }


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
        body=NewPartner,
        answers=makes(admin_documents.NewPartnerSecrets),
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
        query=Listing,
        answers=shows(admin_documents.PartnerPage),
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
        answers=shows(admin_documents.Partner),
    ),
    ApiRoute(
        method="PATCH",
        path="/v1/partners/{id}",
        path_example=example_ids.PARTNER_ID,
        handler=patch_partner,
        id="changePartner",
        tag="Partners",
        summary="Change a partner's limits or weight, suspend it",
        access=ADMIN,
        query=NoQuery,
        body=PartnerChange,
        answers=shows(admin_documents.Partner),
        conflicts=True,
    ),
    ApiRoute(
        method="GET",
        path="/v1/partner",
        handler=show_own_partner,
        id="getOwnPartner",
        tag="Partners",
        summary="Look at the partner this key belongs to",
        access=ANY_KEY,
        query=OnePartner,
        answers=shows(admin_documents.Partner),
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
        body=Rotation,
        may_be_empty=True,
        answers={200: Returned(admin_documents.RotatedPartnerSecret, "The new secret, shown this once.")},
        conflicts=True,
    ),
)
