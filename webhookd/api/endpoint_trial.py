"""Testing an endpoint: one message to it alone, sent once; with a wait the answer has what came of it."""

import asyncio
from dataclasses import replace
from typing import Annotated, Final

import orjson
from pydantic import Field
from typing_extensions import TypeAliasType

from webhookd.adapters.store.deliveries.deliveries import DeliveryHistory, get_delivery, get_history
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned
from webhookd.api.attempt_wire import AttemptDocument, DeliveryHistoryDocument, history_document
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.idempotency_key import REPLAYED
from webhookd.api.owners import with_owner, written_with_owner
from webhookd.api.prefer import preferred_wait
from webhookd.api.receipts import DeliveryReceiptDocument, WrittenDelivery, answer_to
from webhookd.api.watch import noticing_disconnect, refuse_revoked
from webhookd.api.wire import NoBody, NoQuery
from webhookd.core.errors import RateLimited, Unavailable
from webhookd.core.model import DeliveryState
from webhookd.core.render import delivery_document

FIRST_LOOK_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0
"""Nothing signals the end of a delivery, so its row is looked at again after ever longer pauses."""


class EndpointTestedDocument(DeliveryHistoryDocument):
    """The Delivery of a test that has ended."""

    attempt: AttemptDocument | None
    """Its one attempt and what came back; null where none was made, as to an endpoint that was disabled."""


TestOutcome = TypeAliasType(
    "TestOutcome",
    Annotated[
        EndpointTestedDocument | DeliveryReceiptDocument,
        Field(description="What came of the test; to a key without `tasks:read` ids and state only."),
    ],
)


async def send_test(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/endpoints/{id}/test`: `202` and the delivery that was made; with a wait `200` and its end."""
    endpoint_id, partner_id = call.path_params["id"], call.caller.partner_id
    states = call.parts.store.endpoints.states

    def effect(tx: Tx) -> Answer:
        delivery_id = found(
            states.send_test(tx, endpoint_id, partner_id, call.now_ms, trace=call.trace), "endpoint"
        )
        delivery = found(get_delivery(tx, delivery_id, None), "delivery")
        call.audit(tx, "endpoint.test", endpoint_id, partner_id=delivery.partner_id)
        document = written_with_owner(call, tx, delivery, delivery_document(delivery))
        return json_answer(202, document, call.located(f"/v1/deliveries/{delivery_id}"))

    sent = await call.once(effect)
    seconds = preferred_wait(call.header(b"prefer"))
    if seconds is None:
        return answer_to(call.caller, sent)
    seconds = int(min(seconds, call.parts.options.max_wait_seconds))
    try:
        history = await _ended(call, orjson.loads(sent.body)["id"], seconds)
    except Unavailable:
        history = None
    except RateLimited:
        # Too many wait already. It is a preference only, and the message is on its way.
        return answer_to(call.caller, sent)
    applied = {"Preference-Applied": f"wait={seconds}"}
    if history is None:
        return answer_to(call.caller, replace(sent, headers={**sent.headers, **applied}))
    replayed = {name: value for name, value in sent.headers.items() if name == REPLAYED}
    document = tested_document(history, base_url=call.parts.options.base_url)
    shown = await with_owner(call, history.delivery, document)
    return answer_to(call.caller, json_answer(200, shown, {**applied, **replayed}))


def tested_document(history: DeliveryHistory, *, base_url: str) -> EndpointTestedDocument:
    """Return the Delivery with its log, and the attempt by itself."""
    shown = history_document(history, base_url=base_url)
    return {**shown, "attempt": shown["attempts_log"][-1] if shown["attempts_log"] else None}


async def _ended(call: AnyCall, delivery_id: str, seconds: float) -> DeliveryHistory | None:
    """Return the delivery once it waits no longer; None where it does after so many seconds."""
    loop = asyncio.get_running_loop()
    give_up_at, pause = loop.time() + seconds, FIRST_LOOK_SECONDS
    partner_id = call.caller.partner_id
    with (
        call.parts.held.one(partner_id),
        call.parts.watchers.watch(partner_id=partner_id, key_id=call.caller.key_id) as watch,
        noticing_disconnect(call.receive, watch),
    ):
        while (left := give_up_at - loop.time()) > 0 and not watch.ended:
            await watch.pause(min(left, pause))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            delivery = await call.read(get_delivery, delivery_id, partner_id)
            if found(delivery, "delivery").state is not DeliveryState.PENDING:
                return await call.read(get_history, delivery_id, partner_id)
        refuse_revoked(watch)
    return None


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/endpoints/{id}/test",
        path_example=example_ids.ENDPOINT_ID,
        handler=send_test,
        id="testEndpoint",
        tag="Endpoints",
        summary="Send a test message once; with `Prefer: wait=N` see what comes back",
        access="endpoints:write",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        sends=True,
        headers=("Prefer",),
        answers={
            202: Returned(WrittenDelivery, "The delivery under way.", ("Location",), ("Preference-Applied",)),
            200: Returned(
                TestOutcome,
                "With `Prefer: wait=N`: the attempt and what came back in time.",
                ("Preference-Applied",),
            ),
        },
        conflicts=True,
    ),
)
