"""Submitting many tasks with one callback."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from webhookd.client.calls.asking import PAGE_LIMIT, given, id_of, path_of, posting, reading, until_done
from webhookd.client.documents import Batch, Page, Task
from webhookd.client.errors import Invalid
from webhookd.client.steps import Call, Emit, Stream

BATCH_LIMIT: Final = 1_000
"""How many tasks one request may hold."""


def submit(
    tasks: Iterable[Mapping[str, Any]],
    *,
    defaults: Mapping[str, Any] | None = None,
    callback_url: str | None = None,
    endpoints: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    partial: bool = False,
    partner: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Batch]:
    """Submit many tasks with one callback for when all have ended. Any number, in chunks of 1,000.

    Each task is a mapping as `submit` takes it; what they share goes into `defaults`. Raises Invalid where
    one is wrong: then none of that chunk is taken, unless `partial`, and a batch that has begun is cancelled.
    The same `idempotency_key` with the same tasks is the same batch, however far the call came before.
    """
    chunks = _chunks(tasks)
    first, second = next(chunks, []), next(chunks, None)
    body = given(
        tasks=first,
        defaults=defaults,
        callback_url=callback_url,
        endpoints=None if endpoints is None else list(endpoints),
        metadata=metadata,
        partial=partial or None,
        open=True if second is not None else None,
        partner=partner,
    )
    made = Batch.of((yield posting("v1/batches", body, key=idempotency_key)))
    if second is None:
        return made
    for number, chunk in enumerate(chain([second], chunks)):
        key = None if idempotency_key is None else f"{idempotency_key}.{number}"
        more = given(tasks=chunk, partial=partial or None)
        try:
            yield posting(path_of("batches", made.id, "tasks"), more, key=key)
        except Invalid:
            yield posting(path_of("batches", made.id, "cancel"))
            raise
    return Batch.of((yield posting(path_of("batches", made.id, "close"))))


def get(batch: str | Batch) -> Call[Batch]:
    """Return the batch as it is now. Raises NotFound."""
    return Batch.of((yield reading(path_of("batches", id_of(batch)))))


def wait(batch: str | Batch, timeout: float | None = None) -> Call[Batch]:
    """Return the batch once it is completed or cancelled. Raises TimedOut after `timeout` seconds."""
    return (yield from until_done(Batch, path_of("batches", id_of(batch)), timeout))


def cancel(batch: str | Batch) -> Call[Batch]:
    """Close a batch and cancel what has not ended of it. Return the batch after the call."""
    return Batch.of((yield posting(path_of("batches", id_of(batch), "cancel"))))


def results(batch: str | Batch) -> Stream[Task]:
    """Iterate over the tasks that have ended, in the order of submission: all of a batch that is done."""
    cursor = None
    while True:
        query = {"limit": PAGE_LIMIT, "cursor": cursor}
        page = Page.of((yield reading(path_of("batches", id_of(batch), "tasks"), query)))
        for task in map(Task, page.data):
            if task.done:
                yield Emit(task)
        cursor = page.next_cursor
        if cursor is None:
            return


def _chunks(of: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rest = iter(of)
    while chunk := list(islice(rest, BATCH_LIMIT)):
        yield chunk
