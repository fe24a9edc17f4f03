"""Replays of many dead letters: asking for one, watching it, stopping it. The work is the replay flow's."""

from dataclasses import replace
from typing import Annotated, Final, Literal

from pydantic import Field

from webhookd.adapters import entropy
from webhookd.adapters.store.replays import (
    cancel_replay,
    count_matches,
    create_replay,
    get_replay,
    list_replays,
)
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, shows
from webhookd.api.call import Call, found
from webhookd.api.wire import AdminListing, Create, NoBody, NoQuery, Time, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.fields import DeadLetterKind, DeadReason, DescribedAs
from webhookd.core.model import ReplayState
from webhookd.core.render import ReplayDocument, replay_document
from webhookd.core.replay import DEFAULT_RATE_PER_SECOND, HIGHEST_RATE_PER_SECOND, DeadLetterFilter, Replay


class ReplayFilter(Create):
    """Which dead letters; what is left out is any."""

    kind: Annotated[Literal["delivery", "task"], DescribedAs(DeadLetterKind)] | None = None
    """Of this kind only."""
    endpoint: str | None = Field(None, max_length=128)
    """For this endpoint only, by its id."""
    type: str | None = Field(None, max_length=200)
    """Of this task type only."""
    reason: Annotated[str | None, DescribedAs(DeadReason)] = Field(None, max_length=100)
    """For this reason only."""
    since: Time | None = None
    """What died at this time or later."""
    until: Time | None = None
    """What died before this time."""
    partner: str | None = Field(None, max_length=128)
    """For admins: of this partner only, by its id."""

    @property
    def wanted(self) -> DeadLetterFilter:
        """The filter for the store."""
        return DeadLetterFilter(
            kind=self.kind,
            endpoint_id=self.endpoint,
            type=self.type,
            reason=self.reason,
            since_ms=self.since,
            until_ms=self.until,
        )


class ReplayCreate(Create):
    """A replay of many dead letters."""

    filter: ReplayFilter = ReplayFilter()
    """Which dead letters it takes; all if left out."""
    dry_run: bool = False
    """Whether it only counts; it does the work if left out."""
    rate_per_second: float = Field(
        DEFAULT_RATE_PER_SECOND, gt=0, le=HIGHEST_RATE_PER_SECOND, allow_inf_nan=False
    )
    """At most so many a second; 50 if left out."""


async def create(call: Call[ReplayCreate, NoQuery]) -> Answer:
    """`POST /v1/replays`: counted at once, worked off by the workers."""
    body = call.body
    partner_id = call.caller.partner_id
    if body.filter.partner is not None:
        if not call.caller.is_admin:
            raise unknown_or_wrong("body", "filter", "has no 'partner' with a partner's key")
        partner_id = (await call.acting_partner(body.filter.partner)).id
    asked = Replay(
        id=entropy.new_id(ids.REPLAY, call.now_ms),
        partner_id=partner_id,
        filter=body.filter.wanted,
        dry_run=body.dry_run,
        rate_per_second=body.rate_per_second,
        state=ReplayState.RUNNING,
        matched=0,
        replayed=0,
        place=None,
        created_ms=call.now_ms,
        finished_ms=None,
    )
    # Counted before the transaction, in which everybody else would wait for the end of the counting.
    counted = replace(asked, matched=await call.read(call.parts.store.read, count_matches, asked))

    def effect(tx: Tx) -> Answer:
        replay = create_replay(tx, counted)
        detail = {"matched": replay.matched, "dry_run": replay.dry_run}
        call.audit(tx, "replay.create", replay.id, partner_id=partner_id, detail=detail)
        return json_answer(202, replay_document(replay), call.located(f"/v1/replays/{replay.id}"))

    return await call.once(effect)


async def page(call: Call[None, AdminListing]) -> Answer:
    """`GET /v1/replays`."""
    rows, cursor = await call.read(
        call.parts.store.read, list_replays, call.narrowed(call.query.partner), call.query.page
    )
    return page_answer([replay_document(row) for row in rows], cursor)


async def show(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/replays/{id}`: how far it has come."""
    read, replay_id = call.parts.store.read, call.path_params["id"]
    replay = found(await call.read(read, get_replay, replay_id, call.caller.partner_id), "replay")
    return json_answer(200, replay_document(replay))


async def cancel(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/replays/{id}/cancel`: what it has put back stays there."""
    replay_id = call.path_params["id"]

    def effect(tx: Tx) -> Answer:
        replay = found(cancel_replay(tx, replay_id, call.caller.partner_id, call.now_ms), "replay")
        call.audit(tx, "replay.cancel", replay_id, partner_id=replay.partner_id)
        return json_answer(202, replay_document(replay))

    return await call.once(effect)


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/replays",
        handler=create,
        id="createReplay",
        tag="Dead letters",
        summary="Replay many dead letters at a pace",
        access="deliveries:replay",
        query=NoQuery,
        body=ReplayCreate,
        answers={202: Returned(ReplayDocument, "Counted; the workers work it off.", ("Location",))},
    ),
    ApiRoute(
        method="GET",
        path="/v1/replays",
        handler=page,
        id="listReplays",
        tag="Dead letters",
        summary="List replays",
        access="tasks:read",
        query=AdminListing,
        answers=lists(ReplayDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/replays/{id}",
        path_example=example_ids.REPLAY_ID,
        handler=show,
        id="getReplay",
        tag="Dead letters",
        summary="See how far a replay is",
        access="tasks:read",
        query=NoQuery,
        answers=shows(ReplayDocument),
    ),
    ApiRoute(
        method="POST",
        path="/v1/replays/{id}/cancel",
        path_example=example_ids.REPLAY_ID,
        handler=cancel,
        id="cancelReplay",
        tag="Dead letters",
        summary="Stop a replay",
        access="deliveries:replay",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers={202: Returned(ReplayDocument, "Stopped; what it has put back stays there.")},
        conflicts=True,
    ),
)
