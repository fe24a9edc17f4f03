"""Replays of many dead letters: their rows, and one bounded step of one of them.

A step is one transaction that locks the replay's row, so that any process may take it and two never do
the same one: what is written there (place, count, state) moves together with what was put back to work.
"""

from dataclasses import asdict, replace
from typing import Any, Final

import orjson
from sqlalchemy import Row, Select, func, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.dead_letters import (
    Bounds,
    DeadLetterMoves,
    count_replayable,
    read_dead_letters,
)
from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.schema import partners, replays
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, QuotaExceeded
from webhookd.core.rate import Line
from webhookd.core.records import Page
from webhookd.core.replay import Advanced, DeadLetterFilter, Place, Replay, ReplayState

MAX_RUNNING: Final = 10
"""Replays of one partner that are under way at a time."""

QUOTA_RETRY_SECONDS: Final = 30.0


def create_replay(tx: Tx, asked: Replay) -> Replay:
    """Write a replay down. A dry run, or one that matches nothing, is done already.

    Raises QuotaExceeded where MAX_RUNNING of the partner are under way.
    """
    over = asked.dry_run or asked.matched == 0
    if not over and asked.partner_id is not None:
        _require_room(tx, asked.partner_id)
    replay = replace(
        asked,
        state=ReplayState.DONE if over else ReplayState.RUNNING,
        finished_ms=asked.created_ms if over else None,
    )
    tx.execute(
        replays.insert(),
        {
            "id": replay.id,
            "partner_id": replay.partner_id,
            "filter": orjson.dumps(asdict(replay.filter)).decode(),
            "dry_run": replay.dry_run,
            "rate_per_second": replay.rate_per_second,
            "state": replay.state.value,
            "matched": replay.matched,
            "replayed": 0,
            "position": None,
            "created_ms": replay.created_ms,
            "finished_ms": replay.finished_ms,
        },
    )
    return replay


def _require_room(tx: Tx, partner_id: str) -> None:
    # The partner's row stands for its replays, so that two at once are counted one by one.
    tx.execute(select(partners.c.id).where(partners.c.id == partner_id).with_for_update()).all()
    running = (
        select(func.count())
        .select_from(replays)
        .where(replays.c.partner_id == partner_id, replays.c.state == ReplayState.RUNNING.value)
    )
    if tx.execute(running).scalar_one() >= MAX_RUNNING:
        raise QuotaExceeded(
            f"{MAX_RUNNING} replays of this partner are under way; wait for one, or cancel one.",
            retry_after_seconds=QUOTA_RETRY_SECONDS,
        )


def get_replay(tx: Tx, replay_id: str, partner_id: str | None) -> Replay | None:
    """Return a replay; None where it does not exist or is another partner's."""
    row = tx.execute(_one(replay_id, partner_id)).one_or_none()
    return None if row is None else _replay_from(row)


def list_replays(tx: Tx, partner_id: str | None, page: Page) -> tuple[list[Replay], str | None]:
    """Return a page of replays, newest first, and the cursor of the next page or None."""
    statement = _owned(select(replays), partner_id).order_by(replays.c.id.desc())
    if page.cursor is not None:
        statement = statement.where(replays.c.id < page.cursor)
    rows, more = read_page(tx, statement, page.limit)
    found = [_replay_from(row) for row in rows]
    return found, found[-1].id if more else None


def running_replays(tx: Tx) -> list[Replay]:
    """Return the replays that are under way, oldest first."""
    running = select(replays).where(replays.c.state == ReplayState.RUNNING.value).order_by(replays.c.id)
    return [_replay_from(row) for row in tx.execute(running)]


def cancel_replay(tx: Tx, replay_id: str, partner_id: str | None, now_ms: int) -> Replay | None:
    """Stop a running replay; what it has put back stays. None: unknown or foreign.

    Returns one cancelled before unchanged. Raises Conflict where it is done.
    """
    row = tx.execute(_one(replay_id, partner_id).with_for_update()).one_or_none()
    if row is None:
        return None
    replay = _replay_from(row)
    if replay.state is ReplayState.DONE:
        raise Conflict("The replay is done already.")
    if replay.state is ReplayState.RUNNING:
        replay = replace(replay, state=ReplayState.CANCELLED, finished_ms=now_ms)
        _save(tx, replay)
    return replay


