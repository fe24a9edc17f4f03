"""Claiming tasks: the statements that decide fairness, priority, order, pauses and limits.

Claims of one queue stand in line on the queue's row (PostgreSQL) or on the writer's lock (SQLite), so
that fair shares and type limits are exact without any leader. Which partners have work is read off the
claim index by hopping from partner to partner, so a queue of a million costs as much as one of ten.

A task that comes alone is claimed in three statements: enter the queue, look at what waits, take it.
Virtual times are written only where partners compete: a partner that is alone takes nothing from others.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
)

from webhookd.adapters.store.ends import read_tasks
from webhookd.adapters.store.publish import announce_tasks
from webhookd.adapters.store.rowset import POSTGRESQL, Id, insert_rows, named, named_in, rowset
from webhookd.adapters.store.schema import (
    endpoints,
    partners,
    queues,
    sessions,
    shares,
    task_bodies,
    tasks,
    type_rates,
)
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import Claim, ClaimTasks, TypeLimit
from webhookd.core.fairness import Contender, deal
from webhookd.core.model import TASKS, Priority, TaskMove, TaskState
from webhookd.core.rate import Line, line
from webhookd.core.records import ClaimedTask

PARTNERS_A_TURN = 64
_STARTED: Final = "task.started"
_QUEUED: Final = text("tasks.state = 'queued'")


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
    open_types, again_ms = _open_types(tx, request)
    if not open_types:
        return Claim(again_ms=again_ms)
    waiting = _look(tx, request, open_types)
    suspect_id = waiting[0].suspect_id if waiting else None
    if suspect_id is not None and request.idle:
        chosen = [suspect_id]
    elif request.free > 0:
        chosen = _choose(tx, request, open_types, waiting, queue.vtime)
    else:
        chosen = []
    claimed = _take(tx, request, chosen) if chosen else []
    _spend_rates(tx, request, claimed)
    if len(chosen) >= request.free > 0 or any(task.suspect for task in claimed):
        again_ms = request.now_ms
    return Claim(
        tasks=tuple(claimed),
        again_ms=again_ms,
        suspect_waits=suspect_id is not None and not request.idle,
    )


class _Busy(NamedTuple):
    type: str
    n: int


class _Rate(NamedTuple):
    type: str
    next_ms: float


_BUSY: Final = Query(
    _Busy,
    lambda dialect: (
        select(tasks.c.type, func.count().label("n"))
        .where(tasks.c.session_id.is_not(None), named(dialect, tasks.c.type, "types"))
        .group_by(tasks.c.type)
    ),
)
_RATES: Final = Query(
    _Rate,
    lambda dialect: select(type_rates.c.type, type_rates.c.next_ms).where(
        named(dialect, type_rates.c.type, "types")
    ),
)


def _open_types(tx: Tx, request: ClaimTasks) -> tuple[dict[str, int], int | None]:
    """Return how many of each type may start now (closed ones left out), and when one may open."""
    open_types = {limit.type: request.free for limit in request.limits}
    capped = [limit for limit in request.limits if limit.concurrency is not None]
    if capped:
        busy = {row.type: row.n for row in tx.run(_BUSY, types=[limit.type for limit in capped])}
        for limit in capped:
            room = (limit.concurrency or 0) - busy.get(limit.type, 0)
            open_types[limit.type] = min(open_types[limit.type], max(room, 0))
    again_ms: int | None = None
    rated = {limit.type: limit for limit in request.limits if limit.rate_per_second}
    if rated:
        next_ms = {row.type: row.next_ms for row in tx.run(_RATES, types=rated)}
        for name, limit in rated.items():
            due = _line(limit, next_ms.get(name, 0.0), request.now_ms)
            open_types[name] = min(open_types[name], due.count)
            if not due.count:
                due_ms = int(due.first_ms) + 1
                again_ms = due_ms if again_ms is None else min(again_ms, due_ms)
    return {name: room for name, room in open_types.items() if room > 0}, again_ms


def _spend(dialect: str) -> Any:
    insert = insert_rows(dialect, type_rates, "rates", _Rate)
    return insert.on_conflict_do_update(
        index_elements=[type_rates.c.type], set_={"next_ms": insert.excluded.next_ms}
    )


_SPEND: Final = Change(_spend)


def _spend_rates(tx: Tx, request: ClaimTasks, claimed: list[ClaimedTask]) -> None:
    rated = {limit.type: limit for limit in request.limits if limit.rate_per_second}
    spent = sorted({task.type for task in claimed} & set(rated))
    if not spent:
        return
    current = {row.type: row.next_ms for row in tx.run(_RATES, types=spent)}
    rates = []
    for name in spent:
        count = sum(task.type == name for task in claimed)
        due = _line(rated[name], current.get(name, 0.0), request.now_ms)
        rates.append(_Rate(name, due.after(count - 1)))
    tx.run(_SPEND, rates=rates)


class _Waiting(NamedTuple):
    """A partner with queued tasks, and one of the first of those; `id` is None where it has none to run.

    Every row has the oldest queued suspect of the types asked for.
    """

    partner_id: str
    vtime: float | None
    weight: int | None
    suspect_id: str | None
    id: str | None
    type: str | None


def _in_time(table: Any) -> Any:
    """Return the condition that a task may still start; the sweep ends those that may not."""
    return or_(table.c.expires_ms.is_(None), table.c.expires_ms > bindparam("now_ms", type_=BigInteger))


def _contenders() -> Any:
    """Partners with queued tasks of `queue`, least virtual time first: one index probe per partner."""
    queue = bindparam("queue", type_=Text)
    first = (
        select(func.min(tasks.c.partner_id).label("partner_id"))
        .where(_QUEUED, tasks.c.queue == queue)
        .cte("waiting", recursive=True)
    )
    following = (
        select(func.min(tasks.c.partner_id))
        .where(_QUEUED, tasks.c.queue == queue, tasks.c.partner_id > first.c.partner_id)
        .correlate(first)
        .scalar_subquery()
    )
    waiting = first.union_all(select(following).where(first.c.partner_id.is_not(None)))
    return (
        select(waiting.c.partner_id, shares.c.vtime, partners.c.weight)
        .select_from(waiting)
        .outerjoin(shares, and_(shares.c.queue == queue, shares.c.partner_id == waiting.c.partner_id))
        .outerjoin(partners, partners.c.id == waiting.c.partner_id)
        .where(waiting.c.partner_id.is_not(None))
        .order_by(func.coalesce(shares.c.vtime, 0.0), waiting.c.partner_id)
        .limit(bindparam("most", type_=Integer))
        .cte("contenders")
    )


def _looking(dialect: str) -> Select[Any]:
    """The contenders with their first queued tasks, each in its own order; more of each where few compete."""
    contenders = _contenders()
    free = bindparam("free", type_=Integer)
    count = func.count()
    shared = (2 * free + count - 1) // count + 1  # whole numbers: rounded up
    depth = select(case((count == 1, free), (shared < free, shared), else_=free)).select_from(contenders)
    inner = tasks.alias("inner_tasks")
    head = (
        select(inner.c.id)
        .where(
            text("inner_tasks.state = 'queued'"),
            inner.c.queue == bindparam("queue", type_=Text),
            inner.c.partner_id == contenders.c.partner_id,
            inner.c.suspect.is_(False),
            named(dialect, inner.c.type, "types"),
            _in_time(inner),
        )
        .order_by(inner.c.priority, inner.c.id)
        .limit(depth.scalar_subquery())
        .correlate(contenders)
    )
    suspect = (
        select(tasks.c.id)
        .where(
            text("tasks.suspect AND tasks.state = 'queued'"),
            tasks.c.queue == bindparam("queue", type_=Text),
            named(dialect, tasks.c.type, "types"),
            _in_time(tasks),
        )
        .order_by(tasks.c.id)
        .limit(1)
        .scalar_subquery()
        .label("suspect_id")
    )
    if dialect == POSTGRESQL:
        found: Any = head.add_columns(inner.c.type, inner.c.priority).lateral("line")
        joined = contenders.outerjoin(found, literal_column("true"))
    else:
        found = tasks.alias("found")
        joined = contenders.outerjoin(found, found.c.id.in_(head))
    return (
        select(
            contenders.c.partner_id,
            contenders.c.vtime,
            contenders.c.weight,
            suspect,
            found.c.id,
            found.c.type,
        )
        .select_from(joined)
        .order_by(contenders.c.partner_id, found.c.priority, found.c.id)
    )


_LOOK: Final = Query(_Waiting, _looking)


def _look(tx: Tx, request: ClaimTasks, open_types: dict[str, int]) -> list[_Waiting]:
    return tx.run(
        _LOOK,
        queue=request.queue,
        types=open_types,
        now_ms=request.now_ms,
        free=request.free,
        most=PARTNERS_A_TURN,
    )


class _Share(NamedTuple):
    queue: str
    partner_id: str
    vtime: float


_SET_CLOCK: Final = Change(
    lambda _: queues.update().where(queues.c.name == bindparam("queue")).values(vtime=bindparam("clock"))
)


def _advance(dialect: str) -> Any:
    insert = insert_rows(dialect, shares, "served", _Share)
    return insert.on_conflict_do_update(
        index_elements=[shares.c.queue, shares.c.partner_id], set_={"vtime": insert.excluded.vtime}
    )


_ADVANCE: Final = Change(_advance)


def _choose(
    tx: Tx, request: ClaimTasks, open_types: dict[str, int], waiting: list[_Waiting], clock: float
) -> list[str]:
    """Return the ids to claim, fairly; at most `free`, at most each type's room."""
    contenders = []
    for partner_id, rows in groupby(waiting, key=lambda row: row.partner_id):
        queued = list(rows)
        contenders.append(
            Contender(
                id=partner_id,
                vtime=queued[0].vtime or 0.0,
                weight=queued[0].weight or 1,
                waiting=[(row.id, row.type) for row in queued if row.id is not None and row.type is not None],
            )
        )
    room = dict(open_types)

    def admit(task: tuple[str, str]) -> bool:
        room[task[1]] -= 1
        return room[task[1]] >= 0

    dealt = deal(contenders, slots=request.free, clock=clock, admit=admit)
    if dealt.items and len(contenders) > 1:
        tx.run(_SET_CLOCK, queue=request.queue, clock=dealt.clock)
        tx.run(_ADVANCE, served=[_Share(request.queue, *vtime) for vtime in sorted(dealt.vtimes.items())])
    return [task_id for task_id, _ in dealt.items]


