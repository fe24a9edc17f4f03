"""Replays and discards of many as rows, read with what became of them. Orders are `replay_orders`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Integer, bindparam, case, func, select, text

from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import deliveries, replays
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DeliveryState, ReplayState
from webhookd.core.records import Bounds
from webhookd.core.replay import DeadLetterFilter, Deed, Place, Replay

UNDER_WAY: Final = text("replays.state IN ('running', 'paused')")


class ReplayRow(NamedTuple):
    id: str
    partner_id: str | None
    filter: str
    dry_run: bool
    rate_per_second: float
    state: str
    matched: int
    replayed: int
    position: str | None
    created_ms: int
    finished_ms: int | None
    deed: str | None
    reason: str | None
    started_by: str | None


OWNED: Final = replays.c.partner_id == bindparam("partner_id")
# What an older release wrote has no deed: it knew one.
OF_DEED: Final = func.coalesce(replays.c.deed, Deed.REPLAY.value) == bindparam("deed")
_ONE: Final = Listing(
    ReplayRow,
    lambda _, given: narrowed(
        select(replays).where(replays.c.id == bindparam("replay_id"), OF_DEED), given, partner_id=OWNED
    ),
)


def get_replay(tx: Tx, replay_id: str, partner_id: str | None, deed: Deed = Deed.REPLAY) -> Replay | None:
    """Return a replay; None where it does not exist, is another partner's, or does another deed."""
    row = tx.first(_ONE, replay_id=replay_id, partner_id=partner_id, deed=deed)
    return None if row is None else with_outcomes(tx, [replay_from(row)])[0]


_PAGE: Final = Listing(
    ReplayRow,
    lambda _, given: narrowed(
        select(replays).where(OF_DEED).order_by(replays.c.id.desc()).limit(bindparam("most", type_=Integer)),
        given,
        partner_id=OWNED,
        cursor=replays.c.id < bindparam("cursor"),
        state=replays.c.state == bindparam("state"),
        dry_run=replays.c.dry_run == bindparam("dry_run"),
    ),
)


def list_replays(
    tx: Tx,
    partner_id: str | None,
    page: Bounds,
    deed: Deed = Deed.REPLAY,
    *,
    state: ReplayState | None = None,
    dry_run: bool | None = None,
) -> tuple[list[Replay], str | None]:
    """Return a page of replays (in a state; dry runs or others), newest first, and a cursor or None."""
    rows = tx.stream(
        _PAGE,
        partner_id=partner_id,
        cursor=page.cursor,
        deed=deed,
        state=state,
        dry_run=dry_run,
        most=page.limit + 1,
    )
    shown, more = take_page(rows, page.limit)
    found = with_outcomes(tx, [replay_from(row) for row in shown])
    return found, found[-1].id if more else None


class _Outcomes(NamedTuple):
    replay_id: str
    delivered: int
    failed_again: int


def _outcomes(dialect: str) -> Any:
    """Count what became of deliveries put back, by the index of replays, in which all of it stands."""
    state = deliveries.c.state
    waits_again = (
        (state == DeliveryState.PENDING.value)
        & (deliveries.c.attempts > deliveries.c.replayed_attempts)
        & deliveries.c.session_id.is_(None)
    )
    failed = (state == DeliveryState.DEAD.value) | waits_again
    return (
        select(
            deliveries.c.replay_id,
            func.sum(case((state == DeliveryState.DELIVERED.value, 1), else_=0)).label("delivered"),
            func.sum(case((failed, 1), else_=0)).label("failed_again"),
        )
        .where(named(dialect, deliveries.c.replay_id, "ids"), text("deliveries.replay_id IS NOT NULL"))
        .group_by(deliveries.c.replay_id)
    )


_OUTCOMES: Final = Query(_Outcomes, _outcomes)


def with_outcomes(tx: Tx, found: Sequence[Replay]) -> list[Replay]:
    """Return replays with what has become of what they put back."""
    if not found:
        return []
    counts = {row.replay_id: row for row in tx.run(_OUTCOMES, ids=[one.id for one in found])}
    return [
        replace(one, delivered=int(counts[one.id].delivered), failed_again=int(counts[one.id].failed_again))
        if one.id in counts
        else one
        for one in found
    ]


_RUNNING: Final = Query(
    ReplayRow,
    lambda _: select(replays).where(replays.c.state == ReplayState.RUNNING.value).order_by(replays.c.id),
)


def running_replays(tx: Tx) -> list[Replay]:
    """Return the replays and discards that are under way and not paused, oldest first."""
    return [replay_from(row) for row in tx.run(_RUNNING)]


def replay_from(row: ReplayRow) -> Replay:
    """Return a row as a replay, without its outcomes."""
    return filled(
        Replay,
        row,
        filter=_filter_from(row.filter),
        state=ReplayState(row.state),
        place=None if row.position is None else Place(**orjson.loads(row.position)),
        deed=Deed(row.deed or Deed.REPLAY),
        started_by=row.started_by or "",
    )


def _filter_from(stored: str) -> DeadLetterFilter:
    given = orjson.loads(stored)
    return DeadLetterFilter(**(given | {"ids": tuple(given["ids"])} if "ids" in given else given))
