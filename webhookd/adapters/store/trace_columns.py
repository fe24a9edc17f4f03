"""A place in a trace, which rows have in four columns and everything else as one value."""

from typing import Protocol

from webhookd.core.trace import TraceContext


class TraceColumns(Protocol):
    """A row with these columns."""

    @property
    def trace_id(self) -> str: ...
    @property
    def trace_parent_id(self) -> str: ...
    @property
    def trace_flags(self) -> int: ...
    @property
    def trace_state(self) -> str: ...


def trace_of(row: TraceColumns) -> TraceContext:
    """Return the place in a trace that a row has."""
    return TraceContext(
        trace_id=row.trace_id, parent_id=row.trace_parent_id, flags=row.trace_flags, state=row.trace_state
    )
