"""Replays of many: asking for one, watching it, pacing and stopping it. The work is the replay flow's.

Discards are the same with another deed and another document; `discards` has their rows.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhookd.adapters import entropy
from webhookd.adapters.store.deliveries.replay_orders import (
    count_matches,
    create_replay,
    move_replay,
    pace_replay,
)
from webhookd.adapters.store.deliveries.replays import get_replay, list_replays
from webhookd.adapters.store.endpoints.endpoint_settings import get_endpoint
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, shows
from webhookd.api.call import AnyCall, found
from webhookd.api.dead_letter_wire import ReplayChange, ReplayCreate, letter_filter
from webhookd.api.filter_values import refuse_unknown
from webhookd.api.wire import AdminListing, NoBody, NoQuery, cursor_of, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.model import ReplayMove, ReplayState
from webhookd.core.render import ReplayDocument, replay_document
from webhookd.core.replay import Deed, Replay

_UNTOLD: Final = ("text", "ids")
"""Of a filter, in the audit: a text may be of a URL, and how many ids there are is told by what matched."""


class ErrandListing(AdminListing):
    """A listing of replays, or of discards."""

    state: ReplayState | None = None
    """In this state only."""
    dry_run: bool | None = None
    """Dry runs only (`true`), or only what is none (`false`)."""


class ReplayListing(ErrandListing):
    """`GET /v1/replays`."""

    cursor: str | None = cursor_of(ids.REPLAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A deed done to many, as the API has it: where it is, and what its document is."""

    deed: Deed
    noun: str
    prefix: str
    document: Callable[[Replay], Mapping[str, Any]]

    async def create(self, call: AnyCall) -> Answer:
        """`POST`: counted at once, worked off by the workers."""
        body, wanted = call.body, letter_filter(call.body.filter)
        if not body.all and not body.filter.model_fields_set:
            raise unknown_or_wrong(
                "body", "filter", f"is empty, so the {self.noun} would take everything: name some, or say all"
            )
        if wanted.state == "pending" and (wanted.kind == "task" or wanted.reason is not None):
            raise unknown_or_wrong("body", "filter", "of what is pending has neither tasks nor reasons")
        if wanted.state == "pending" and wanted.ids is not None:
            raise unknown_or_wrong("body", "filter.ids", "name dead letters, and not what is pending")
        partner_id = await call.narrowed(body.filter.partner, place="body", at="filter.partner")
        await refuse_unknown(
            call,
            partner_id,
            endpoint=wanted.named_endpoint,
            type=wanted.type,
            event=wanted.event,
            reason=wanted.reason,
            error=wanted.error,
            codes=wanted.kind == "task",
            at="filter.",
        )
        asked = Replay(
            id=entropy.new_id(self.prefix, call.now_ms),
            partner_id=partner_id,
            filter=wanted,
            dry_run=body.dry_run,
            rate_per_second=body.rate_per_second,
            state=ReplayState.RUNNING,
            matched=0,
            replayed=0,
            place=None,
            created_ms=call.now_ms,
            finished_ms=None,
            deed=self.deed,
            reason=body.reason,
        )
        # Counted before the transaction, in which everybody else would wait for the end of the counting.
        counted = replace(asked, matched=await call.read(count_matches, asked))

        def effect(tx: Tx) -> Answer:
            made = create_replay(tx, replace(counted, started_by=call.actor))
            document = self.document(made)
            named = {name: value for name, value in document["filter"].items() if name not in _UNTOLD}
            detail: dict[str, Any] = {"matched": made.matched, "dry_run": made.dry_run, "filter": named}
            if made.reason is not None:
                detail["reason"] = made.reason
            whose = partner_id or _whose(tx, wanted.named_endpoint)
            call.audit(tx, f"{self.noun}.create", made.id, partner_id=whose, detail=detail)
            return json_answer(202, document, call.located(f"/v1/{self.noun}s/{made.id}"))

        return await call.once(effect)

    async def page(self, call: AnyCall) -> Answer:
        """`GET`: a listing."""
        partner_id = await call.narrowed(call.query.partner)
        rows, cursor = await call.read(
            list_replays,
            partner_id,
            call.query.page,
            self.deed,
            state=call.query.state,
            dry_run=call.query.dry_run,
        )
        return page_answer([self.document(row) for row in rows], cursor)

    async def show(self, call: AnyCall) -> Answer:
        """`GET` one: how far it has come."""
        its_id = call.path_params["id"]
        row = found(await call.read(get_replay, its_id, call.caller.partner_id, self.deed), self.noun)
        return json_answer(200, self.document(row))

    async def pace(self, call: AnyCall) -> Answer:
        """`PATCH`: another rate."""
        its_id, rate = call.path_params["id"], call.body.rate_per_second

        def effect(tx: Tx) -> Answer:
            row = found(pace_replay(tx, its_id, call.caller.partner_id, rate, self.deed), self.noun)
            detail = {"rate_per_second": rate}
            call.audit(tx, f"{self.noun}.change", its_id, partner_id=row.partner_id, detail=detail)
            return json_answer(200, self.document(row))

        return await call.once(effect)

    def moves(self, move: ReplayMove) -> Callable[[AnyCall], Awaitable[Answer]]:
        """Return the handler of `POST …/pause`, `resume` or `cancel`: what it has done stays done."""

        async def handler(call: AnyCall) -> Answer:
            its_id = call.path_params["id"]

            def effect(tx: Tx) -> Answer:
                row, moved = found(
                    move_replay(tx, its_id, call.caller.partner_id, move, self.deed), self.noun
                )
                if moved:
                    call.audit(tx, f"{self.noun}.{move}", its_id, partner_id=row.partner_id)
                return json_answer(202, self.document(row))

            return await call.once(effect)

        return handler


