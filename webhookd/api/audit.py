"""`GET /v1/audit`: who changed what, from where and why, for admins."""

from typing import Any, Final

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.access.audit import AuditEntry, AuditFilter, list_entries
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, lists
from webhookd.api.call import Call
from webhookd.api.wire import AdminListing, Time, cursor_of
from webhookd.core import ids
from webhookd.core.fields import Timestamp
from webhookd.core.times import to_rfc3339


class AuditListing(AdminListing):
    """`GET /v1/audit`."""

    cursor: str | None = cursor_of(ids.AUDIT)
    actor: str | None = Field(None, min_length=1, max_length=200)
    """What this one did only: a key's name or id, or `operator@host`."""
    action: str | None = Field(None, min_length=1, max_length=100)
    """This kind of change only, such as `endpoint.disable`."""
    target: str | None = Field(None, min_length=1, max_length=200)
    """What was done to this only, by its id, or its name where it has no id."""
    since: Time | None = None
    """What happened at this time or later."""
    until: Time | None = None
    """What happened before this time."""


class AuditEntryDocument(TypedDict):
    """Who changed what."""

    id: str
    """The entry's id."""
    at: Timestamp
    """When it happened."""
    actor: str
    """Who did it: the name of the key, its id where it has none, or `operator@host`."""
    key: str | None
    """The id of the key; null for the operator."""
    address: str | None
    """The address it came from; null where it came over no connection."""
    action: str
    """What was done, as `noun.verb`."""
    target: str
    """What it was done to: an id or a name."""
    partner: str | None
    """The id of the partner it is about; null where it is about none."""
    reason: str | None
    """Why, in the words of who did it; null where none were given."""
    detail: dict[str, Any]
    """Names and numbers that tell more, never secrets."""


async def page(call: Call[None, AuditListing]) -> Answer:
    """`GET /v1/audit`."""
    query = call.query
    wanted = AuditFilter(
        actor=query.actor,
        action=query.action,
        target=query.target,
        partner_id=await call.narrowed(query.partner),
        since_ms=query.since,
        until_ms=query.until,
    )
    entries, cursor = await call.read(list_entries, wanted, query.page)
    return page_answer([audit_document(entry) for entry in entries], cursor)


def audit_document(entry: AuditEntry) -> AuditEntryDocument:
    """Return the entry of the API."""
    return {
        "id": entry.id,
        "at": to_rfc3339(entry.at_ms),
        "actor": entry.actor,
        "key": entry.key_id,
        "address": entry.address,
        "action": entry.action,
        "target": entry.target,
        "partner": entry.partner_id,
        "reason": entry.detail.get("reason"),
        "detail": entry.detail,
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/audit",
        handler=page,
        id="listAudit",
        tag="Operations",
        summary="See who changed what, newest first",
        access=ADMIN,
        query=AuditListing,
        answers=lists(AuditEntryDocument),
    ),
)
