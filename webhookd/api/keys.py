"""API keys, for admins: several live ones a partner, each with its scopes and perhaps an end."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from webhookd.adapters import entropy
from webhookd.adapters.store.api_keys import add_key, revoke_key
from webhookd.adapters.store.partners import read_partner
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, Returned, lists, removes
from webhookd.api.call import Call, found
from webhookd.api.wire import Create, Listing, NoQuery, Time, unknown_or_wrong
from webhookd.core.api_keys import PARTNER_PREFIX
from webhookd.core.fields import DescribedAs, Scope, ScopeName, Timestamp
from webhookd.core.model import SCOPES
from webhookd.core.records import ApiKey
from webhookd.core.times import opt_rfc3339, to_rfc3339


def _known_scope(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError(f"must be one of {', '.join(SCOPES)}")
    return scope


class KeyCreate(Create):
    """A key to be made."""

    name: str = Field("", max_length=100)
    """What it is called; nothing if left out."""
    scopes: list[Annotated[str, AfterValidator(_known_scope), DescribedAs(Scope)]] = Field(
        list(SCOPES), min_length=1
    )
    """What it may do; everything if left out."""
    expires_at: Time | None = None
    """When it expires; never if left out."""


class KeyDocument(TypedDict):
    """An API key, without its text."""

    id: str
    """The key's id, for good."""
    partner: str | None
    """The id of the partner it belongs to; null for an admin's."""
    name: str
    """What it is called."""
    scopes: list[ScopeName]
    """What it may do."""
    created_at: Timestamp
    """When it was made."""
    expires_at: Timestamp | None
    """When it expires; null: never."""
    revoked_at: Timestamp | None
    """When it was revoked; null where it was not."""


class KeyWithTextDocument(KeyDocument):
    """The key with its text."""

    key: Annotated[str, Field(pattern="^whk_")]
    """What is sent as `Authorization: Bearer`, shown this once."""


async def create_key(call: Call[KeyCreate, NoQuery]) -> Answer:
    """`POST /v1/partners/{id}/keys`: the key, shown this once."""
    body, partner_id = call.body, call.path_params["id"]
    if body.expires_at is not None and body.expires_at <= call.now_ms:
        raise unknown_or_wrong("body", "expires_at", "has passed")
    made = entropy.new_api_key(PARTNER_PREFIX, call.now_ms)
    key = ApiKey(
        id=made.id,
        partner_id=partner_id,
        name=body.name,
        scopes=tuple(dict.fromkeys(body.scopes)),
        secret_hash=made.hash,
        created_ms=call.now_ms,
        expires_ms=body.expires_at,
        revoked_ms=None,
    )

    def effect(tx: Tx) -> Answer:
        found(read_partner(tx, partner_id), "partner")
        add_key(tx, key)
        call.audit(tx, "key.create", key.id, partner_id=partner_id, detail={"scopes": list(key.scopes)})
        document: KeyWithTextDocument = {**key_document(key), "key": made.text}
        return json_answer(201, document)

    return await call.once(effect)


async def list_keys(call: Call[None, Listing]) -> Answer:
    """`GET /v1/partners/{id}/keys`: revoked and expired ones too."""
    partner_id = call.path_params["id"]
    found(await call.parts.store.partners.get(partner_id), "partner")
    keys, cursor = await call.read(call.parts.store.keys.list, partner_id, call.query.page)
    return page_answer([key_document(key) for key in keys], cursor)


async def delete_key(call: Call[None, NoQuery]) -> Answer:
    """`DELETE /v1/keys/{id}`: revokes it for good, everywhere within a few seconds."""
    key_id = call.path_params["id"]

    def effect(tx: Tx) -> Answer:
        key = found(revoke_key(tx, key_id, now_ms=call.now_ms), "key")
        call.audit(tx, "key.revoke", key_id, partner_id=key.partner_id)
        return Answer(status=204)

    return await call.once(effect)


def key_document(key: ApiKey) -> KeyDocument:
    """Return the Key of the API."""
    return {
        "id": key.id,
        "partner": key.partner_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created_at": to_rfc3339(key.created_ms),
        "expires_at": opt_rfc3339(key.expires_ms),
        "revoked_at": opt_rfc3339(key.revoked_ms),
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/partners/{id}/keys",
        path_example=example_ids.PARTNER_ID,
        handler=create_key,
        id="createKey",
        tag="Partners",
        summary="Make an API key",
        access=ADMIN,
        query=NoQuery,
        body=KeyCreate,
        may_be_empty=True,
        answers={201: Returned(KeyWithTextDocument, "The key, shown this once.")},
    ),
    ApiRoute(
        method="GET",
        path="/v1/partners/{id}/keys",
        path_example=example_ids.PARTNER_ID,
        handler=list_keys,
        id="listKeys",
        tag="Partners",
        summary="List a partner's keys",
        access=ADMIN,
        query=Listing,
        answers=lists(KeyDocument),
    ),
    ApiRoute(
        method="DELETE",
        path="/v1/keys/{id}",
        path_example=example_ids.KEY_ID,
        handler=delete_key,
        id="revokeKey",
        tag="Partners",
        summary="Revoke a key for good",
        access=ADMIN,
        query=NoQuery,
        answers=removes(),
    ),
)
