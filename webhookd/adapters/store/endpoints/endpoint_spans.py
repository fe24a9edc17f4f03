"""What endpoints' attempts came to, a row an endpoint and minute and one an endpoint and hour.

The span under way is in the lane's row, which every record of attempts writes anyway, under the lane's lock.
A row here is written when the next span begins: one statement an endpoint and minute, whatever the traffic.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import BigInteger, ColumnElement, Integer, Table, bindparam, select, tuple_

from webhookd.adapters.store.rowset import Int4, insert_rows
from webhookd.adapters.store.schema import endpoint_spans
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import Delivered, NotCounted
from webhookd.core.dispatch import AttemptDone
from webhookd.core.endpoint_stats import KEEP_MS, Counted, Span, from_json, tallied, to_json


class EndpointSpan(NamedTuple):
    """A row: a span that is over."""

    endpoint_id: str
    length_ms: Int4
    at_ms: int
    attempts: int
    delivered: int
    errors: str
    times: str


def counted(
    endpoint_id: str, tally: Sequence[Any] | None, done: Sequence[AttemptDone]
) -> tuple[Sequence[Any] | None, list[EndpointSpan]]:
    """Return a lane's tally with these attempts, and the rows of the spans that are over by them."""
    attempts = [
        Counted(
            at_ms=one.now_ms,
            error=None if isinstance(one.verdict, Delivered) else one.attempt.error or "protocol",
            answer_us=None if one.attempt.status is None else one.attempt.duration_us,
        )
        for one in done
        if not isinstance(one.verdict, NotCounted)
    ]
    if not attempts:
        return tally, []
    after, over = tallied(from_json(tally), attempts)
    return to_json(after), [_row(endpoint_id, span) for span in over]


_KEEP: Final = Change(
    lambda dialect: insert_rows(dialect, endpoint_spans, "spans", EndpointSpan).on_conflict_do_nothing()
)


def keep_spans(tx: Tx, spans: Sequence[EndpointSpan]) -> None:
    """Write spans that are over."""
    if spans:
        tx.run(_KEEP, spans=spans)


_SINCE: Final = Query(
    EndpointSpan,
    lambda _: (
        select(endpoint_spans)
        .where(
            endpoint_spans.c.endpoint_id == bindparam("endpoint_id"),
            endpoint_spans.c.length_ms == bindparam("length_ms", type_=Integer),
            endpoint_spans.c.at_ms >= bindparam("since_ms", type_=BigInteger),
        )
        .order_by(endpoint_spans.c.at_ms)
    ),
)


def spans_since(tx: Tx, endpoint_id: str, *, length_ms: int, since_ms: int) -> list[Span]:
    """Return the spans of one length that are over, in order."""
    rows = tx.run(_SINCE, endpoint_id=endpoint_id, length_ms=length_ms, since_ms=since_ms)
    return [_span(row) for row in rows]


def dropping(table: Table, *of: ColumnElement[bool]) -> Change:
    """Return the DELETE of up to `most` spans of one length that are `of` these, older than `before_ms`."""
    key = tuple(table.primary_key.columns)
    old = (
        select(*key)
        .where(
            *of,
            table.c.length_ms == bindparam("length_ms", type_=Integer),
            table.c.at_ms < bindparam("before_ms", type_=BigInteger),
        )
        .order_by(table.c.at_ms)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    return Change(lambda _: table.delete().where(tuple_(*key).in_(old)))


_DROP: Final = dropping(endpoint_spans)


def drop_spans(tx: Tx, most: int, now_ms: int) -> bool:
    """Delete spans that no window is made of any more. True: there may be more."""
    dropped = [
        tx.run(_DROP, length_ms=length_ms, before_ms=now_ms - keep_ms, most=most)
        for length_ms, keep_ms in KEEP_MS.items()
    ]
    return max(dropped) == most


def times_text(times: Mapping[int, int]) -> str:
    """Return times by bucket for their column."""
    return orjson.dumps(times, option=orjson.OPT_NON_STR_KEYS).decode()


def times_of(text: str) -> dict[int, int]:
    """Return the times of a column by bucket."""
    return {int(bucket): count for bucket, count in orjson.loads(text).items()}


def _row(endpoint_id: str, span: Span) -> EndpointSpan:
    return EndpointSpan(
        endpoint_id=endpoint_id,
        length_ms=span.length_ms,
        at_ms=span.at_ms,
        attempts=span.attempts,
        delivered=span.delivered,
        errors=orjson.dumps(span.errors).decode(),
        times=times_text(span.times),
    )


def _span(row: EndpointSpan) -> Span:
    return Span(
        at_ms=row.at_ms,
        length_ms=row.length_ms,
        attempts=row.attempts,
        delivered=row.delivered,
        errors=orjson.loads(row.errors),
        times=times_of(row.times),
    )
