"""The statements of an announcement; `publish` runs them in this order. Each is made once per dialect."""

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, Text, case, literal, select, text

from webhookd.adapters.store.counters import upsert
from webhookd.adapters.store.lanes.rows import INITIAL_PACE
from webhookd.adapters.store.rowset import rowset
from webhookd.adapters.store.schema import deliveries, feeds, lanes, messages
from webhookd.core.pacing import INITIAL_CAP


@cache
def take_feed(dialect: str) -> Any:
    """Take the next numbers of partners' feeds and return the last of each. Parameters: takers."""
    rows = rowset(dialect, "takers", {"partner_id": Text, "last_seq": BigInteger})
    insert = upsert(dialect)(feeds).from_select(list(rows.c.keys()), select(rows).where(text("true")))
    return insert.on_conflict_do_update(
        index_elements=[feeds.c.partner_id], set_={"last_seq": feeds.c.last_seq + insert.excluded.last_seq}
    ).returning(feeds.c.partner_id, feeds.c.last_seq)


@cache
def upsert_lanes(dialect: str) -> Any:
    """Make the lanes that are not there yet, and let the others be looked at in time.

    Parameters: lanes_in.
    """
    rows = rowset(
        dialect,
        "lanes_in",
        {"id": Text, "partner_id": Text, "endpoint_id": Text, "fifo": Boolean, "ready_ms": BigInteger},
    )
    fixed: dict[str, Any] = {
        "hold_ms": literal(0, BigInteger),
        "served_ms": literal(0, BigInteger),
        "in_flight": literal(0, Integer),
        "cap": literal(INITIAL_CAP, Integer),
        "slow": literal(value=False, type_=Boolean),
        "heard": literal(value=False, type_=Boolean),
        "pace": literal(INITIAL_PACE, Text),
    }
    insert = upsert(dialect)(lanes).from_select(
        [*rows.c.keys(), *fixed], select(rows, *fixed.values()).where(text("true"))
    )
    sooner = case(
        (lanes.c.ready_ms < insert.excluded.ready_ms, lanes.c.ready_ms), else_=insert.excluded.ready_ms
    )
    return insert.on_conflict_do_update(
        index_elements=[lanes.c.id], set_={"ready_ms": sooner, "fifo": insert.excluded.fifo}
    )


@cache
def insert_messages(dialect: str) -> Any:
    """Add messages. Parameters: rows."""
    rows = rowset(
        dialect,
        "rows",
        {
            "id": Text,
            "partner_id": Text,
            "task_id": Text,
            "event": Text,
            "body": Text,
            "seq": BigInteger,
            "trace_id": Text,
            "trace_parent_id": Text,
            "trace_flags": Integer,
            "trace_state": Text,
            "created_ms": BigInteger,
        },
    )
    return messages.insert().from_select(list(rows.c.keys()), select(rows))


@cache
def insert_deliveries(dialect: str) -> Any:
    """Add deliveries. Parameters: rows."""
    rows = rowset(
        dialect,
        "rows",
        {
            "id": Text,
            "message_id": Text,
            "partner_id": Text,
            "task_id": Text,
            "task_type": Text,
            "endpoint_id": Text,
            "lane_id": Text,
            "url": Text,
            "event": Text,
            "state": Text,
            "once": Boolean,
            "attempts": Integer,
            "attempts_before": Integer,
            "max_attempts": Integer,
            "due_ms": BigInteger,
            "token": Integer,
            "dead_reason": Text,
            "created_ms": BigInteger,
            "ended_ms": BigInteger,
        },
    )
    return deliveries.insert().from_select(list(rows.c.keys()), select(rows))
