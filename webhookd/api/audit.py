"""`GET /v1/audit`: who changed what, for admins."""

from typing import Any, Final

from typing_extensions import TypedDict

from webhookd.adapters.store.audit import AuditEntry
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, lists
from webhookd.api.call import Call
from webhookd.api.wire import AdminListing
from webhookd.core.fields import Timestamp
from webhookd.core.times import to_rfc3339


class AuditEntryDocument(TypedDict):
    """Who changed what."""

    id: str
    """The entry's id."""
    at: Timestamp
    """When it happened."""
    actor: str
    """The id of the key, or the part of the service, that did it."""
    actor_name: str | None
    """What the key is called; null where it has no name."""
    action: str
    """What was done, as `noun.verb`."""
    target: str
    """What it was done to: an id or a name."""
    partner: str | None
    """The id of the partner it is about; null where it is about none."""
    detail: dict[str, Any]
    """Names and numbers that tell more, never secrets."""


async def list_entries(call: Call[None, AdminListing]) -> Answer:
    """`GET /v1/audit`."""
    entries, cursor = await call.read(call.parts.store.audit.list, call.query.partner, call.query.page)
    return page_answer([audit_document(entry) for entry in entries], cursor)


def audit_document(entry: AuditEntry) -> AuditEntryDocument:
    """Return the entry of the API."""
    return {
        "id": entry.id,
        "at": to_rfc3339(entry.at_ms),
        "actor": entry.actor,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "target": entry.target,
        "partner": entry.partner_id,
        "detail": entry.detail,
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/audit",
        handler=list_entries,
        id="listAudit",
        tag="Operations",
        summary="See who changed what, newest first",
        access=ADMIN,
        query=AdminListing,
        answers=lists(AuditEntryDocument),
    ),
)
