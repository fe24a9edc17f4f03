"""Deliveries: looking at them and their attempts, sending again, cancelling."""

from typing import Annotated, Final

from webhookd.adapters.store.deliveries.deliveries import (
    MovedDelivery,
    cancel_delivery,
    get_history,
    replay_delivery,
)
from webhookd.adapters.store.deliveries.delivery_listings import list_deliveries
from webhookd.adapters.store.traces import place_of_message
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, shows
from webhookd.api.attempt_wire import DeliveryHistoryDocument, history_document
from webhookd.api.call import Call, found
from webhookd.api.filter_values import refuse_unknown
from webhookd.api.owners import with_owner, with_owners, written_with_owner
from webhookd.api.receipts import WrittenDelivery, answer_to
from webhookd.api.wire import AdminListing, NoBody, NoQuery, Status, Time, cursor_of
from webhookd.core import ids
from webhookd.core.errors import Conflict
from webhookd.core.fields import AttemptError, DescribedAs, EventName, TaskId
from webhookd.core.listing import DeliveryFilter
from webhookd.core.model import DeliveryState
from webhookd.core.render import DeliveryDocument, delivery_document


class DeliveryListing(AdminListing):
    """`GET /v1/deliveries`."""

    cursor: str | None = cursor_of(ids.DELIVERY)
    state: DeliveryState | None = None
    """In this state only."""
    endpoint: str | None = None
    """To this endpoint only, by its id."""
    task: TaskId | None = None
    """About this task only, by its id."""
    type: str | None = None
    """About tasks of this type only."""
    event: Annotated[str | None, DescribedAs(EventName)] = None
    """What tells of this only."""
    error: Annotated[str | None, DescribedAs(AttemptError)] = None
    """Whose last attempt failed for this only."""
    status: Status | None = None
    """Whose last answer had this HTTP status only: `503`, or `5xx`."""
    since: Time | None = None
    """What was made at this time or later."""
    until: Time | None = None
    """What was made before this time."""

    @property
    def wanted(self) -> DeliveryFilter:
        """The filter for the store."""
        return DeliveryFilter(
            state=self.state,
            endpoint_id=self.endpoint,
            task_id=self.task,
            type=self.type,
            event=self.event,
            error=self.error,
            status=self.status,
            since_ms=self.since,
            until_ms=self.until,
        )


async def page(call: Call[None, DeliveryListing]) -> Answer:
    """`GET /v1/deliveries`."""
    query = call.query
    partner_id = await call.narrowed(query.partner)
    await refuse_unknown(
        call, partner_id, endpoint=query.endpoint, type=query.type, event=query.event, error=query.error
    )
    rows, cursor = await call.read(list_deliveries, partner_id, query.wanted, query.page)
    return page_answer(await with_owners(call, rows, [delivery_document(row) for row in rows]), cursor)


async def show(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/deliveries/{id}`: with every attempt."""
    history = await call.named(get_history, "delivery")
    document = history_document(history, base_url=call.parts.options.base_url)
    return json_answer(200, await with_owner(call, history.delivery, document))


async def replay(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/deliveries/{id}/replay`: the same message again; what waits is due now."""
    delivery_id = call.path_params["id"]

    def effect(tx: Tx) -> Answer:
        moved: MovedDelivery = found(
            replay_delivery(tx, delivery_id, call.caller.partner_id, call.now_ms), "delivery"
        )
        call.links[:] = [place_of_message(tx, moved.delivery.message_id)]
        if moved.endpoint_deleted:
            raise Conflict("The delivery's endpoint is deleted, so it can go nowhere.")
        if moved.delivery.state is DeliveryState.PARKED and not moved.changed:
            raise _parked(moved)
        if moved.changed:
            call.audit(tx, "delivery.replay", delivery_id, partner_id=moved.delivery.partner_id)
        return json_answer(
            202, written_with_owner(call, tx, moved.delivery, delivery_document(moved.delivery))
        )

    return answer_to(call.caller, await call.once(effect))


async def cancel(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/deliveries/{id}/cancel`: `202`; `200` if it was cancelled before."""
    delivery_id = call.path_params["id"]

    def effect(tx: Tx) -> Answer:
        moved: MovedDelivery = found(
            cancel_delivery(tx, delivery_id, call.caller.partner_id, call.now_ms), "delivery"
        )
        state = moved.delivery.state
        if state is not DeliveryState.CANCELLED:
            raise Conflict(f"The delivery has ended as {state.value}; only a waiting one can be cancelled.")
        if moved.changed:
            call.audit(tx, "delivery.cancel", delivery_id, partner_id=moved.delivery.partner_id)
        document = written_with_owner(call, tx, moved.delivery, delivery_document(moved.delivery))
        return json_answer(202 if moved.changed else 200, document)

    return answer_to(call.caller, await call.once(effect))


def _parked(moved: MovedDelivery) -> Conflict:
    endpoint_id, reason = moved.delivery.endpoint_id, moved.disabled_reason
    if reason is None:
        return Conflict(f"The delivery is parked; its endpoint {endpoint_id} is enabled, so it will go out.")
    return Conflict(
        f"The delivery is parked, because its endpoint {endpoint_id} is disabled ({reason}); enable that, "
        "and it goes out."
    )


_ONE: Final = "/v1/deliveries/{id}"

ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/deliveries",
        handler=page,
        id="listDeliveries",
        tag="Deliveries",
        summary="List deliveries, newest first",
        access="tasks:read",
        query=DeliveryListing,
        answers=lists(DeliveryDocument),
    ),
    ApiRoute(
        method="GET",
        path=_ONE,
        path_example=example_ids.DELIVERY_ID,
        handler=show,
        id="getDelivery",
        tag="Deliveries",
        summary="Look at a delivery and its attempts",
        access="tasks:read",
        query=NoQuery,
        answers=shows(DeliveryHistoryDocument),
    ),
    ApiRoute(
        method="POST",
        path=_ONE + "/replay",
        path_example=example_ids.DELIVERY_ID,
        handler=replay,
        id="replayDelivery",
        tag="Deliveries",
        summary="Deliver the same message again",
        access="deliveries:replay",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        sends=True,
        answers={
            202: Returned(WrittenDelivery, "Under way; one that waited is due now, its budget as it is.")
        },
        conflicts=True,
    ),
    ApiRoute(
        method="POST",
        path=_ONE + "/cancel",
        path_example=example_ids.DELIVERY_ID,
        handler=cancel,
        id="cancelDelivery",
        tag="Deliveries",
        summary="Cancel a delivery that waits",
        access="deliveries:replay",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers={
            202: Returned(WrittenDelivery, "Cancelled."),
            200: Returned(WrittenDelivery, "It was cancelled before."),
        },
        conflicts=True,
    ),
)
