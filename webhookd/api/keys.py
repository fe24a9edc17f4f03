"""API keys of partners: several live ones each, with their scopes and perhaps an end.

Admins make them for anybody; a partner's key with the scope `keys:write` makes more of its partner's.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from webhookd.adapters import entropy
from webhookd.adapters.store.access.api_keys import (
    add_key,
    read_key,
    read_keys,
    read_partners_keys,
    revoke_key,
)
from webhookd.adapters.store.access.partners import read_partner
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, Returned, lists, removes, shows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.caller import OPERATOR
from webhookd.api.wire import AdminListing, Create, ListingQuery, NoQuery, Time, cursor_of, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.api_keys import PARTNER_PREFIX
from webhookd.core.errors import Forbidden, NotFound
from webhookd.core.fields import DescribedAs, Scope, ScopeName, Timestamp
from webhookd.core.model import SCOPES, USUAL_SCOPES
from webhookd.core.records import ApiKey
from webhookd.core.times import opt_rfc3339, to_rfc3339

KEYS: Final = "keys:write"
"""The scope a partner manages its own keys with."""


def _known_scope(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError(f"must be one of {', '.join(SCOPES)}")
    return scope


def _key_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be printable characters, without spaces around")
    if name.startswith((f"{OPERATOR}@", f"{ids.KEY}_")):
        raise ValueError(f"must not begin with {OPERATOR}@ or {ids.KEY}_, which name others in the audit log")
    return name


KeyName = Annotated[str, Field(max_length=100), AfterValidator(_key_name)]
"""What a key is called, in the audit log too."""


class KeyCreate(Create):
    """A key to be made."""

    name: KeyName = ""
    """What it is called; nothing if left out."""
    scopes: list[Annotated[str, AfterValidator(_known_scope), DescribedAs(Scope)]] = Field(
        list(USUAL_SCOPES), min_length=1
    )
    """What it may do; everything but `keys:write` if left out, and no more than the key that makes it."""
    expires_at: Time | None = None
    """When it expires; never if left out."""


class OwnKeyCreate(KeyCreate):
    """A key of the caller's own partner to be made."""

    partner: str | None = None
    """For admins: whose key, by the partner's id."""


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
    last_used_at: Timestamp | None
    """When it was last used, to a minute; null: never."""


class KeyWithTextDocument(KeyDocument):
    """The key with its text."""

    key: Annotated[str, Field(pattern="^whk_")]
    """What is sent as `Authorization: Bearer`, shown this once."""


async def create_key(call: Call[KeyCreate, NoQuery]) -> Answer:
    """`POST /v1/partners/{id}/keys`: the key, shown this once."""
    return await _create(call, call.path_params["id"], call.body.scopes)


async def create_own_key(call: Call[OwnKeyCreate, NoQuery]) -> Answer:
    """`POST /v1/keys`: the key, shown this once. Raises Forbidden for a scope that the caller lacks."""
    partner = await call.acting_partner(call.body.partner)
    wanted = call.body.scopes
    if "scopes" not in call.body.model_fields_set:
        wanted = [scope for scope in wanted if call.caller.may(scope)]
    lacking = [scope for scope in wanted if not call.caller.may(scope)]
    if lacking:
        raise Forbidden(f"The key lacks {', '.join(lacking)} itself, so it can give no other key that.")
    if not wanted:
        raise unknown_or_wrong("body", "scopes", "is required with a key that has only keys:write")
    return await _create(call, partner.id, wanted)


def new_key(call: AnyCall, prefix: str, partner_id: str | None, scopes: Sequence[str]) -> tuple[ApiKey, str]:
    """Return the key that a body asks for, not yet written, and its text. Raises Invalid."""
    body = call.body
    if body.expires_at is not None and body.expires_at <= call.now_ms:
        raise unknown_or_wrong("body", "expires_at", "has passed")
    made = entropy.new_api_key(prefix, call.now_ms)
    key = ApiKey(
        id=made.id,
        partner_id=partner_id,
        name=body.name,
        scopes=tuple(dict.fromkeys(scopes)),
        secret_hash=made.hash,
        created_ms=call.now_ms,
        expires_ms=body.expires_at,
        revoked_ms=None,
    )
    return key, made.text


