"""Which of the waiting tasks a claim takes: partners by fair share, then priority, then age.

Which partners have work is read off the claim index by hopping from partner to partner, so a queue of a
million costs as much as one of ten. Virtual times are written only where partners compete: a partner that
is alone takes nothing from others.
"""

from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
)

from webhookd.adapters.store.rowset import POSTGRESQL, insert_rows, named
from webhookd.adapters.store.schema import partners, queues, shares, tasks
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import ClaimTasks
from webhookd.core.fairness import Contender, deal

PARTNERS_A_TURN = 64
_QUEUED: Final = text("tasks.state = 'queued'")


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


def look(tx: Tx, request: ClaimTasks, open_types: dict[str, int]) -> list[_Waiting]:
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


def choose(
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
