"""Claiming tasks: a queue is entered, what waits is looked at, and what was chosen is taken.

Claims of one queue stand in line on the queue's row (PostgreSQL) or on the writer's lock (SQLite), so that
fair shares and type limits are exact without any leader. A task that comes alone is claimed in three
statements: enter the queue, look at what waits (`choosing`), take it (`taken`).
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, literal_column, select

from webhookd.adapters.store.schema import queues, sessions
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tasks.choosing import choose, look
from webhookd.adapters.store.tasks.taken import take
from webhookd.adapters.store.tasks.type_limits import spend_rates, types_with_room
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import Claim, ClaimTasks


class _Queue(NamedTuple):
    paused_ms: int | None
    vtime: float


def _enter(_dialect: str) -> Select[Any]:
    """Lock a queue, so that its claims come one after the other, and hold the session that claims.

    A session that is held is not taken back until this transaction ends: a claim that commits after the
    sweep's look would leave rows with a holder nobody watches. A renewal does not wait for it (FOR KEY
    SHARE). No row: the queue or the session is gone.
    """
    holding = (
        select(sessions.c.id)
        .where(sessions.c.id == bindparam("session_id"))
        .with_for_update(read=True, key_share=True)
        .subquery("holding")
    )
    return (
        select(queues.c.paused_ms, queues.c.vtime)
        .join_from(queues, holding, literal_column("true"))
        .where(queues.c.name == bindparam("queue"))
        .with_for_update(of=queues)
    )


_ENTER: Final = Query(_Queue, _enter)


def claim(tx: Tx, requests: Sequence[ClaimTasks]) -> list[Claim | Exception]:
    """Serve the requests one after the other."""
    return [_claim(tx, request) for request in requests]


def _claim(tx: Tx, request: ClaimTasks) -> Claim:
    queue = tx.first(_ENTER, queue=request.queue, session_id=request.session_id)
    if queue is None or queue.paused_ms is not None:
        return Claim()
    open_types, again_ms = types_with_room(tx, request)
    if not open_types:
        return Claim(again_ms=again_ms)
    waiting = look(tx, request, open_types)
    suspect_id = waiting[0].suspect_id if waiting else None
    if suspect_id is not None and request.idle:
        chosen: dict[str, str | None] = {suspect_id: None}
    elif request.free > 0:
        partners = {row.id: row.partner_id for row in waiting}
        dealt = choose(tx, request, open_types, waiting, queue.vtime)
        chosen = {task_id: partners[task_id] for task_id in dealt}
    else:
        chosen = {}
    claimed = take(tx, request, chosen) if chosen else []
    spend_rates(tx, request, claimed)
    if len(chosen) >= request.free > 0 or any(task.suspect for task in claimed):
        again_ms = request.now_ms
    return Claim(
        tasks=tuple(claimed),
        again_ms=again_ms,
        suspect_waits=suspect_id is not None and not request.idle,
    )
