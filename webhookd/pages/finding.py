"""The one box that finds: what somebody typed becomes the page it names, or the filters it means."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from webhookd.core import ids
from webhookd.core.errors import Forbidden, Invalid, NotFound
from webhookd.core.ids import looks_like_id, made_ms
from webhookd.core.times import to_rfc3339
from webhookd.pages.visit import Visit

_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PAIR: Final = re.compile(r"([^\s=:]{1,100})(?:\s*+[=:]|\s)\s*+(\S.*)")
_RECENT: Final = 50
_MOST_NAMES: Final = 8
_MOST_WORKERS: Final = 500

Found = tuple[str, dict[str, str]]
"""A page of this side, and its query."""
Look = Callable[[Visit, str], Awaitable[Found | None]]


async def find(visit: Visit, text: str) -> Found | None:
    """Return where this leads; None where nothing is known by it.

    What looks like an id of ours may be somebody's own all the same, kept as metadata.
    """
    by_id = _BY_ID.get(text.partition("_")[0]) if looks_like_id(text) else None
    looks = (_in_traces, _by_pair, _by_idempotency_key, _by_any_metadata)
    for look in looks if by_id is None else (by_id, *looks):
        found = await look(visit, text)
        if found is not None:
            return found
    return None


def _page_of(noun: str) -> Look:
    """Return what leads to the page that these have under their id, on both sides."""

    async def look(visit: Visit, its_id: str) -> Found | None:
        try:
            await visit.get(f"/v1/{noun}/{its_id}")
        except NotFound:
            return None
        except Forbidden:
            pass  # the page says which scope is lacking
        return f"{noun}/{its_id}", {}

    return look


async def _partner(visit: Visit, partner_id: str) -> Found | None:
    """Its page; a partner's own is that of its keys."""
    if not visit.is_admin:
        return ("keys", {}) if visit.asker.caller.partner_id == partner_id else None
    try:
        await visit.get("/v1/partner", partner=partner_id)
    except Invalid:
        return None
    return f"partners/{partner_id}", {}


async def _key(visit: Visit, key_id: str) -> Found | None:
    """The keys among which it stands; of an admin's, what was done to it."""
    try:
        partner_id = (await visit.get(f"/v1/keys/{key_id}"))["partner"]
    except NotFound:
        return None
    except Forbidden:
        return "keys", {}
    return ("audit", {"target": key_id}) if partner_id is None else await _partner(visit, partner_id)


async def _worker(visit: Visit, worker_id: str) -> Found | None:
    if not visit.is_admin:
        return None
    workers = (await visit.get("/v1/workers", limit=_MOST_WORKERS))["data"]
    return ("now", {}) if any(one["id"] == worker_id for one in workers) else None


async def _audit_entry(visit: Visit, entry_id: str) -> Found | None:
    """What was done in its millisecond."""
    at_ms = made_ms(entry_id)
    if at_ms is None or not visit.is_admin:
        return None
    period = {"since": to_rfc3339(at_ms), "until": to_rfc3339(at_ms + 1)}
    entries = (await visit.look("/v1/audit", period))["data"]
    return ("audit", period) if any(one["id"] == entry_id for one in entries) else None


async def _in_traces(visit: Visit, text: str) -> Found | None:
    """A trace, or a message in one."""
    parent = _TRACEPARENT.fullmatch(text)
    wanted = parent[1] if parent else text
    if not _TRACE.fullmatch(wanted) and not text.startswith(f"{ids.MESSAGE}_"):
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


_BY_ID: Final[Mapping[str, Look]] = {
    ids.TASK: _page_of("tasks"),
    ids.BATCH: _page_of("batches"),
    ids.DELIVERY: _page_of("deliveries"),
    ids.ENDPOINT: _page_of("endpoints"),
    ids.REPLAY: _page_of("replays"),
    ids.DISCARD: _page_of("discards"),
    ids.FILE: _page_of("files"),
    ids.PARTNER: _partner,
    ids.KEY: _key,
    ids.SESSION: _worker,
    ids.AUDIT: _audit_entry,
}
"""By the prefix of an id. A message is found in its trace; the id of a secret stands nowhere."""