class TakenRow(NamedTuple):
    """A task as its claim leaves it, with what a run needs of its body.

    `addressed`: it says itself where its events go. `listens`: an endpoint of its partner names
    `task.started`.
    """

    id: str
    partner_id: str
    type: str
    queue: str
    priority: int
    version: int
    attempts: int
    attempts_before: int
    max_attempts: int
    token: int
    suspect: bool
    trace_id: str
    batch_id: str | None
    created_ms: int
    due_ms: int
    started_ms: int
    partner_name: str | None
    input: str
    metadata: str
    events: str | None
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    addressed: bool
    listens: bool


def taken_columns(of_body: Callable[[ColumnElement[Any]], Any] = lambda column: column) -> list[Any]:
    """Return the columns of a TakenRow, of `tasks`; `of_body` makes one of what is in `task_bodies`."""
    name = select(partners.c.name).where(partners.c.id == tasks.c.partner_id).correlate(tasks)
    listens = exists().where(
        endpoints.c.partner_id == tasks.c.partner_id,
        endpoints.c.deleted_ms.is_(None),
        endpoints.c.events.contains(f'"{_STARTED}"'),
    )
    addressed = or_(task_bodies.c.callback_url.is_not(None), task_bodies.c.endpoint_ids.is_not(None))
    others = {
        "partner_name": name.scalar_subquery(),
        "addressed": of_body(addressed),
        "listens": listens.correlate(tasks),
    }
    return [
        (
            others[field]
            if field in others
            else tasks.c[field]
            if field in tasks.c
            else of_body(task_bodies.c[field])
        ).label(field)
        for field in TakenRow._fields
    ]


