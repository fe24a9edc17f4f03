"""The one box that finds: what somebody typed becomes the page it names, or the filters it means."""

import re
from collections.abc import Mapping
from typing import Any, Final

from webhookd.core.errors import Forbidden, Invalid, NotFound
from webhookd.pages.visit import Visit

_PLACES: Final[Mapping[str, str]] = {
    "task": "tasks",
    "batch": "batches",
    "dlv": "deliveries",
    "ep": "endpoints",
    "rpl": "replays",
    "dsc": "discards",
    "prt": "partners",
    "file": "files",
}
_ID: Final = re.compile(r"([a-z]{2,5})_[0-9a-z]{26}")
_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PAIR: Final = re.compile(r"([^\s=:]{1,100})\s*(?:[=:]|\s)\s*(\S.*)")
_RECENT: Final = 50
_MOST_NAMES: Final = 8

Found = tuple[str, dict[str, str]]
"""A page of this side, and its query."""


async def find(visit: Visit, text: str) -> Found | None:
    """Return where this leads; None where nothing is known by it."""
    match = _ID.fullmatch(text)
    if match is not None and match[1] in _PLACES:
        return f"{_PLACES[match[1]]}/{text}", {}
    for look in (_in_traces, _by_pair, _by_idempotency_key, _by_any_metadata):
        found = await look(visit, text)
        if found is not None:
            return found
    return None


async def _in_traces(visit: Visit, text: str) -> Found | None:
    """A trace, or a message in one."""
    parent = _TRACEPARENT.fullmatch(text)
    wanted = parent[1] if parent else text
    if not _TRACE.fullmatch(wanted) and not text.startswith("msg_"):
        return None
    try:
        trace = await visit.get(f"/v1/traces/{wanted}")
    except (NotFound, Forbidden):
        return None
    tasks = trace["tasks"]
    return (f"tasks/{tasks[0]['task_id']}", {}) if len(tasks) == 1 else (f"traces/{wanted}", {})


async def _by_pair(visit: Visit, text: str) -> Found | None:
    """`order 42`, `order=42`, `order: 42`: a metadata value under its name."""
    pair = _PAIR.fullmatch(text)
    return None if pair is None else await _if_any(visit, {f"metadata.{pair[1]}": pair[2]})


async def _by_idempotency_key(visit: Visit, text: str) -> Found | None:
    return await _if_any(visit, {"idempotency_key": text})


async def _by_any_metadata(visit: Visit, text: str) -> Found | None:
    """A value alone: under the names that the newest tasks have."""
    newest = (await visit.get("/v1/tasks", limit=_RECENT))["data"]
    names = dict.fromkeys(name for task in newest for name in task["metadata"])
    for name in [*names][:_MOST_NAMES]:
        found = await _if_any(visit, {f"metadata.{name}": text})
        if found is not None:
            return found
    return None


async def _if_any(visit: Visit, query: dict[str, str]) -> Found | None:
    try:
        page: Any = await visit.look("/v1/tasks", {**query, "limit": 2})
    except Invalid:
        return None
    tasks = page["data"]
    if not tasks:
        return None
    return (f"tasks/{tasks[0]['id']}", {}) if len(tasks) == 1 else ("tasks", query)
