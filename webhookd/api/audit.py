"""`GET /v1/audit`: who changed what, for admins."""

from typing import Any, Final

from webhookd.adapters.store.audit import AuditEntry
from webhookd.api import admin_documents
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, shows
from webhookd.api.call import Call
from webhookd.api.wire import AdminListing
from webhookd.core.times import to_rfc3339


async def list_entries(call: Call[None, AdminListing]) -> Answer:
    """`GET /v1/audit`."""
    entries, cursor = await call.read(call.parts.store.audit.list, call.query.partner, call.query.page)
    return page_answer([_document(entry) for entry in entries], cursor)


def _document(entry: AuditEntry) -> dict[str, Any]:
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
        answers=shows(admin_documents.AuditPage),
    ),
)
