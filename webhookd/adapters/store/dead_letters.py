"""Dead letters: what ran out of attempts, deliveries and tasks together, in the order they died.

They are no table of their own: a dead letter is a dead delivery nobody discarded, or a failed task with
a time of death. So nothing can be in one place and not in the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, or_, select, text

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.paging import MAX_PAGE_BYTES, row_bytes
from webhookd.adapters.store.replaying import replay_deliveries
from webhookd.adapters.store.schema import deliveries, endpoints, task_bodies, tasks
from webhookd.adapters.store.tasks import replay_task
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.errors import Conflict, Invalid
from webhookd.core.records import DeadLetter, Page
from webhookd.core.replay import DeadLetterFilter

_DEAD_DELIVERY = text("deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL")
_DEAD_TASK = text("tasks.dead_ms IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A slice of the order of death: after `after` and before `before`, both `(at_ms, id)`, both exclusive.

    `replayable` leaves out deliveries that can go nowhere because their endpoint is deleted.
    """

    after: tuple[int, str] | None = None
    before: tuple[int, str] | None = None
    oldest_first: bool = False
    replayable: bool = False


def list_dead_letters(
    tx: Tx, partner_id: str | None, wanted: DeadLetterFilter, page: Page
) -> tuple[list[DeadLetter], str | None]:
    """Return a page of dead letters, newest first, and the cursor of the next page or None.

    Raises Invalid for a cursor that is none of this listing's.
    """
    before = None if page.cursor is None else _read_cursor(page.cursor)
    found = read_dead_letters(tx, partner_id, wanted, Bounds(before=before), limit=page.limit + 1)
    shown = _fitting(found[: page.limit])
    return shown, f"{shown[-1].at_ms}.{shown[-1].id}" if len(found) > len(shown) else None


def _fitting(letters: list[DeadLetter]) -> list[DeadLetter]:
    """Return as many as a page has room for, one at least."""
    left = MAX_PAGE_BYTES
    for count, letter in enumerate(letters):
        left -= row_bytes((letter.url, letter.last_error))
        if left < 0 and count:
            return letters[:count]
    return letters


def read_dead_letters(
    tx: Tx, partner_id: str | None, wanted: DeadLetterFilter, bounds: Bounds, *, limit: int
) -> list[DeadLetter]:
    """Return up to `limit` dead letters within the bounds, deliveries and tasks merged by time of death."""
    found: list[DeadLetter] = []
    for at, key, statement in _halves(partner_id, wanted, replayable=bounds.replayable):
        order = (at, key) if bounds.oldest_first else (at.desc(), key.desc())
        limited = _bounded(statement, at, key, bounds).order_by(*order).limit(limit)
        found.extend(_letter_from(row) for row in tx.execute(limited))
    found.sort(key=lambda letter: (letter.at_ms, letter.id), reverse=not bounds.oldest_first)
    return found[:limit]


def count_replayable(tx: Tx, partner_id: str | None, wanted: DeadLetterFilter) -> int:
    """Return how many dead letters match and could be replayed."""
    return sum(
        tx.execute(statement.with_only_columns(func.count())).scalar_one()
        for _, _, statement in _halves(partner_id, wanted, replayable=True)
    )


def get_dead_letter(tx: Tx, letter_id: str, partner_id: str | None) -> DeadLetter | None:
    """Return a dead letter by the delivery's or task's id; None: unknown, foreign, or not dead (any more)."""
    for _, key, statement in _halves(partner_id, DeadLetterFilter(), replayable=False):
        row = tx.execute(statement.where(key == letter_id)).one_or_none()
        if row is not None:
            return _letter_from(row)
    return None


def discard_dead_letter(tx: Tx, letter_id: str, partner_id: str | None, now_ms: int) -> bool:
    """Strike a dead letter off; the delivery or task stays as it ended. False: unknown, foreign, not dead."""
    if letter_id.startswith(ids.TASK + "_"):
        statement = tasks.update().where(tasks.c.id == letter_id, _DEAD_TASK).values(dead_ms=None)
        owner = tasks.c.partner_id
    else:
        statement = (
            deliveries.update()
            .where(deliveries.c.id == letter_id, _DEAD_DELIVERY)
            .values(discarded_ms=now_ms)
        )
        owner = deliveries.c.partner_id
    if partner_id is not None:
        statement = statement.where(owner == partner_id)
    return bool(tx.execute(statement).rowcount)


class DeadLetterMoves:
    """Replays of dead letters; functions for `Database.write`."""

    def replay(self, tx: Tx, letter_id: str, partner_id: str | None, now_ms: int) -> int | None:
        """Put one dead letter back to work; return how many went: one. None: unknown or foreign.

        Raises Conflict where it is not dead (any more), or its endpoint is deleted.
        """
        letter = get_dead_letter(tx, letter_id, partner_id)
        if letter is None:
            if _exists(tx, letter_id, partner_id):
                raise Conflict("It is not a dead letter (any more): it was replayed or discarded.")
            return None
        replayed = self.replay_all(tx, [letter], now_ms=now_ms)
        if not replayed:
            raise Conflict("Its endpoint is deleted, or somebody else has replayed it just now.")
        return replayed

    def replay_all(self, tx: Tx, letters: Sequence[DeadLetter], *, now_ms: int) -> int:
        """Put dead letters back to work and return how many went; those not dead any more are left alone."""
        states = replay_deliveries(tx, [x.id for x in letters if x.kind == "delivery"], now_ms=now_ms)
        moved = [
            task
            for letter in sorted(letters, key=lambda letter: letter.id)
            if letter.kind == "task" and (task := replay_task(tx, letter.id, letter.partner_id)) is not None
        ]
        return len(states) + len(moved)


