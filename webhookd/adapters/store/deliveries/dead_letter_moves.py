"""Discarding dead letters and replaying them, one or a step of many."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, select

from webhookd.adapters.store.deliveries.dead_letters import DEAD_DELIVERY, DEAD_TASK, get_dead_letter, is_task
from webhookd.adapters.store.deliveries.replaying import replay_deliveries
from webhookd.adapters.store.lanes.release import lock_lanes_of
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import deliveries, tasks
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tasks.tasks import replay_task
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict
from webhookd.core.records import DeadLetter
from webhookd.core.replay import KINDS


def _discard_task(given: frozenset[str]) -> Any:
    statement = tasks.update().where(tasks.c.id == bindparam("letter_id"), DEAD_TASK).values(dead_ms=None)
    if "partner_id" in given:
        statement = statement.where(tasks.c.partner_id == bindparam("partner_id"))
    return statement.returning(tasks.c.id)


def _discard_delivery(given: frozenset[str]) -> Any:
    statement = (
        deliveries.update()
        .where(deliveries.c.id == bindparam("letter_id"), DEAD_DELIVERY)
        .values(discarded_ms=bindparam("now_ms"))
    )
    if "partner_id" in given:
        statement = statement.where(deliveries.c.partner_id == bindparam("partner_id"))
    return statement.returning(deliveries.c.id)


_DISCARD_TASK: Final = Listing(Id, lambda _, given: _discard_task(given))
_DISCARD_DELIVERY: Final = Listing(Id, lambda _, given: _discard_delivery(given))


def discard_dead_letter(tx: Tx, letter_id: str, partner_id: str | None, now_ms: int) -> bool:
    """Strike a dead letter off; the delivery or task stays as it ended. False: unknown, foreign, not dead."""
    if is_task(letter_id):
        return bool(tx.run(_DISCARD_TASK, letter_id=letter_id, partner_id=partner_id))
    return bool(tx.run(_DISCARD_DELIVERY, letter_id=letter_id, partner_id=partner_id, now_ms=now_ms))


def _discard_many(table: Any, dead: Any, **values: Any) -> Query[Id]:
    return Query(
        Id,
        lambda dialect: (
            table.update()
            .where(named(dialect, table.c.id, "ids"), dead)
            .values(**values)
            .returning(table.c.id)
        ),
    )


_DISCARD_TASKS: Final = _discard_many(tasks, DEAD_TASK, dead_ms=None)
_DISCARD_DELIVERIES: Final = _discard_many(deliveries, DEAD_DELIVERY, discarded_ms=bindparam("now_ms"))


def discard_dead_letters(tx: Tx, letters: Sequence[DeadLetter], *, now_ms: int) -> int:
    """Strike dead letters off and return how many were; those not dead any more are left alone."""
    ids_of = {kind: [letter.id for letter in letters if letter.kind == kind] for kind in KINDS}
    lock_lanes_of(tx, ids_of["delivery"])
    gone = tx.run(_DISCARD_DELIVERIES, ids=ids_of["delivery"], now_ms=now_ms)
    gone += tx.run(_DISCARD_TASKS, ids=ids_of["task"])
    return len(gone)


def replay_dead_letter(tx: Tx, letter_id: str, partner_id: str | None, now_ms: int) -> int | None:
    """Put one dead letter back to work; return how many went: one. None: unknown or foreign.

    Raises Conflict where it is not dead (any more), or its endpoint is deleted.
    """
    letter = get_dead_letter(tx, letter_id, partner_id)
    if letter is None:
        if _exists(tx, letter_id, partner_id):
            raise Conflict("It is not a dead letter (any more): it was replayed or discarded.")
        return None
    replayed = replay_dead_letters(tx, [letter], now_ms=now_ms)
    if not replayed:
        raise Conflict("Its endpoint is deleted, or somebody else has replayed it just now.")
    return replayed


def replay_dead_letters(
    tx: Tx, letters: Sequence[DeadLetter], *, now_ms: int, replay_id: str | None = None
) -> int:
    """Put dead letters back to work and return how many went; those not dead any more are left alone."""
    died = [letter.id for letter in letters if letter.kind == "delivery"]
    states = replay_deliveries(tx, died, now_ms=now_ms, replay_id=replay_id)
    moved = [
        task
        for letter in sorted(letters, key=lambda letter: letter.id)
        if letter.kind == "task" and (task := replay_task(tx, letter.id, letter.partner_id)) is not None
    ]
    return len(states) + len(moved)


def _named(table: Any) -> Listing[Id]:
    return Listing(
        Id,
        lambda _, given: narrowed(
            select(table.c.id).where(table.c.id == bindparam("letter_id")),
            given,
            partner_id=table.c.partner_id == bindparam("partner_id"),
        ),
    )


_TASK: Final = _named(tasks)
_DELIVERY: Final = _named(deliveries)


def _exists(tx: Tx, letter_id: str, partner_id: str | None) -> bool:
    there = _TASK if is_task(letter_id) else _DELIVERY
    return bool(tx.run(there, letter_id=letter_id, partner_id=partner_id))
