"""Replays of many dead letters: their rows, and one bounded step of one of them.

A step is one transaction that locks the replay's row, so that any process may take it and two never do
the same one: what is written there (place, count, state) moves together with what was put back to work.
"""

from dataclasses import asdict, replace
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Integer, bindparam, func, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.dead_letters import (
    Bounds,
    count_replayable,
    read_dead_letters,
    replay_dead_letters,
)
from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import partners, replays
from webhookd.adapters.store.statement import Change, Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, QuotaExceeded
from webhookd.core.model import DELIVER_QUEUE, REPLAYS, ReplayMove, ReplayState
from webhookd.core.rate import Line
from webhookd.core.records import Page
from webhookd.core.replay import Advanced, DeadLetterFilter, Place, Replay

MAX_RUNNING: Final = 10
"""Replays of one partner that are under way at a time."""

QUOTA_RETRY_SECONDS: Final = 30.0


class Replays:
    """Replays under way, as the replay flow works them off."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def running(self) -> list[Replay]:
        """Return the replays that are under way, oldest first."""
        return await self._db.read(running_replays)

    async def advance(self, seen: Replay, allowed: Line, *, take: int, now_ms: int) -> Advanced | None:
        """Take one step; None where another process has, or the replay is over."""
        return await self._db.write(advance_replay, seen, allowed, take, now_ms)


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
        replay = _ended(replay, ReplayMove.FINISH, asked.created_ms)
    tx.run(
        _INSERT,
        id=replay.id,
        partner_id=replay.partner_id,
        filter=orjson.dumps(asdict(replay.filter)).decode(),
        dry_run=replay.dry_run,
        rate_per_second=replay.rate_per_second,
        state=replay.state,
        matched=replay.matched,
        replayed=0,
        position=None,
        created_ms=replay.created_ms,
        finished_ms=replay.finished_ms,
    )
    tx.wakes.ring(DELIVER_QUEUE)
    return replay


def _ended(replay: Replay, move: ReplayMove, now_ms: int) -> Replay:
    return replace(replay, state=REPLAYS.next(replay.state, move), finished_ms=now_ms)


class _Count(NamedTuple):
    count_1: int


_LOCK_PARTNER: Final = Query(
    Id,
    lambda _: select(partners.c.id).where(partners.c.id == bindparam("partner_id")).with_for_update(),
)
_COUNT_RUNNING: Final = Query(
    _Count,
    lambda _: (
        select(func.count())
        .select_from(replays)
        .where(replays.c.partner_id == bindparam("partner_id"), replays.c.state == ReplayState.RUNNING.value)
    ),
)


def _require_room(tx: Tx, partner_id: str) -> None:
    # The partner's row stands for its replays, so that two at once are counted one by one.
    tx.run(_LOCK_PARTNER, partner_id=partner_id)
    (running,) = tx.run(_COUNT_RUNNING, partner_id=partner_id)
    if running.count_1 >= MAX_RUNNING:
        raise QuotaExceeded(
            f"{MAX_RUNNING} replays of this partner are under way; wait for one, or cancel one.",
            retry_after_seconds=QUOTA_RETRY_SECONDS,
        )


def count_matches(tx: Tx, asked: Replay) -> int:
    """Return how many dead letters a replay matches. A million take a second or so."""
    return count_replayable(tx, asked.partner_id, _until(asked))


class _Replay(NamedTuple):
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


_OWNED: Final = replays.c.partner_id == bindparam("partner_id")
_ONE: Final = Listing(
    _Replay,
    lambda _, given: narrowed(
        select(replays).where(replays.c.id == bindparam("replay_id")), given, partner_id=_OWNED
    ),
)


def get_replay(tx: Tx, replay_id: str, partner_id: str | None) -> Replay | None:
    """Return a replay; None where it does not exist or is another partner's."""
    row = tx.first(_ONE, replay_id=replay_id, partner_id=partner_id)
    return None if row is None else _replay_from(row)


_PAGE: Final = Listing(
    _Replay,
    lambda _, given: narrowed(
        select(replays).order_by(replays.c.id.desc()).limit(bindparam("most", type_=Integer)),
        given,
        partner_id=_OWNED,
        cursor=replays.c.id < bindparam("cursor"),
    ),
)


