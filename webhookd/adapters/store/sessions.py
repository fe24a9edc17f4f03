"""Process sessions: one row per running process, whose lease covers everything the process holds.

A process renews one row instead of every task and delivery it works on. When the lease runs out, the
sweep takes back all it held (`sweeps.py`); a process that finds its row gone starts a new session.
"""

from typing import Any, Final

import orjson
from sqlalchemy import func, select

from webhookd.adapters.store.schema import sessions
from webhookd.adapters.store.tx import Tx

OVERRAN: Final = "overran_ms"


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
    tx.execute(
        sessions.insert().values(
            id=session_id,
            kind=kind,
            host=host,
            pid=pid,
            detail=orjson.dumps(detail).decode(),
            started_ms=now_ms,
            lease_until_ms=lease_until_ms,
        )
    )


def renew_session(tx: Tx, session_id: str, lease_until_ms: int) -> bool:
    """Prolong the lease. False: it had run out and others have taken over what it held."""
    renewed = tx.execute(
        sessions.update().where(sessions.c.id == session_id).values(lease_until_ms=lease_until_ms)
    )
    return renewed.rowcount == 1


def end_session(tx: Tx, session_id: str, *, overran_ms: int | None = None) -> None:
    """Let the lease run out at once: whatever is still held is taken over by the next sweep.

    `overran_ms`: when the process was killed because a task's function held it beyond its time limit.
    """
    values: dict[str, Any] = {"lease_until_ms": 0}
    if overran_ms is not None:
        values["detail"] = orjson.dumps({OVERRAN: overran_ms}).decode()
    tx.execute(sessions.update().where(sessions.c.id == session_id).values(**values))


def overran_ms(detail: str) -> int | None:
    """Return what `end_session` was told, from the session's detail."""
    found: int | None = orjson.loads(detail).get(OVERRAN)
    return found


def lease_ends(tx: Tx) -> dict[str, int]:
    """Return when the lease of each session runs out, in Unix milliseconds."""
    return {
        row.id: row.lease_until_ms for row in tx.execute(select(sessions.c.id, sessions.c.lease_until_ms))
    }


def live_processes(tx: Tx, kind: str, now_ms: int) -> int:
    """Return how many processes of a kind hold a running lease."""
    live = select(func.count()).where(sessions.c.kind == kind, sessions.c.lease_until_ms > now_ms)
    return int(tx.execute(live).scalar_one())


def live_sessions(tx: Tx, now_ms: int) -> list[dict[str, Any]]:
    """Return `id kind host pid started_ms lease_until_ms detail` of every process with a running lease."""
    rows = tx.execute(
        select(sessions).where(sessions.c.lease_until_ms > now_ms).order_by(sessions.c.started_ms)
    )
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "host": row.host,
            "pid": row.pid,
            "started_ms": row.started_ms,
            "lease_until_ms": row.lease_until_ms,
            "detail": orjson.loads(row.detail),
        }
        for row in rows
    ]
