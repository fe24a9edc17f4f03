"""Any listing, and any call that has no method of its own."""

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from webhookd.client.calls.asking import CURSOR, listed, new_key, path_of
from webhookd.client.documents import Batch, Delivery, Discard, Document, Endpoint, File, Replay, Task
from webhookd.client.errors import json_of
from webhookd.client.steps import Call, Request, Stream

_KINDS: Final[Mapping[str, type[Document]]] = {
    "tasks": Task,
    "batches": Batch,
    "files": File,
    "endpoints": Endpoint,
    "deliveries": Delivery,
    "replays": Replay,
    "discards": Discard,
}


_ID: Final = re.compile(r"[a-z]+_[0-9a-z]{26}")


def list_all(what: str = "tasks", **filters: Any) -> Stream[Document]:
    """Iterate over a whole listing, page by page: `"tasks"`, `"deliveries"`, `"tasks/task_…/runs"`, …

    Filters are the API's query parameters; a time may be a `datetime`. `"messages"` are those that there are
    now, `after` a cursor where one is given.
    """
    steps = [step if _ID.fullmatch(step) else step.replace("_", "-") for step in what.split("/")]
    by = "after" if what == "messages" else CURSOR
    return listed(_KINDS.get(what, Document), path_of(*steps), filters, by=by)


def request(method: str, path: str, *, json: Any = None, query: Mapping[str, Any] | None = None) -> Call[Any]:
    """Call a path such as `v1/partner` and return the answer's JSON, None where it has no body."""
    headers = {"Idempotency-Key": new_key()} if method.upper() == "POST" else {}
    response: httpx.Response = yield Request(
        method=method.upper(), path=path.lstrip("/"), json=json, query=query or {}, headers=headers
    )
    return json_of(response, Document)
