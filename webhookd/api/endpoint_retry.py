"""`POST /v1/endpoints/{id}/retry`: the receiver is back, so all that waits for it is due now.

It is a replay of what is pending at the endpoint, without a pace of its own: its first step is taken at once,
the workers take the rest, and the lane paces what goes out.
"""

from dataclasses import replace
from typing import Final

from typing_extensions import TypedDict

from webhookd.adapters import entropy
from webhookd.adapters.store.deliveries.replay_orders import count_matches, create_replay
from webhookd.adapters.store.deliveries.replay_steps import advance_replay
from webhookd.adapters.store.endpoints.endpoint_settings import get_endpoint, lock_endpoint
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call, found
from webhookd.api.wire import NoBody, NoQuery
from webhookd.core import ids
from webhookd.core.errors import Conflict
from webhookd.core.fields import Count
from webhookd.core.model import ReplayState
from webhookd.core.records import Endpoint
from webhookd.core.replay import RETRY_RATE_PER_SECOND, DeadLetterFilter, Replay, allowance
from webhookd.flows.replay import BATCH


class RetriedDocument(TypedDict):
    """What a retry found."""

    due: Count
    """How many deliveries waited for the endpoint and are due now."""


async def retry(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/endpoints/{id}/retry`."""
    endpoint_id, known = call.path_params["id"], await call.named(get_endpoint, "endpoint")
    asked = Replay(
        id=entropy.new_id(ids.REPLAY, call.now_ms),
        partner_id=known.endpoint.partner_id,
        filter=DeadLetterFilter(state="pending", endpoint_id=endpoint_id),
        dry_run=False,
        rate_per_second=RETRY_RATE_PER_SECOND,
        state=ReplayState.RUNNING,
        matched=0,
        replayed=0,
        place=None,
        created_ms=call.now_ms,
        finished_ms=None,
    )
    # Counted before the transaction, in which everybody else would wait for the end of the counting.
    counted = replace(asked, matched=await call.read(count_matches, asked))

    def effect(tx: Tx) -> Answer:
        endpoint: Endpoint = found(lock_endpoint(tx, endpoint_id, call.caller.partner_id), "endpoint")
        if endpoint.state != "enabled":
            raise Conflict(
                f"The endpoint is disabled ({endpoint.disabled_reason}), so what waits for it is parked; "
                "enable it, and all of that goes out."
            )
        made = create_replay(tx, replace(counted, started_by=call.actor))
        if made.state is ReplayState.RUNNING:
            advance_replay(tx, made, allowance(made, now_ms=call.now_ms), BATCH, call.now_ms)
        detail = {"due": made.matched, "replay": made.id}
        call.audit(tx, "endpoint.retry", endpoint_id, partner_id=endpoint.partner_id, detail=detail)
        return json_answer(202, RetriedDocument(due=made.matched))

    return await call.once(effect)


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/endpoints/{id}/retry",
        path_example=example_ids.ENDPOINT_ID,
        handler=retry,
        id="retryEndpoint",
        tag="Endpoints",
        summary="Send now all that waits for an endpoint",
        access="deliveries:replay",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers={202: Returned(RetriedDocument, "Due now; the lane paces what goes out.")},
        conflicts=True,
    ),
)
