"""What runs and attempts came to: a row a kind, span and process, which only that process writes.

A window reads as many rows as there were processes in each of its spans, whatever they did.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Integer, bindparam, select

from webhookd.adapters.store.endpoints.endpoint_spans import dropping, times_of, times_text
from webhookd.adapters.store.rowset import Int4, insert_rows
from webhookd.adapters.store.schema import activity_spans
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.activity import KEEP_MS, ActivityKind
from webhookd.core.endpoint_stats import Span, Window, drawn, window_begins


class _SpanRow(NamedTuple):
    kind: str
    length_ms: Int4
    at_ms: int
    process_id: str
    total: int
    succeeded: int
    times: str


def _keep(dialect: str) -> Any:
    insert = insert_rows(dialect, activity_spans, "spans", _SpanRow)
    return insert.on_conflict_do_update(
        index_elements=list(activity_spans.primary_key.columns),
        set_={name: insert.excluded[name] for name in ("total", "succeeded", "times")},
    )


_KEEP: Final = Change(_keep)


def keep_activity(tx: Tx, kind: ActivityKind, spans: Sequence[Span]) -> None:
    """Write this process's spans in place of what it wrote of them before."""
    rows = [
        _SpanRow(
            kind=kind,
            length_ms=span.length_ms,
            at_ms=span.at_ms,
            process_id=tx.policy.session_id,
            total=span.attempts,
            succeeded=span.delivered,
            times=times_text(span.times),
        )
        for span in spans
    ]
    if rows:
        tx.run(_KEEP, spans=rows)


class _Kept(NamedTuple):
    kind: str
    at_ms: int
    total: int
    succeeded: int
    times: str


_SINCE: Final = Query(
    _Kept,
    lambda _: select(*(activity_spans.c[name] for name in _Kept._fields)).where(
        activity_spans.c.kind == bindparam("kind"),
        activity_spans.c.length_ms == bindparam("length_ms", type_=Integer),
        activity_spans.c.at_ms >= bindparam("since_ms", type_=BigInteger),
    ),
)


def read_activity(tx: Tx, window: Window) -> dict[ActivityKind, list[Span]]:
    """Return the window's steps in order, of each kind."""
    since_ms = window_begins(window, tx.now_ms)
    return {
        kind: drawn(
            [
                Span(
                    at_ms=row.at_ms,
                    length_ms=window.span_ms,
                    attempts=row.total,
                    delivered=row.succeeded,
                    times=times_of(row.times),
                )
                for row in tx.run(_SINCE, kind=kind, length_ms=window.span_ms, since_ms=since_ms)
            ],
            window,
            tx.now_ms,
        )
        for kind in ActivityKind
    }


_DROP: Final = dropping(activity_spans, activity_spans.c.kind == bindparam("kind"))


def drop_activity(tx: Tx, most: int, now_ms: int) -> bool:
    """Delete spans that no window is made of any more. True: there may be more."""
    dropped = [
        tx.run(_DROP, kind=kind, length_ms=length_ms, before_ms=now_ms - keep_ms, most=most)
        for kind in ActivityKind
        for length_ms, keep_ms in KEEP_MS.items()
    ]
    return max(dropped) == most