def _whose(tx: Tx, endpoint_id: str | None) -> str | None:
    """Return the partner that what an admin does to an endpoint is about."""
    paced = None if endpoint_id is None else get_endpoint(tx, endpoint_id, None)
    return None if paced is None else paced.endpoint.partner_id


REPLAY: Final = Errand(deed=Deed.REPLAY, noun="replay", prefix=ids.REPLAY, document=replay_document)


def errand_routes(
    errand: Errand, listing: type[ErrandListing], body: type[Any], document: Any, *, summary: str, done: str
) -> tuple[AnyRoute, ...]:
    """Return the routes of an errand; `done` says of it what one that is stopped has done."""
    name, path = errand.noun.capitalize(), f"/v1/{errand.noun}s"
    one, example = path + "/{id}", example_ids.REPLAY_ID if errand is REPLAY else example_ids.DISCARD_ID
    told = {
        ReplayMove.PAUSE: ("Pause", "Paused; {done}, and the rest waits."),
        ReplayMove.RESUME: ("Resume", "It goes on."),
        ReplayMove.CANCEL: ("Stop", "Stopped; {done}."),
    }
    return (
        ApiRoute(
            method="POST",
            path=path,
            handler=errand.create,
            id=f"create{name}",
            tag="Dead letters",
            summary=summary,
            access="deliveries:replay",
            query=NoQuery,
            body=body,
            answers={202: Returned(document, "Counted; the workers work it off.", ("Location",))},
        ),
        ApiRoute(
            method="GET",
            path=path,
            handler=errand.page,
            id=f"list{name}s",
            tag="Dead letters",
            summary=f"List {errand.noun}s",
            access="tasks:read",
            query=listing,
            answers=lists(document),
        ),
        ApiRoute(
            method="GET",
            path=one,
            path_example=example,
            handler=errand.show,
            id=f"get{name}",
            tag="Dead letters",
            summary=f"See how far a {errand.noun} is",
            access="tasks:read",
            query=NoQuery,
            answers=shows(document),
        ),
        ApiRoute(
            method="PATCH",
            path=one,
            path_example=example,
            handler=errand.pace,
            id=f"change{name}",
            tag="Dead letters",
            summary=f"Let a {errand.noun} go on at another pace",
            access="deliveries:replay",
            query=NoQuery,
            body=ReplayChange,
            answers={200: Returned(document, "As it is now.")},
            conflicts=True,
        ),
        *(
            ApiRoute(
                method="POST",
                path=f"{one}/{move}",
                path_example=example,
                handler=errand.moves(move),
                id=f"{move}{name}",
                tag="Dead letters",
                summary=f"{verb} a {errand.noun}",
                access="deliveries:replay",
                query=NoQuery,
                body=NoBody,
                may_be_empty=True,
                answers={202: Returned(document, meaning.format(done=done))},
                conflicts=True,
            )
            for move, (verb, meaning) in told.items()
        ),
    )


ROUTES: Final = errand_routes(
    REPLAY,
    ReplayListing,
    ReplayCreate,
    ReplayDocument,
    summary="Replay many dead letters, or send now what waits, at a pace",
    done="what it has put back stays there",
)
