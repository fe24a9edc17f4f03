"""Process sessions: one row per running process, whose lease covers everything the process holds.

A process renews one row instead of every task and delivery it works on. When the lease runs out, the
sweep takes back all it held (`sweeps.py`); a process that finds its row gone starts a new session.
"""

from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import bindparam, func, select

from webhookd.adapters.store.schema import sessions
from webhookd.adapters.store.statement import Change, Count, Query
from webhookd.adapters.store.tx import Tx

OVERRAN: Final = "overran_ms"


class SessionRow(NamedTuple):
    """A row of `sessions`."""

    id: str
    kind: str
    host: str
    pid: int
    detail: str
    started_ms: int
    lease_until_ms: int


_BEGIN: Final = Change(lambda _: sessions.insert())


def begin_session(
    tx: Tx,
    *,
    session_id: str,
    kind: str,
    host: str,
    pid: int,
    detail: dict[str, Any],
    now_ms: int,
    lease_until_ms: int,
) -> None:
    """Write a new session. `kind`: `api`, `tasks` or `deliver`."""
    row = SessionRow(
        id=session_id,
        kind=kind,
        host=host,
        pid=pid,
        detail=orjson.dumps(detail).decode(),
        started_ms=now_ms,
        lease_until_ms=lease_until_ms,
    )
    tx.run(_BEGIN, **row._asdict())


_RENEW: Final = Change(
    lambda _: (
        sessions.update()
        .where(sessions.c.id == bindparam("session"))
        .values(lease_until_ms=bindparam("lease_until_ms"))
    )
)


def renew_session(tx: Tx, session_id: str, lease_until_ms: int) -> bool:
    """Prolong the lease. False: it had run out and others have taken over what it held."""
    return tx.run(_RENEW, session=session_id, lease_until_ms=lease_until_ms) == 1


_OVERRAN: Final = Change(
    lambda _: (
        sessions.update()
        .where(sessions.c.id == bindparam("session"))
        .values(detail=bindparam("detail"), lease_until_ms=0)
    )
)


def end_session(tx: Tx, session_id: str, *, overran_ms: int | None = None) -> None:
    """Let the lease run out at once: whatever is still held is taken over by the next sweep.

    `overran_ms`: when the process was killed because a task's function held it beyond its time limit.
    """
    if overran_ms is None:
        renew_session(tx, session_id, 0)
    else:
        tx.run(_OVERRAN, session=session_id, detail=orjson.dumps({OVERRAN: overran_ms}).decode())


def overran_ms(detail: str) -> int | None:
    """Return what `end_session` was told, from the session's detail."""
    found: int | None = orjson.loads(detail).get(OVERRAN)
    return found


class _LeaseEnd(NamedTuple):
    id: str
    lease_until_ms: int


_LEASE_ENDS: Final = Query(_LeaseEnd, lambda _: select(sessions.c.id, sessions.c.lease_until_ms))


def lease_ends(tx: Tx) -> dict[str, int]:
    """Return when the lease of each session runs out, in Unix milliseconds."""
    return {row.id: row.lease_until_ms for row in tx.run(_LEASE_ENDS)}


_LIVE_OF_KIND: Final = Query(
    Count,
    lambda _: select(func.count().label("n")).where(
        sessions.c.kind == bindparam("kind"), sessions.c.lease_until_ms > bindparam("now_ms")
    ),
)


def live_processes(tx: Tx, kind: str, now_ms: int) -> int:
    """Return how many processes of a kind hold a running lease."""
    return tx.one(_LIVE_OF_KIND, kind=kind, now_ms=now_ms).n


_LIVE: Final = Query(
    SessionRow,
    lambda _: (
        select(sessions)
        .where(sessions.c.lease_until_ms > bindparam("now_ms"))
        .order_by(sessions.c.started_ms)
    ),
)


def live_sessions(tx: Tx, now_ms: int) -> list[dict[str, Any]]:
    """Return `id kind host pid started_ms lease_until_ms detail` of every process with a running lease."""
    return [{**row._asdict(), "detail": orjson.loads(row.detail)} for row in tx.run(_LIVE, now_ms=now_ms)]
