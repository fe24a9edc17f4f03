"""What a filter of deliveries or of failed tasks means in SQL: one condition a parameter.

Deliveries are filtered alike wherever they are picked: in their listing, among dead letters, in a replay.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, func, or_

from webhookd.adapters.store.schema import deliveries, endpoints, task_bodies, tasks
from webhookd.core.replay import NO_ENDPOINT, DeadLetterFilter, status_range

Conditions = dict[str, ColumnElement[bool]]

_ESCAPE: Final = "\\"

OF_DELIVERIES: Final[Conditions] = {
    "type": deliveries.c.task_type == bindparam("type"),
    "event": deliveries.c.event == bindparam("event"),
    "error": deliveries.c.last_error == bindparam("error"),
    "status_low": deliveries.c.last_status.between(bindparam("status_low"), bindparam("status_high")),
    # What answered with a status that is no success has it for its error, and errors have an index.
    "status_error": deliveries.c.last_error == bindparam("status_error"),
    "error_low": deliveries.c.last_error.between(bindparam("error_low"), bindparam("error_high")),
}
"""Of any statement over `deliveries`."""


def _has(text: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(func.lower(column).like(bindparam(text), escape=_ESCAPE) for column in columns))


OF_DELIVERIES_IN_FULL: Final[Conditions] = {
    **OF_DELIVERIES,
    # By no index of errors: whoever is dead is read in the order of death, or counted by what is alike.
    "error_low": func.coalesce(deliveries.c.last_error, "").between(
        bindparam("error_low"), bindparam("error_high")
    ),
    "text": _has(
        "text",
        func.coalesce(deliveries.c.url, endpoints.c.url),
        deliveries.c.last_error,
        deliveries.c.task_type,
    ),
}
"""Of a statement over `deliveries` joined to `endpoints`."""

OF_TASKS: Final[Conditions] = {
    "type": tasks.c.type == bindparam("type"),
    "error": task_bodies.c.error_code == bindparam("error"),
    "text": _has("text", task_bodies.c.error_message, task_bodies.c.error_code, tasks.c.type),
}
"""Of a statement over `tasks` joined to `task_bodies`."""


def status_parameters(status: str | None) -> dict[str, Any]:
    """Return the parameters of the conditions on the last answer's status."""
    if status is None:
        return {}
    wanted = status_range(status)
    if wanted.low < 300:
        return {"status_low": wanted.low, "status_high": wanted.high}
    if wanted.low == wanted.high:
        return {"status_error": f"http_{wanted.low}"}
    return {"error_low": f"http_{wanted.low}", "error_high": f"http_{wanted.high}"}


def filter_parameters(wanted: DeadLetterFilter) -> dict[str, Any]:
    """Return the parameters of a filter, but for its kind, its endpoint, its times and its ids."""
    return {
        "type": wanted.type,
        "event": wanted.event,
        "reason": wanted.reason,
        "error": wanted.error,
        "text": None if wanted.text is None else _pattern(wanted.text),
        **status_parameters(wanted.status),
    }


def endpoint_parameters(wanted: DeadLetterFilter) -> dict[str, Any]:
    """Return the parameters of the conditions on the endpoint, which only deliveries have."""
    return {
        "endpoint_id": wanted.named_endpoint,
        "no_endpoint": wanted.endpoint_id == NO_ENDPOINT or None,
    }


def _pattern(text: str) -> str:
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, _ESCAPE + special)
    return f"%{text.lower()}%"