def list_replays(tx: Tx, partner_id: str | None, page: Page) -> tuple[list[Replay], str | None]:
    """Return a page of replays, newest first, and the cursor of the next page or None."""
    rows = tx.stream(_PAGE, partner_id=partner_id, cursor=page.cursor, most=page.limit + 1)
    shown, more = take_page(rows, page.limit)
    found = [_replay_from(row) for row in shown]
    return found, found[-1].id if more else None


_RUNNING: Final = Query(
    _Replay,
    lambda _: select(replays).where(replays.c.state == ReplayState.RUNNING.value).order_by(replays.c.id),
)


def running_replays(tx: Tx) -> list[Replay]:
    """Return the replays that are under way, oldest first."""
    return [_replay_from(row) for row in tx.run(_RUNNING)]


_LOCK: Final = Listing(
    _Replay,
    lambda _, given: narrowed(
        select(replays).where(replays.c.id == bindparam("replay_id")).with_for_update(),
        given,
        partner_id=_OWNED,
    ),
)


def cancel_replay(tx: Tx, replay_id: str, partner_id: str | None, now_ms: int) -> Replay | None:
    """Stop a running replay; what it has put back stays. None: unknown or foreign.

    Returns one cancelled before unchanged. Raises Conflict where it is done.
    """
    row = tx.first(_LOCK, replay_id=replay_id, partner_id=partner_id)
    if row is None:
        return None
    replay = _replay_from(row)
    if replay.state is ReplayState.DONE:
        raise Conflict("The replay is done already.")
    if REPLAYS.allows(replay.state, ReplayMove.CANCEL):
        replay = _ended(replay, ReplayMove.CANCEL, now_ms)
        _save(tx, replay)
    return replay


_LOCK_STEP: Final = Query(
    _Replay,
    lambda _: select(replays).where(replays.c.id == bindparam("replay_id")).with_for_update(skip_locked=True),
)


def advance_replay(tx: Tx, seen: Replay, allowed: Line, take: int, now_ms: int) -> Advanced | None:
    """Put the next `take` dead letters of the replay back to work.

    None where it is no longer as it was `seen`: another process has taken this step, or it is over.
    """
    row = tx.first(_LOCK_STEP, replay_id=seen.id)
    if row is None or _replay_from(row) != seen or seen.state is not ReplayState.RUNNING:
        return None
    letters = read_dead_letters(
        tx,
        seen.partner_id,
        _until(seen),
        Bounds(
            after=None if seen.place is None else (seen.place.at_ms, seen.place.id),
            oldest_first=True,
            replayable=True,
        ),
        limit=take,
    )
    replayed = replay_dead_letters(tx, letters, now_ms=now_ms) if letters else 0
    place = seen.place
    if letters:
        last = letters[-1]
        place = Place(at_ms=last.at_ms, id=last.id, next_ms=allowed.after(len(letters)))
    moved = replace(seen, place=place, replayed=seen.replayed + replayed)
    if len(letters) < take:
        moved = _ended(moved, ReplayMove.FINISH, now_ms)
    _save(tx, moved)
    return Advanced(replay=moved, replayed=replayed)


def _until(replay: Replay) -> DeadLetterFilter:
    """Return the replay's filter, bounded by its own beginning."""
    wanted = replay.filter
    until_ms = replay.created_ms + 1
    return replace(wanted, until_ms=until_ms if wanted.until_ms is None else min(wanted.until_ms, until_ms))


_SAVE: Final = Change(
    lambda _: (
        replays.update()
        .where(replays.c.id == bindparam("replay_id"))
        .values(
            state=bindparam("state"),
            replayed=bindparam("replayed"),
            position=bindparam("position"),
            finished_ms=bindparam("finished_ms"),
        )
    )
)


def _save(tx: Tx, replay: Replay) -> None:
    tx.run(
        _SAVE,
        replay_id=replay.id,
        state=replay.state,
        replayed=replay.replayed,
        position=None if replay.place is None else orjson.dumps(asdict(replay.place)).decode(),
        finished_ms=replay.finished_ms,
    )


def _replay_from(row: _Replay) -> Replay:
    return Replay(
        id=row.id,
        partner_id=row.partner_id,
        filter=DeadLetterFilter(**orjson.loads(row.filter)),
        dry_run=row.dry_run,
        rate_per_second=row.rate_per_second,
        state=ReplayState(row.state),
        matched=row.matched,
        replayed=row.replayed,
        place=None if row.position is None else Place(**orjson.loads(row.position)),
        created_ms=row.created_ms,
        finished_ms=row.finished_ms,
    )
