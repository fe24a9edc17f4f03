"""The JSON objects of the API, with their names as attributes: `task.state` is `task["state"]`.

A field that a newer service adds is there at once; the annotations tell type checkers of those known here.
"""

from typing import Any, Self

import httpx

from webhookd.client.errors import json_of


class Document(dict[str, Any]):
    """A JSON object of the API; objects inside it are Documents too."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this {type(self).__name__} has no '{name}'") from None

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """Return the object of an answer; one without a body is an empty object. Raises ApiError."""
        return cls(json_of(response, Document) or ())


class Page(Document):
    """One page of a listing. `next_cursor` is None on the last one."""

    data: list[Document]
    next_cursor: str | None


class Task(Document):
    """A task. `result` is what the function returned; `error` has `code` and `message`."""

    id: str
    type: str
    state: str
    done: bool
    result: Any
    error: Document | None
    progress: Document
    metadata: Document
    files: list[Document]
    priority: str
    attempts: int
    version: int
    trace_id: str
    callback_url: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class Batch(Document):
    """Many tasks with one end. `counts` has `total` and one number a state."""

    id: str
    state: str
    done: bool
    counts: Document
    metadata: Document
    version: int
    created_at: str
    completed_at: str | None


class File(Document):
    """A file. `download_url` needs no key until `download_expires_at`."""

    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    state: str


class Endpoint(Document):
    """A registered callback URL. `secret` is there only in the answers that make one."""

    id: str
    url: str
    state: str
    events: list[str]


class Delivery(Document):
    """A message on its way to one endpoint."""

    id: str
    state: str
    event: str
    url: str
    attempts: int


class Replay(Document):
    """A replay of many: how many matched, how far it is, and what became of what it put back."""

    id: str
    state: str
    matched: int
    replayed: int
    delivered: int
    failed_again: int
    started_by: str


class Discard(Document):
    """A discard of many dead letters: how many matched, and how far it is."""

    id: str
    state: str
    matched: int
    discarded: int
    started_by: str


class Event(Document):
    """What a webhook's body says: `data` is the Task, the Endpoint or the Delivery."""

    type: str
    timestamp: str
    data: Document