async def _create(call: AnyCall, partner_id: str, scopes: Sequence[str]) -> Answer:
    key, text = new_key(call, PARTNER_PREFIX, partner_id, scopes)

    def effect(tx: Tx) -> Answer:
        found(read_partner(tx, partner_id), "partner")
        add_key(tx, key)
        detail = {"name": key.name, "scopes": list(key.scopes)}
        call.audit(tx, "key.create", key.id, partner_id=partner_id, detail=detail)
        document: KeyWithTextDocument = {**key_document(key), "key": text}
        return json_answer(201, document)

    return await call.once(effect, hands_on=True)


class KeyListing(ListingQuery):
    """`GET /v1/partners/{id}/keys`."""

    cursor: str | None = cursor_of(ids.KEY)


class OwnKeyListing(AdminListing):
    """`GET /v1/keys`."""

    cursor: str | None = cursor_of(ids.KEY)


async def list_keys(call: Call[None, KeyListing]) -> Answer:
    """`GET /v1/partners/{id}/keys`: revoked and expired ones too."""
    partner_id = call.path_params["id"]
    found(await call.parts.store.partners.get(partner_id), "partner")
    keys, cursor = await call.read(read_keys, partner_id, call.query.page)
    return page_answer([key_document(key) for key in keys], cursor)


async def list_own_keys(call: Call[None, OwnKeyListing]) -> Answer:
    """`GET /v1/keys`: revoked and expired ones too; an admin sees those of all partners."""
    keys, cursor = await call.read(
        read_partners_keys,
        await call.narrowed(call.query.partner),
        call.query.page,
    )
    return page_answer([key_document(key) for key in keys], cursor)


async def show_key(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/keys/{id}`: a revoked or expired one too."""
    key = found(await call.read(read_key, call.path_params["id"]), "key")
    if not call.caller.is_admin and key.partner_id != call.caller.partner_id:
        raise NotFound("There is no such key.")
    return json_answer(200, key_document(key))


async def delete_key(call: Call[None, NoQuery]) -> Answer:
    """`DELETE /v1/keys/{id}`: revokes it for good, everywhere within a few seconds."""
    key_id = call.path_params["id"]

    def effect(tx: Tx) -> Answer:
        key = found(read_key(tx, key_id), "key")
        if not call.caller.is_admin and key.partner_id != call.caller.partner_id:
            raise NotFound("There is no such key.")
        revoke_key(tx, key_id, now_ms=call.now_ms)
        call.audit(tx, "key.revoke", key_id, partner_id=key.partner_id)
        return Answer(status=204)

    return await call.once_for_keys(effect)


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
        "last_used_at": opt_rfc3339(key.last_used_ms),
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
        query=KeyListing,
        answers=lists(KeyDocument),
    ),
    ApiRoute(
        method="POST",
        path="/v1/keys",
        handler=create_own_key,
        id="createOwnKey",
        tag="Partners",
        summary="Make an API key of your own, with no more scopes than this one",
        access=KEYS,
        query=NoQuery,
        body=OwnKeyCreate,
        may_be_empty=True,
        answers={201: Returned(KeyWithTextDocument, "The key, shown this once.")},
    ),
    ApiRoute(
        method="GET",
        path="/v1/keys",
        handler=list_own_keys,
        id="listOwnKeys",
        tag="Partners",
        summary="List your keys, revoked and expired ones too",
        access=KEYS,
        query=OwnKeyListing,
        answers=lists(KeyDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/keys/{id}",
        path_example=example_ids.KEY_ID,
        handler=show_key,
        id="getKey",
        tag="Partners",
        summary="Look at a key",
        access=KEYS,
        query=NoQuery,
        answers=shows(KeyDocument),
    ),
    ApiRoute(
        method="DELETE",
        path="/v1/keys/{id}",
        path_example=example_ids.KEY_ID,
        handler=delete_key,
        id="revokeKey",
        tag="Partners",
        summary="Revoke a key for good",
        access=KEYS,
        query=NoQuery,
        answers=removes(),
    ),
)
