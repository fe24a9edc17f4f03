"""The rows of endpoints, and the endpoints they stand for."""

from typing import Any, Final, NamedTuple

from sqlalchemy import Column

from webhookd.adapters.store.rows import filled, names, names_json
from webhookd.adapters.store.schema import endpoints
from webhookd.core.model import EndpointState
from webhookd.core.records import Endpoint


class EndpointRow(NamedTuple):
    """A row of `endpoints`."""

    id: str
    partner_id: str
    url: str
    description: str
    events: str
    task_types: str
    headers_sealed: str | None
    header_names: str | None
    rate_limit: float | None
    max_concurrency: int | None
    ordering: str
    retry_max_attempts: int | None
    retry_base_seconds: float | None
    retry_factor: float | None
    retry_cap_seconds: float | None
    signature: str
    public_key: str | None
    state: str
    disabled_reason: str | None
    failing_since_ms: int | None
    created_ms: int
    updated_ms: int
    deleted_ms: int | None
    failing_told_ms: int | None


def endpoint_from(row: EndpointRow) -> Endpoint:
    """Return the endpoint of a whole row."""
    return filled(
        Endpoint,
        row,
        events=names(row.events),
        task_types=names(row.task_types),
        header_names=names(row.header_names),
        signature=names(row.signature),
        state=EndpointState(row.state),
    )


_NOT_SET: Final = frozenset(
    {
        "id",
        "partner_id",
        "state",
        "disabled_reason",
        "failing_since_ms",
        "failing_told_ms",
        "created_ms",
        "deleted_ms",
    }
)
SETTINGS: Final = tuple(name for name in EndpointRow._fields if name not in _NOT_SET)
"""The columns that people set, and when they did."""


def settings_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the values of SETTINGS, each for its column."""
    return {name: _in_column(endpoints.c[name], getattr(endpoint, name)) for name in SETTINGS}


def _in_column(column: Column[Any], value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    return names_json(value) or (None if column.nullable else "[]")


def row_of(endpoint: Endpoint) -> EndpointRow:
    """Return the row of a new endpoint."""
    return EndpointRow(
        id=endpoint.id,
        partner_id=endpoint.partner_id,
        state=endpoint.state,
        disabled_reason=endpoint.disabled_reason,
        failing_since_ms=None,
        failing_told_ms=None,
        created_ms=endpoint.created_ms,
        deleted_ms=None,
        **settings_of(endpoint),
    )
