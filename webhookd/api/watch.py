"""Holding a request until its task has news: `?wait=` and `Prefer: wait=`.

What the answer looks like is `tasks`' business; streams are `events` and `stream`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from pydantic import Field
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from webhookd.adapters.store.access.api_keys import Credential
from webhookd.api.call import AnyCall, found
from webhookd.api.caller import OPERATOR
from webhookd.api.wire import QueryString
from webhookd.core.errors import Unauthenticated
from webhookd.core.records import Task
from webhookd.flows.watch import Ended, Snapshot, Watch


class TaskQuery(QueryString):
    """`GET /v1/tasks/{id}`. `wait` is in seconds; more than the longest wait are as many."""

    wait: int = Field(0, ge=0)
    """Hold the call until there is news, up to so many seconds; the longest wait is the operator's, or 45."""
    version: int | None = Field(None, ge=0)
    """Answer as soon as the task's version exceeds this one; without it, when the task is done."""

    def satisfied_by(self, task: Task) -> bool:
        """Whether there is news: a later version; where none was named, the end."""
        return task.done if self.version is None else task.version > self.version


async def hold(call: AnyCall, task_id: str, *, seconds: float, enough: Callable[[Task], bool]) -> Snapshot:
    """Return the task as soon as it is `enough`, or as it is after so many seconds, or when we stop.

    Raises NotFound; RateLimited where the partner has too many waiting; Unauthenticated where the key is
    revoked meanwhile; ClientDisconnect.
    """
    watchers, partner_id = call.parts.watchers, call.caller.partner_id
    with watchers.watch(partner_id=partner_id, key_id=call.caller.review_id) as watch:
        watch.add([task_id])
        now = found(await watchers.present(task_id, partner_id), "task")
        watch.saw(task_id, now.task.version)
        if enough(now.task) or seconds <= 0 or watch.ended:
            return now
        del now  # thousands may wait here
        with call.parts.held.one(partner_id), noticing_disconnect(call.receive, watch):
            loop = asyncio.get_running_loop()
            give_up_at = loop.time() + seconds
            while news := await watch.next(give_up_at - loop.time()):
                if enough(news[-1].task):
                    return news[-1]
        refuse_revoked(watch)
        if watch.ended is Ended.GONE:
            raise ClientDisconnect
    # Its version is still the one last seen, but how its deliveries stand may have changed.
    return found(await watchers.present(task_id, partner_id), "task")


@contextmanager
def noticing_disconnect(receive: Receive, watch: Watch) -> Iterator[None]:
    """End `watch` when the client goes away; the body of its request must have been read."""
    listening = asyncio.create_task(_until_gone(receive), name="client-gone")
    listening.add_done_callback(lambda _: watch.end(Ended.GONE))
    try:
        yield
    finally:
        listening.cancel()


def refuse_revoked(watch: Watch) -> None:
    """Raise Unauthenticated where the key was revoked while the request was held."""
    if watch.ended is Ended.REVOKED:
        raise Unauthenticated("The key is wrong, expired or revoked.")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def key_review(
    find: Callable[[str], Awaitable[Credential | None]], now_ms: Callable[[], int]
) -> Callable[[str], Awaitable[bool]]:
    """Return the question whether a key, by its id, may still read tasks. It raises Unavailable."""

    async def is_good(review_id: str) -> bool:
        key_id, _, until_ms = review_id.partition("@")
        if until_ms and now_ms() >= int(until_ms):
            return False
        if key_id == OPERATOR:
            return True
        credential = await find(key_id)
        if credential is None or (credential.partner is not None and credential.partner.suspended):
            return False
        key = credential.key
        return key.revoked_ms is None and (key.expires_ms is None or now_ms() < key.expires_ms)

    return is_good