def _in_its_place(column: ColumnElement[Any]) -> Any:
    """Return a value of the task's body for RETURNING on SQLite, which knows no other table there."""
    return select(column).where(task_bodies.c.task_id == tasks.c.id).correlate(tasks).scalar_subquery()


class _Timeout(NamedTuple):
    type: str
    timeout_ms: int


def _taking(dialect: str) -> Any:
    """Take tasks for a session: attempt and fencing token + 1."""
    ids = rowset(dialect, "ids", Id)
    timeouts = rowset(dialect, "timeouts", _Timeout)
    now_ms = bindparam("now_ms", type_=BigInteger)
    taking = (
        tasks.update()
        .where(
            tasks.c.id == ids.c.id,
            timeouts.c.type == tasks.c.type,
            or_(*(tasks.c.state == state.value for state in TASKS.sources(TaskMove.CLAIM))),
        )
        .values(
            state=TaskState.RUNNING.value,
            version=tasks.c.version + 1,
            attempts=tasks.c.attempts + 1,
            token=tasks.c.token + 1,
            session_id=bindparam("session_id", type_=Text),
            started_ms=now_ms,
            deadline_ms=now_ms + timeouts.c.timeout_ms,
            progress_percent=None,
            progress_message=None,
        )
    )
    if dialect != POSTGRESQL:
        return taking.returning(*taken_columns(_in_its_place))
    body = (task_bodies.c.task_id == tasks.c.id, named_in(dialect, task_bodies.c.task_id, "ids"))
    return taking.where(*body).returning(*taken_columns())