class DeadLetters:
    """Reading dead letters; `moves` puts them back to work."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.moves = DeadLetterMoves()

    async def get(self, letter_id: str, partner_id: str | None) -> DeadLetter | None:
        """Return a dead letter; None where it is unknown, another partner's or not dead."""
        return await self._db.read(get_dead_letter, letter_id, partner_id)

    async def page(
        self, partner_id: str | None, wanted: DeadLetterFilter, page: Page
    ) -> tuple[list[DeadLetter], str | None]:
        """Return a page, newest first, and the next cursor. Raises Invalid for a foreign cursor."""
        return await self._db.read(list_dead_letters, partner_id, wanted, page)


def _exists(tx: Tx, letter_id: str, partner_id: str | None) -> bool:
    table: Any = tasks if letter_id.startswith(ids.TASK + "_") else deliveries
    statement = select(table.c.id).where(table.c.id == letter_id)
    if partner_id is not None:
        statement = statement.where(table.c.partner_id == partner_id)
    return tx.execute(statement).one_or_none() is not None


def _halves(
    partner_id: str | None, wanted: DeadLetterFilter, *, replayable: bool
) -> list[tuple[Any, Any, Select[Any]]]:
    """Return `(time of death, id, SELECT)` of the deliveries and of the tasks, as far as they are wanted."""
    halves: list[tuple[Any, Any, Select[Any]]] = []
    if wanted.kind in (None, "delivery"):
        statement = _deliveries()
        if replayable:
            statement = statement.where(endpoints.c.deleted_ms.is_(None))
        if wanted.endpoint_id is not None:
            statement = statement.where(deliveries.c.endpoint_id == wanted.endpoint_id)
        matching = _matching(
            statement,
            wanted,
            partner=(deliveries.c.partner_id, partner_id),
            type_=deliveries.c.task_type,
            reason=deliveries.c.dead_reason,
            at=deliveries.c.ended_ms,
        )
        halves.append((deliveries.c.ended_ms, deliveries.c.id, matching))
    if wanted.kind in (None, "task") and wanted.endpoint_id is None:
        matching = _matching(
            _tasks(),
            wanted,
            partner=(tasks.c.partner_id, partner_id),
            type_=tasks.c.type,
            reason=tasks.c.dead_reason,
            at=tasks.c.dead_ms,
        )
        halves.append((tasks.c.dead_ms, tasks.c.id, matching))
    return halves


def _matching(
    statement: Select[Any],
    wanted: DeadLetterFilter,
    *,
    partner: tuple[Any, str | None],
    type_: Any,
    reason: Any,
    at: Any,
) -> Select[Any]:
    equal = (partner, (type_, wanted.type), (reason, wanted.reason))
    for column, value in equal:
        if value is not None:
            statement = statement.where(column == value)
    if wanted.since_ms is not None:
        statement = statement.where(at >= wanted.since_ms)
    if wanted.until_ms is not None:
        statement = statement.where(at < wanted.until_ms)
    return statement


def _bounded(statement: Select[Any], at: Any, key: Any, bounds: Bounds) -> Select[Any]:
    if bounds.after is not None:
        at_ms, letter_id = bounds.after
        statement = statement.where(at >= at_ms, or_(at > at_ms, key > letter_id))
    if bounds.before is not None:
        at_ms, letter_id = bounds.before
        statement = statement.where(at <= at_ms, or_(at < at_ms, key < letter_id))
    return statement


def _deliveries() -> Select[Any]:
    return (
        select(
            deliveries.c.id,
            deliveries.c.partner_id,
            deliveries.c.ended_ms.label("at_ms"),
            deliveries.c.dead_reason,
            deliveries.c.task_id,
            deliveries.c.task_type.label("type"),
            deliveries.c.endpoint_id,
            func.coalesce(deliveries.c.url, endpoints.c.url).label("url"),
            deliveries.c.event,
            deliveries.c.last_error,
        )
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(_DEAD_DELIVERY)
    )


def _tasks() -> Select[Any]:
    return (
        select(
            tasks.c.id,
            tasks.c.partner_id,
            tasks.c.dead_ms.label("at_ms"),
            tasks.c.dead_reason,
            tasks.c.id.label("task_id"),
            tasks.c.type,
            task_bodies.c.error_code,
            task_bodies.c.error_message,
        )
        .outerjoin(task_bodies, task_bodies.c.task_id == tasks.c.id)
        .where(_DEAD_TASK)
    )


def _letter_from(row: Any) -> DeadLetter:
    is_task = row.id == row.task_id
    return DeadLetter(
        id=row.id,
        kind="task" if is_task else "delivery",
        partner_id=row.partner_id,
        reason=row.dead_reason or "unknown",
        at_ms=row.at_ms,
        task_id=row.task_id,
        endpoint_id=None if is_task else row.endpoint_id,
        url=None if is_task else row.url,
        event=None if is_task else row.event,
        type=row.type,
        last_error=_task_error(row) if is_task else row.last_error,
    )


def _task_error(row: Any) -> str | None:
    if row.error_code is None:
        return None
    return f"{row.error_code}: {row.error_message}" if row.error_message else str(row.error_code)


def _read_cursor(cursor: str) -> tuple[int, str]:
    at_text, _, letter_id = cursor.partition(".")
    if not letter_id or not (at_text.isascii() and at_text.isdigit()) or len(at_text) > 15:
        raise Invalid("The cursor is not one of this listing's.")
    return int(at_text), letter_id
