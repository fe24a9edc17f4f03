"""Admins' keys: one a person or program, each with a name that the audit log shows."""

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.access.api_keys import add_key, read_key, read_keys, revoke_key
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, Returned, lists, removes
from webhookd.api.call import Call, found
from webhookd.api.keys import KeyName, new_key
from webhookd.api.wire import Create, ListingQuery, NoQuery, Time, cursor_of
from webhookd.core import ids
from webhookd.core.api_keys import ADMIN_PREFIX
from webhookd.core.errors import NotFound
from webhookd.core.fields import Timestamp
from webhookd.core.model import SCOPES
from webhookd.core.records import ApiKey
from webhookd.core.times import opt_rfc3339, to_rfc3339


class AdminKeyCreate(Create):
    """An admin's key to be made."""

    name: Annotated[KeyName, Field(min_length=1)]
    """Whose or what it is for: the audit log shows it."""
    expires_at: Time | None = None
    """When it expires; never if left out."""


class AdminKeyDocument(TypedDict):
    """An admin's key, without its text."""

    id: str
    """The key's id, for good."""
    name: str
    """Whose or what it is for."""
    created_at: Timestamp
    """When it was made."""
    expires_at: Timestamp | None
    """When it expires; null: never."""
    revoked_at: Timestamp | None
    """When it was revoked; null where it was not."""
    last_used_at: Timestamp | None
    """When it was last used, to a minute; null: never."""


class AdminKeyWithTextDocument(AdminKeyDocument):
    """The key with its text."""

    key: Annotated[str, Field(pattern="^wha_")]
    """What is sent as `Authorization: Bearer`, shown this once."""


async def create(call: Call[AdminKeyCreate, NoQuery]) -> Answer:
    """`POST /v1/admin-keys`: the key, shown this once."""
    key, text = new_key(call, ADMIN_PREFIX, None, SCOPES)

    def effect(tx: Tx) -> Answer:
        add_key(tx, key)
        call.audit(tx, "admin-key.create", key.id, partner_id=None, detail={"name": key.name})
        document: AdminKeyWithTextDocument = {**admin_key_document(key), "key": text}
        return json_answer(201, document)

    return await call.once(effect)


class AdminKeyListing(ListingQuery):
    """`GET /v1/admin-keys`."""

    cursor: str | None = cursor_of(ids.KEY)


async def page(call: Call[None, AdminKeyListing]) -> Answer:
    """`GET /v1/admin-keys`: revoked and expired ones too."""
    keys, cursor = await call.read(read_keys, None, call.query.page)
    return page_answer([admin_key_document(key) for key in keys], cursor)


async def delete(call: Call[None, NoQuery]) -> Answer:
    """`DELETE /v1/admin-keys/{id}`: revokes it for good, everywhere within a few seconds."""
    key_id = call.path_params["id"]

    def effect(tx: Tx) -> Answer:
        key = found(read_key(tx, key_id), "key")
        if key.partner_id is not None:
            raise NotFound("There is no such key.")
        revoke_key(tx, key_id, now_ms=call.now_ms)
        call.audit(tx, "admin-key.revoke", key_id, partner_id=None, detail={"name": key.name})
        return Answer(status=204)

    return await call.once_for_keys(effect)


def admin_key_document(key: ApiKey) -> AdminKeyDocument:
    """Return the admin's key of the API."""
    return {
        "id": key.id,
        "name": key.name,
        "created_at": to_rfc3339(key.created_ms),
        "expires_at": opt_rfc3339(key.expires_ms),
        "revoked_at": opt_rfc3339(key.revoked_ms),
        "last_used_at": opt_rfc3339(key.last_used_ms),
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/admin-keys",
        handler=create,
        id="createAdminKey",
        tag="Operations",
        summary="Make an admin's key",
        access=ADMIN,
        query=NoQuery,
        body=AdminKeyCreate,
        answers={201: Returned(AdminKeyWithTextDocument, "The key, shown this once.")},
    ),
    ApiRoute(
        method="GET",
        path="/v1/admin-keys",
        handler=page,
        id="listAdminKeys",
        tag="Operations",
        summary="List admins' keys",
        access=ADMIN,
        query=AdminKeyListing,
        answers=lists(AdminKeyDocument),
    ),
    ApiRoute(
        method="DELETE",
        path="/v1/admin-keys/{id}",
        path_example=example_ids.KEY_ID,
        handler=delete,
        id="revokeAdminKey",
        tag="Operations",
        summary="Revoke an admin's key for good",
        access=ADMIN,
        query=NoQuery,
        answers=removes(),
    ),
)