_TAKE: Final = Query(TakenRow, _taking)


def _take(tx: Tx, request: ClaimTasks, chosen: list[str]) -> list[ClaimedTask]:
    rows = tx.run(
        _TAKE,
        ids=map(Id, chosen),
        now_ms=request.now_ms,
        session_id=request.session_id,
        timeouts=[_Timeout(limit.type, limit.timeout_ms) for limit in request.limits],
    )
    # RETURNING promises no order; they are to start in the order they were chosen.
    by_id = {row.id: row for row in rows}
    taken = [by_id[task_id] for task_id in chosen if task_id in by_id]
    for row in taken:
        tx.depths.move(row.queue, row.partner_id, TaskState.QUEUED, TaskState.RUNNING, batch_id=row.batch_id)
        tx.wakes.changed(row.id, row.partner_id, row.version)
    _announce_started(tx, taken, request.now_ms)
    return [claimed_task(row) for row in taken]


def _announce_started(tx: Tx, taken: list[TakenRow], now_ms: int) -> None:
    """Announce `task.started` where somebody asked for it by name."""
    heard = [row.id for row in taken if _STARTED in (row.events or "") or (row.listens and not row.addressed)]
    if heard:
        announce_tasks(tx, [(task, _STARTED) for task in read_tasks(tx, heard)], now_ms=now_ms)


def claimed_task(row: TakenRow) -> ClaimedTask:
    """Return a claimed task, from its row as the claim left it."""
    return ClaimedTask(
        id=row.id,
        partner_id=row.partner_id,
        partner_name=row.partner_name or "",
        type=row.type,
        priority=Priority(row.priority),
        metadata_json=row.metadata,
        queue=row.queue,
        version=row.version,
        attempt=row.attempts,
        budget_attempt=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        token=row.token,
        suspect=row.suspect,
        trace_id=row.trace_id,
        trace_parent_id=row.trace_parent_id,
        trace_flags=row.trace_flags,
        trace_state=row.trace_state,
        input_json=row.input,
        created_ms=row.created_ms,
        due_ms=row.due_ms,
        claimed_ms=row.started_ms,
    )


def _line(limit: TypeLimit, spent_ms: float, now_ms: int) -> Line:
    """Return the starts that are due. Turns are spent up to `spent_ms`; unused ones count for a second."""
    per_second = limit.rate_per_second or 1.0
    spacing_ms = 1000 / per_second
    slack_ms = max(0.0, 1000 - spacing_ms)
    return line(spent_ms + spacing_ms, per_second=per_second, slack_ms=slack_ms, now_ms=now_ms)