class ReplaySteps:
    """One step of a replay; a function for `Database.write`."""

    def __init__(self, *, moves: DeadLetterMoves) -> None:
        self._moves = moves

    def advance(self, tx: Tx, seen: Replay, allowed: Line, take: int, now_ms: int) -> Advanced | None:
        """Put the next `take` dead letters of the replay back to work.

        None where it is no longer as it was `seen`: another process has taken this step, or it is over.
        """
        locked = _one(seen.id, None).with_for_update(skip_locked=True)
        row = tx.execute(locked).one_or_none()
        if row is None or _replay_from(row) != seen or seen.state is not ReplayState.RUNNING:
            return None
        after = None if seen.place is None else (seen.place.at_ms, seen.place.id)
        letters = read_dead_letters(
            tx,
            seen.partner_id,
            _until(seen),
            Bounds(after=after, oldest_first=True, replayable=True),
            limit=take,
        )
        replayed = self._moves.replay_all(tx, letters, now_ms=now_ms) if letters else 0
        over = len(letters) < take
        place = seen.place
        if letters:
            last = letters[-1]
            place = Place(at_ms=last.at_ms, id=last.id, next_ms=allowed.after(len(letters)))
        moved = replace(
            seen,
            place=place,
            replayed=seen.replayed + replayed,
            state=ReplayState.DONE if over else seen.state,
            finished_ms=now_ms if over else None,
        )
        _save(tx, moved)
        return Advanced(replay=moved, replayed=replayed)


class Replays:
    """Replays under way and past. `advance` and `running` are what the replay flow needs."""

    def __init__(self, db: Database, *, moves: DeadLetterMoves) -> None:
        self._db = db
        self._steps = ReplaySteps(moves=moves)

    async def get(self, replay_id: str, partner_id: str | None) -> Replay | None:
        """Return a replay; None where it is unknown or another partner's."""
        return await self._db.read(get_replay, replay_id, partner_id)

    async def page(self, partner_id: str | None, page: Page) -> tuple[list[Replay], str | None]:
        """Return a page, newest first, and the next cursor."""
        return await self._db.read(list_replays, partner_id, page)

    async def count(self, asked: Replay) -> int:
        """Return how many dead letters a replay matches. A read: a million take a second or so."""
        return await self._db.read(count_replayable, asked.partner_id, _until(asked))

    async def running(self) -> list[Replay]:
        """Return the replays that are under way, oldest first."""
        return await self._db.read(running_replays)

    async def advance(self, seen: Replay, allowed: Line, *, take: int, now_ms: int) -> Advanced | None:
        """Take one step; None where another process has, or the replay is over."""
        return await self._db.write(self._steps.advance, seen, allowed, take, now_ms)


def _until(replay: Replay) -> DeadLetterFilter:
    """Return the replay's filter, bounded by its own beginning."""
    wanted = replay.filter
    until_ms = replay.created_ms + 1
    return replace(wanted, until_ms=until_ms if wanted.until_ms is None else min(wanted.until_ms, until_ms))


def _save(tx: Tx, replay: Replay) -> None:
    tx.execute(
        replays.update()
        .where(replays.c.id == replay.id)
        .values(
            state=replay.state.value,
            replayed=replay.replayed,
            position=None if replay.place is None else orjson.dumps(asdict(replay.place)).decode(),
            finished_ms=replay.finished_ms,
        )
    )


def _one(replay_id: str, partner_id: str | None) -> Select[Any]:
    return _owned(select(replays).where(replays.c.id == replay_id), partner_id)


def _owned(statement: Select[Any], partner_id: str | None) -> Select[Any]:
    return statement if partner_id is None else statement.where(replays.c.partner_id == partner_id)


def _replay_from(row: Row[Any]) -> Replay:
    return Replay(
        id=row.id,
        partner_id=row.partner_id,
        filter=DeadLetterFilter(**orjson.loads(row.filter)),
        dry_run=bool(row.dry_run),
        rate_per_second=row.rate_per_second,
        state=ReplayState(row.state),
        matched=row.matched,
        replayed=row.replayed,
        place=None if row.position is None else Place(**orjson.loads(row.position)),
        created_ms=row.created_ms,
        finished_ms=row.finished_ms,
    )
