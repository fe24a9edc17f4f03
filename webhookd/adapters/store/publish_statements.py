"""The statements of an announcement; `publish` runs them in this order. Each is made once per dialect."""

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, Text, case, literal, select, text

from webhookd.adapters.store.lanes.rows import INITIAL_PACE
from webhookd.adapters.store.rowset import insert_rows, rowset, upsert
from webhookd.adapters.store.schema import deliveries, feeds, lanes, messages
from webhookd.core.pacing import INITIAL_CAP


@cache
def take_feed(dialect: str) -> Any:
    """Take the next numbers of partners' feeds and return the last of each. Parameters: takers."""
    insert = insert_rows(dialect, feeds, "takers", ("partner_id", "last_seq"))
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
    return insert_rows(
        dialect,
        messages,
        "rows",
        (
            "id",
            "partner_id",
            "task_id",
            "event",
            "body",
            "seq",
            "trace_id",
            "trace_parent_id",
            "trace_flags",
            "trace_state",
            "created_ms",
        ),
    )


@cache
def insert_deliveries(dialect: str) -> Any:
    """Add deliveries. Parameters: rows."""
    return insert_rows(
        dialect,
        deliveries,
        "rows",
        (
            "id",
            "message_id",
            "partner_id",
            "task_id",
            "task_type",
            "endpoint_id",
            "lane_id",
            "url",
            "event",
            "state",
            "once",
            "attempts",
            "attempts_before",
            "max_attempts",
            "due_ms",
            "token",
            "dead_reason",
            "created_ms",
            "ended_ms",
        ),
    )
