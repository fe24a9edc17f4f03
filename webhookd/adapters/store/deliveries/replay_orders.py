"""Asking for replays and discards of many, pausing, pacing and ending them. Steps are `replay_steps`'."""

from dataclasses import asdict, replace
from typing import Final

import orjson
from sqlalchemy import bindparam, func, select

from webhookd.adapters.store.deliveries.dead_letters import count_letters
from webhookd.adapters.store.deliveries.replays import (
    OF_DEED,
    OWNED,
    UNDER_WAY,
    ReplayRow,
    replay_from,
    with_outcomes,
)
from webhookd.adapters.store.deliveries.waiting import count_waiting
from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import partners, replays
from webhookd.adapters.store.statement import Change, Listing, Query, UnnamedCount, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, QuotaExceeded
from webhookd.core.model import DELIVER_QUEUE, REPLAYS, ReplayMove, ReplayState
from webhookd.core.replay import DeadLetterFilter, Deed, Place, Replay, paced

MAX_RUNNING: Final = 10
"""Replays and discards of one partner that are under way at a time."""
QUOTA_RETRY_SECONDS: Final = 30.0

_INSERT: Final = Change(lambda _: replays.insert())


def create_replay(tx: Tx, asked: Replay) -> Replay:
    """Write a replay down. A dry run, or one that matches nothing, is done already.

    Rings for deliveries: whoever hears it sweeps, and takes the first step. Raises QuotaExceeded where
    MAX_RUNNING of the partner are under way.
    """
    over = asked.dry_run or asked.matched == 0
    if not over and asked.partner_id is not None:
        _require_room(tx, asked.partner_id)
    replay = replace(asked, state=ReplayState.RUNNING)
    if over:
        replay = ended(replay, ReplayMove.FINISH, asked.created_ms)
    tx.run(
        _INSERT,
        id=replay.id,
        partner_id=replay.partner_id,
        filter=_text(replay.filter),
        dry_run=replay.dry_run,
        rate_per_second=replay.rate_per_second,
        state=replay.state,
        matched=replay.matched,
        replayed=0,
        position=None,
        created_ms=replay.created_ms,
        finished_ms=replay.finished_ms,
        deed=replay.deed,
        reason=replay.reason,
        started_by=replay.started_by,
    )
    tx.wakes.ring(DELIVER_QUEUE)
    return replay


def ended(replay: Replay, move: ReplayMove, now_ms: int) -> Replay:
    """Return the replay after a move that ends it."""
    return replace(replay, state=REPLAYS.next(replay.state, move), finished_ms=now_ms)


_LOCK_PARTNER: Final = Query(
    Id,
    lambda _: select(partners.c.id).where(partners.c.id == bindparam("partner_id")).with_for_update(),
)


_COUNT_UNDER_WAY: Final = Query(
    UnnamedCount,
    lambda _: (
        select(func.count())
        .select_from(replays)
        .where(replays.c.partner_id == bindparam("partner_id"), UNDER_WAY)
    ),
)


def _require_room(tx: Tx, partner_id: str) -> None:
    # The partner's row stands for its replays, so that two at once are counted one by one.
    tx.run(_LOCK_PARTNER, partner_id=partner_id)
    (running,) = tx.run(_COUNT_UNDER_WAY, partner_id=partner_id)
    if running.count_1 >= MAX_RUNNING:
        raise QuotaExceeded(
            f"{MAX_RUNNING} replays of this partner are under way; wait for one, or cancel one.",
            retry_after_seconds=QUOTA_RETRY_SECONDS,
        )


def count_matches(tx: Tx, asked: Replay) -> int:
    """Return how many a replay matches. A million take a second or so."""
    if asked.takes_waiting:
        return count_waiting(tx, asked.partner_id, asked.wanted)
    return count_letters(tx, asked.partner_id, asked.wanted, replayable=asked.deed is Deed.REPLAY)


_LOCK: Final = Listing(
    ReplayRow,
    lambda _, given: narrowed(
        select(replays).where(replays.c.id == bindparam("replay_id"), OF_DEED).with_for_update(),
        given,
        partner_id=OWNED,
    ),
)


def move_replay(
    tx: Tx, replay_id: str, partner_id: str | None, move: ReplayMove, deed: Deed = Deed.REPLAY
) -> tuple[Replay, bool] | None:
    """Pause, resume or cancel; return the replay and whether it moved. None: unknown or foreign.

    One that is where the move leads stays as it is. Raises Conflict where it is over.
    """
    row = tx.first(_LOCK, replay_id=replay_id, partner_id=partner_id, deed=deed)
    if row is None:
        return None
    replay = replay_from(row)
    if not REPLAYS.allows(replay.state, move):
        if replay.state not in {REPLAYS.next(state, move) for state in REPLAYS.sources(move)}:
            raise Conflict(f"The {deed.value} is {replay.state.value} already.")
        return with_outcomes(tx, [replay])[0], False
    if move is ReplayMove.CANCEL:
        replay = ended(replay, move, tx.now_ms)
    else:
        replay = replace(replay, state=REPLAYS.next(replay.state, move))
    _save_and_ring(tx, replay)
    return with_outcomes(tx, [replay])[0], True


def pace_replay(
    tx: Tx,
    replay_id: str,
    partner_id: str | None,
    rate_per_second: float,
    deed: Deed = Deed.REPLAY,
) -> Replay | None:
    """Let a replay go on at another rate. None: unknown or foreign. Raises Conflict where it is over."""
    row = tx.first(_LOCK, replay_id=replay_id, partner_id=partner_id, deed=deed)
    if row is None:
        return None
    replay = replay_from(row)
    if replay.finished_ms is not None:
        raise Conflict(f"The {deed.value} is {replay.state.value} already.")
    replay = paced(replay, rate_per_second, now_ms=tx.now_ms)
    _save_and_ring(tx, replay)
    return with_outcomes(tx, [replay])[0]


def _save_and_ring(tx: Tx, replay: Replay) -> None:
    save(tx, replay)
    if replay.state is ReplayState.RUNNING:
        tx.wakes.ring(DELIVER_QUEUE)


_LOCK_STEP: Final = Query(
    ReplayRow,
    lambda _: select(replays).where(replays.c.id == bindparam("replay_id")).with_for_update(skip_locked=True),
)


def lock_for_step(tx: Tx, replay_id: str) -> Replay | None:
    """Return a replay with its row locked; None where another process has it."""
    row = tx.first(_LOCK_STEP, replay_id=replay_id)
    return None if row is None else replay_from(row)


_SAVE: Final = Change(
    lambda _: (
        replays.update()
        .where(replays.c.id == bindparam("replay_id"))
        .values(
            state=bindparam("state"),
            rate_per_second=bindparam("rate_per_second"),
            replayed=bindparam("replayed"),
            position=bindparam("position"),
            finished_ms=bindparam("finished_ms"),
        )
    )
)


def save(tx: Tx, replay: Replay) -> None:
    """Write what may change of a replay whose row is locked."""
    tx.run(
        _SAVE,
        replay_id=replay.id,
        state=replay.state,
        rate_per_second=replay.rate_per_second,
        replayed=replay.replayed,
        position=None if replay.place is None else _text(replay.place),
        finished_ms=replay.finished_ms,
    )


def _text(value: DeadLetterFilter | Place) -> str:
    """Return JSON with what is set."""
    return orjson.dumps({name: one for name, one in asdict(value).items() if one is not None}).decode()
