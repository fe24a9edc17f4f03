"""One-time links into a partner's portal, for pages of the operator or the partner that lead people there."""

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.entropy import new_page_token
from webhookd.adapters.store.access.page_sessions import PageSession, SessionKind, add_page_session, hashed
from webhookd.adapters.store.access.partners import read_partner
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import ADMIN, ANY_KEY, AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call, found
from webhookd.api.caller import OPERATOR
from webhookd.api.wire import Create, NoQuery
from webhookd.core.api_keys import operator_mark
from webhookd.core.errors import Forbidden
from webhookd.core.fields import Timestamp
from webhookd.core.times import to_rfc3339

DEFAULT_SECONDS: Final = 600
LONGEST_SECONDS: Final = 86_400


class PortalLinkCreate(Create):
    """A link into the portal."""

    expires_in: Annotated[int, Field(ge=10, le=LONGEST_SECONDS)] = DEFAULT_SECONDS
    """For how many seconds it lets in; 600 if left out."""


class PortalLinkDocument(TypedDict):
    """A link into the portal, good for one person, once."""

    url: str
    """Where it leads; a path where the service does not know its public URL."""
    expires_at: Timestamp
    """Until when it lets in."""


async def create_for_partner(call: Call[PortalLinkCreate, NoQuery]) -> Answer:
    """`POST /v1/partners/{id}/portal-link`."""
    return await _create(call, call.path_params["id"])


async def create_own(call: Call[PortalLinkCreate, NoQuery]) -> Answer:
    """`POST /v1/portal-link`: whoever comes by it may do what this key may."""
    if call.caller.partner_id is None:
        raise Forbidden("This call needs a partner's key; an admin names the partner in the path.")
    if call.caller.via:
        raise Forbidden("Who came in by a link makes no further ones.")
    return await _create(call, call.caller.partner_id)


async def _create(call: Call[PortalLinkCreate, NoQuery], partner_id: str) -> Answer:
    token, caller = new_page_token(), call.caller
    until_ms = call.now_ms + call.body.expires_in * 1000
    mark = operator_mark(call.parts.options.admin_key_hash) if caller.key_id == OPERATOR else ""
    link = PageSession(
        id=hashed(token),
        kind=SessionKind.LINK,
        key_id=caller.key_id,
        key_mark=mark,
        partner_id=partner_id,
        created_ms=call.now_ms,
        expires_ms=until_ms,
    )

    def effect(tx: Tx) -> Answer:
        found(read_partner(tx, partner_id), "partner")
        add_page_session(tx, link)
        call.audit(tx, "portal-link.create", partner_id, partner_id=partner_id)
        document: PortalLinkDocument = {
            "url": f"{call.parts.options.base_url}/portal/enter?token={token}",
            "expires_at": to_rfc3339(until_ms),
        }
        return json_answer(201, document)

    return await call.once(effect, hands_on=True)


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/partners/{id}/portal-link",
        path_example=example_ids.PARTNER_ID,
        handler=create_for_partner,
        id="createPartnerPortalLink",
        tag="Partners",
        summary="Make a one-time link into a partner's portal",
        access=ADMIN,
        query=NoQuery,
        body=PortalLinkCreate,
        may_be_empty=True,
        answers={201: Returned(PortalLinkDocument, "The link, shown this once.")},
    ),
    ApiRoute(
        method="POST",
        path="/v1/portal-link",
        handler=create_own,
        id="createPortalLink",
        tag="Partners",
        summary="Make a one-time link into one's own portal",
        access=ANY_KEY,
        query=NoQuery,
        body=PortalLinkCreate,
        may_be_empty=True,
        answers={201: Returned(PortalLinkDocument, "The link, shown this once.")},
    ),
)
