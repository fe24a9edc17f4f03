"""Claiming tasks: the statement that decides fairness, priority, order, pauses and limits.

Claims of one queue stand in line on the queue's row (PostgreSQL) or on the writer's lock (SQLite), so
that fair shares and type limits are exact without any leader. Which partners have work is read off the
claim index by hopping from partner to partner, so a queue of a million costs as much as one of ten.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Row,
    func,
    select,
)

from webhookd.adapters.store import claim_statements as statements
from webhookd.adapters.store.ends import read_tasks
from webhookd.adapters.store.publish import announce_tasks, partners_listening
from webhookd.adapters.store.rowset import pack, upsert
from webhookd.adapters.store.schema import queues, tasks, type_rates
from webhookd.adapters.store.sessions import hold_session
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import Claim, ClaimTasks, TypeLimit
from webhookd.core.fairness import Contender, deal
from webhookd.core.model import Priority, TaskState
from webhookd.core.rate import Line, line
from webhookd.core.records import ClaimedTask

PARTNERS_A_TURN = 64


class Claims:
    """The grouped write that claims tasks: pass `claim` to `Database.grouped`."""

    def claim(self, tx: Tx, requests: Sequence[ClaimTasks]) -> list[Claim | Exception]:
        """Serve the requests one after the other."""
        return [self._claim(tx, request) for request in requests]

    def _claim(self, tx: Tx, request: ClaimTasks) -> Claim:
        queue = tx.execute(statements.lock_queue(), {"queue": request.queue}).one_or_none()
        if queue is None or queue.paused_ms is not None or not hold_session(tx, request.session_id):
            return Claim()
        open_types, again_ms = self._open_types(tx, request)
        if not open_types:
            return Claim(again_ms=again_ms)
        suspect_ids = self._suspects(tx, request, list(open_types))
        if suspect_ids and request.idle:
            chosen = suspect_ids[:1]
        elif request.free > 0:
            chosen = self._choose(tx, request, open_types, queue.vtime)
        else:
            chosen = []
        claimed = self._take(tx, request, chosen) if chosen else []
        self._spend_rates(tx, request, claimed)
        if len(chosen) >= request.free > 0 or any(task.suspect for task in claimed):
            again_ms = request.now_ms
        return Claim(
            tasks=tuple(claimed),
            again_ms=again_ms,
            suspect_waits=bool(suspect_ids) and not request.idle,
        )

    def _open_types(self, tx: Tx, request: ClaimTasks) -> tuple[dict[str, int], int | None]:
        """Return how many of each type may start now (closed ones left out), and when one may open."""
        open_types = {limit.type: request.free for limit in request.limits}
        capped = [limit for limit in request.limits if limit.concurrency is not None]
        if capped:
            running = tx.execute(
                select(tasks.c.type, func.count().label("n"))
                .where(
                    tasks.c.session_id.is_not(None),
                    tasks.c.type.in_([limit.type for limit in capped]),
                )
                .group_by(tasks.c.type)
            )
            busy = {row.type: row.n for row in running}
            for limit in capped:
                room = (limit.concurrency or 0) - busy.get(limit.type, 0)
                open_types[limit.type] = min(open_types[limit.type], max(room, 0))
        again_ms: int | None = None
        rated = {limit.type: limit for limit in request.limits if limit.rate_per_second}
        if rated:
            stored = tx.execute(select(type_rates).where(type_rates.c.type.in_(list(rated))))
            next_ms = {row.type: row.next_ms for row in stored}
            for name, limit in rated.items():
                due = _line(limit, next_ms.get(name, 0.0), request.now_ms)
                open_types[name] = min(open_types[name], due.count)
                if not due.count:
                    due_ms = int(due.first_ms) + 1
                    again_ms = due_ms if again_ms is None else min(again_ms, due_ms)
        return {name: room for name, room in open_types.items() if room > 0}, again_ms

    def _spend_rates(self, tx: Tx, request: ClaimTasks, claimed: list[ClaimedTask]) -> None:
        rated = {limit.type: limit for limit in request.limits if limit.rate_per_second}
        for name in sorted({task.type for task in claimed} & set(rated)):
            count = sum(task.type == name for task in claimed)
            insert = upsert(tx.dialect)(type_rates)
            current = tx.execute(select(type_rates.c.next_ms).where(type_rates.c.type == name)).scalar()
            next_ms = _line(rated[name], current or 0.0, request.now_ms).after(count - 1)
            tx.execute(
                insert.on_conflict_do_update(
                    index_elements=[type_rates.c.type], set_={"next_ms": insert.excluded.next_ms}
                ),
                {"type": name, "next_ms": next_ms},
            )

    def _suspects(self, tx: Tx, request: ClaimTasks, types: list[str]) -> list[str]:
        wanted = {"queue": request.queue, "types": types, "now": request.now_ms}
        return [row.id for row in tx.execute(statements.first_suspect(), wanted)]

    def _choose(
        self,
        tx: Tx,
        request: ClaimTasks,
        open_types: dict[str, int],
        clock: float,
    ) -> list[str]:
        """Return the ids to claim, fairly; at most `free`, at most each type's room."""
        dialect = tx.dialect
        most = {"queue": request.queue, "most": PARTNERS_A_TURN}
        waiting = tx.execute(statements.contenders(), most).all()
        if not waiting:
            return []
        depth = request.free if len(waiting) == 1 else -(-2 * request.free // len(waiting)) + 1
        candidates = tx.execute(
            statements.candidates(dialect),
            {
                "chosen": pack((row.partner_id,) for row in waiting),
                "depth": min(depth, request.free),
                "queue": request.queue,
                "types": list(open_types),
                "now": request.now_ms,
            },
        ).all()
        lines: dict[str, list[Any]] = {row.partner_id: [] for row in waiting}
        for row in candidates:
            lines[row.partner_id].append(row)
        room = dict(open_types)

        def admit(row: Any) -> bool:
            room[row.type] -= 1
            return room[row.type] >= 0

        dealt = deal(
            (
                Contender(
                    id=row.partner_id,
                    vtime=row.vtime or 0.0,
                    weight=row.weight or 1,
                    waiting=lines[row.partner_id],
                )
                for row in waiting
            ),
            slots=request.free,
            clock=clock,
            admit=admit,
        )
        if dealt.items:
            tx.execute(queues.update().where(queues.c.name == request.queue).values(vtime=dealt.clock))
            served = pack((request.queue, *vtime) for vtime in sorted(dealt.vtimes.items()))
            tx.execute(statements.advance(dialect), {"served": served})
        return [row.id for row in dealt.items]

    def _take(self, tx: Tx, request: ClaimTasks, chosen: list[str]) -> list[ClaimedTask]:
        dialect = tx.dialect
        timeouts = {limit.type: limit.timeout_ms for limit in request.limits}
        updated = tx.execute(
            statements.take(dialect),
            {
                "ids": pack((task_id,) for task_id in chosen),
                "now": request.now_ms,
                "session": request.session_id,
                "timeouts": pack(timeouts.items()),
            },
        )
        # RETURNING promises no order; they are to start in the order they were chosen.
        by_id = {row.id: row for row in updated}
        taken = [by_id[task_id] for task_id in chosen if task_id in by_id]
        bodies = read_bodies(tx, taken)
        for row in taken:
            tx.depths.move(row.queue, row.partner_id, TaskState.QUEUED, TaskState.RUNNING)
        claimed = [claimed_task(row, bodies[row.id], claimed_ms=request.now_ms) for row in taken]
        self._announce_started(tx, [bodies[task.id] for task in claimed], claimed, request.now_ms)
        return claimed

    def _announce_started(self, tx: Tx, bodies: list[Any], claimed: list[ClaimedTask], now_ms: int) -> None:
        """Announce `task.started` where somebody asked for it by name."""
        unaddressed = {
            task.partner_id
            for task, body in zip(claimed, bodies, strict=True)
            if body.callback_url is None and body.endpoint_ids is None
        }
        listening = partners_listening(tx, unaddressed, "task.started") if unaddressed else set()
        heard = [
            task.id
            for task, body in zip(claimed, bodies, strict=True)
            if "task.started" in (body.events or "")
            or (body.callback_url is None and body.endpoint_ids is None and task.partner_id in listening)
        ]
        if heard:
            announce_tasks(tx, [(task, "task.started") for task in read_tasks(tx, heard)], now_ms=now_ms)


def read_bodies(tx: Tx, taken: Sequence[Row[Any]]) -> dict[str, Row[Any]]:
    """Return what a claim needs of the bodies of these rows of `tasks`, by id."""
    ids = {"ids": pack((row.id, row.partner_id) for row in taken)}
    rows = tx.execute(statements.bodies(tx.dialect), ids)
    return {row.task_id: row for row in rows}


def claimed_task(row: Row[Any], body: Row[Any], *, claimed_ms: int) -> ClaimedTask:
    """Return a claimed task, from its row as the claim left it."""
    return ClaimedTask(
        id=row.id,
        partner_id=row.partner_id,
        partner_name=body.partner_name or "",
        type=row.type,
        priority=Priority(row.priority),
        metadata_json=body.metadata,
        queue=row.queue,
        version=row.version,
        attempt=row.attempts,
        budget_attempt=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        token=row.token,
        suspect=bool(row.suspect),
        trace_id=row.trace_id,
        trace_parent_id=body.trace_parent_id,
        trace_flags=body.trace_flags,
        trace_state=body.trace_state,
        input_json=body.input,
        created_ms=row.created_ms,
        due_ms=row.due_ms,
        claimed_ms=claimed_ms,
    )


def _line(limit: TypeLimit, spent_ms: float, now_ms: int) -> Line:
    """Return the starts that are due. Turns are spent up to `spent_ms`; unused ones count for a second."""
    per_second = limit.rate_per_second or 1.0
    spacing_ms = 1000 / per_second
    slack_ms = max(0.0, 1000 - spacing_ms)
    return line(spent_ms + spacing_ms, per_second=per_second, slack_ms=slack_ms, now_ms=now_ms)
