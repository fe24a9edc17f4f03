"""Dead letters: what ran out of attempts, one list of deliveries and tasks; replaying and discarding one."""

from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import TypeAliasType

from webhookd.adapters.store.deliveries.dead_letter_moves import discard_dead_letter, replay_dead_letter
from webhookd.adapters.store.deliveries.dead_letters import get_dead_letter, list_dead_letters
from webhookd.adapters.store.deliveries.deliveries import get_delivery
from webhookd.adapters.store.tasks.tasks import get_task
from webhookd.adapters.store.traces import place_of_message
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, removes, shows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.dead_letter_wire import MAX_REASON, DeadLetterListing, letter_filter
from webhookd.api.filter_values import refuse_unknown
from webhookd.api.owners import with_owner, with_owners, written_with_owner
from webhookd.api.receipts import WrittenDelivery, WrittenTask, answer_to
from webhookd.api.wire import NoBody, NoQuery, QueryString
from webhookd.core.fields import EXCLUSIVE
from webhookd.core.records import DeadLetter
from webhookd.core.render import (
    DeadLetterDocument,
    dead_letter_document,
    delivery_document,
    task_document,
)

BackAtWork = TypeAliasType(
    "BackAtWork",
    Annotated[
        WrittenDelivery | WrittenTask,
        EXCLUSIVE,
        Field(description="What a dead letter was: a delivery, or a task."),
    ],
)


async def page(call: Call[None, DeadLetterListing]) -> Answer:
    """`GET /v1/dead-letters`."""
    query, partner_id = call.query, await narrowed_letters(call, call.query)
    rows, cursor = await call.read(list_dead_letters, partner_id, letter_filter(query), query.page)
    return page_answer(await with_owners(call, rows, [dead_letter_document(row) for row in rows]), cursor)


async def narrowed_letters(call: AnyCall, query: DeadLetterListing) -> str | None:
    """Return whose dead letters are meant; None: everybody's. Raises Invalid for what can match nothing."""
    partner_id = await call.narrowed(query.partner)
    await refuse_unknown(
        call,
        partner_id,
        endpoint=letter_filter(query).named_endpoint,
        type=query.type,
        event=query.event,
        reason=query.reason,
        error=query.error,
        codes=query.kind != "delivery",
    )
    return partner_id


async def show(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/dead-letters/{id}`."""
    letter = await call.named(get_dead_letter, "dead letter")
    return json_answer(200, await with_owner(call, letter, dead_letter_document(letter)))


class WithReason(QueryString):
    """`POST /v1/dead-letters/{id}/replay` and `DELETE /v1/dead-letters/{id}`."""

    reason: str | None = Field(None, min_length=1, max_length=MAX_REASON)
    """Why, for those who look at it later; the audit keeps it."""

    @property
    def detail(self) -> dict[str, Any]:
        """What the audit keeps of it."""
        return {} if self.reason is None else {"reason": self.reason}


async def replay(call: Call[NoBody, WithReason]) -> Answer:
    """`POST /v1/dead-letters/{id}/replay`: the Delivery or the Task as it is now."""
    letter_id, partner_id = call.path_params["id"], call.caller.partner_id

    def effect(tx: Tx) -> Answer:
        found(replay_dead_letter(tx, letter_id, partner_id, call.now_ms), "dead letter")
        return _back_at_work(call, tx, letter_id)

    return answer_to(call.caller, await call.once(effect))


async def discard(call: Call[None, WithReason]) -> Answer:
    """`DELETE /v1/dead-letters/{id}`."""
    letter_id, partner_id = call.path_params["id"], call.caller.partner_id

    def effect(tx: Tx) -> Answer:
        letter: DeadLetter = found(get_dead_letter(tx, letter_id, partner_id), "dead letter")
        found(discard_dead_letter(tx, letter_id, partner_id, call.now_ms) or None, "dead letter")
        whose, detail = letter.partner_id, call.query.detail
        call.audit(tx, "dead-letter.discard", letter_id, partner_id=whose, detail=detail)
        return Answer(status=204)

    return await call.once(effect)


def _back_at_work(call: AnyCall, tx: Tx, letter_id: str) -> Answer:
    """Note the replay in the audit log and return what was replayed."""
    delivery = get_delivery(tx, letter_id, None)
    if delivery is not None:
        whose, detail = delivery.partner_id, call.query.detail
        call.audit(tx, "dead-letter.replay", letter_id, partner_id=whose, detail=detail)
        call.links.append(place_of_message(tx, delivery.message_id))
        return json_answer(202, written_with_owner(call, tx, delivery, delivery_document(delivery)))
    task = found(get_task(tx, letter_id, None), "dead letter")
    call.audit(tx, "dead-letter.replay", letter_id, partner_id=task.partner_id, detail=call.query.detail)
    call.link(task)
    document = task_document(task, base_url=call.parts.options.base_url)
    return json_answer(202, written_with_owner(call, tx, task, document))


_ONE: Final = "/v1/dead-letters/{id}"

ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/dead-letters",
        handler=page,
        id="listDeadLetters",
        tag="Dead letters",
        summary="List dead letters, newest first",
        access="tasks:read",
        query=DeadLetterListing,
        answers=lists(DeadLetterDocument),
    ),
    ApiRoute(
        method="GET",
        path=_ONE,
        path_example=example_ids.DELIVERY_ID,
        handler=show,
        id="getDeadLetter",
        tag="Dead letters",
        summary="Look at a dead letter",
        access="tasks:read",
        query=NoQuery,
        answers=shows(DeadLetterDocument),
    ),
    ApiRoute(
        method="DELETE",
        path=_ONE,
        path_example=example_ids.DELIVERY_ID,
        handler=discard,
        id="discardDeadLetter",
        tag="Dead letters",
        summary="Discard a dead letter",
        access="deliveries:replay",
        query=WithReason,
        answers=removes(),
    ),
    ApiRoute(
        method="POST",
        path=_ONE + "/replay",
        path_example=example_ids.DELIVERY_ID,
        handler=replay,
        id="replayDeadLetter",
        tag="Dead letters",
        summary="Put a dead letter back to work",
        access="deliveries:replay",
        query=WithReason,
        body=NoBody,
        may_be_empty=True,
        sends=True,
        answers={202: Returned(BackAtWork, "The delivery or the task as it is now.")},
        conflicts=True,
    ),
)
