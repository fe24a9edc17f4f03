"""One client's conversation on the stream: it says what it wants to hear of, and is told."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from webhookd.adapters.store.access.partners import partner_names
from webhookd.api.caller import Caller
from webhookd.api.granted import covers
from webhookd.api.owners import owner, told_whose
from webhookd.api.parts import ApiParts
from webhookd.api.problems import field_errors
from webhookd.api.receipts import body_to
from webhookd.api.stream_frames import MOST_TASKS, ClientMessage, Fewer, Some, said_in, wrong
from webhookd.api.websocket import (
    BAD_MESSAGES,
    RESTARTING,
    STOPPING,
    TOO_SLOW,
    TRY_LATER,
    UNAUTHENTICATED,
    Close,
    Socket,
)
from webhookd.core.errors import Forbidden, Invalid, MalformedJson, NotFound, WebhookdError
from webhookd.flows.watch import Ended, Snapshot, Watch

READ_AT_ONCE: Final = 50
MOST_MISTAKES: Final = 5
_ENDS: Final = {
    Ended.REVOKED: (UNAUTHENTICATED, "the key is no longer good"),
    Ended.DRAINING: (RESTARTING, STOPPING),
    Ended.OVERFLOWN: (TOO_SLOW, "more changed than was read; connect again"),
}


class Conversation:
    """One connection that was let in."""

    def __init__(self, parts: ApiParts, caller: Caller, socket: Socket) -> None:
        self._parts = parts
        self._caller = caller
        self._socket = socket

    async def run(self) -> None:
        """Listen, and push what is new. Raises Close or Disconnected at the end."""
        caller, base_url = self._caller, self._parts.options.base_url
        with self._parts.watchers.watch(partner_id=caller.partner_id, key_id=caller.review_id) as watch:
            listening = asyncio.create_task(self._listen(watch), name="stream-listen")
            listening.add_done_callback(lambda _: watch.end(Ended.GONE))
            try:
                while watch.ended is None:
                    news = await watch.next()
                    names = await self._names(news)
                    for snapshot in news:
                        body = body_to(caller, snapshot, base_url=base_url)
                        partner_id = snapshot.task.partner_id
                        whose = {"partner": owner(names, partner_id)} if caller.is_admin else {}
                        task = told_whose(body, whose).decode()
                        await self._socket.send_text(f'{{"event":"task.updated","task":{task}}}')
                if watch.ended is Ended.GONE:
                    await listening
                raise Close(*_ENDS[watch.ended])
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _names(self, news: Sequence[Snapshot]) -> dict[str, str]:
        """Return what the partners are called, to an admin. Raises Close where they cannot be read."""
        if not self._caller.is_admin or not news:
            return {}
        partner_ids = {snapshot.task.partner_id for snapshot in news}
        try:
            return await self._parts.store.read(partner_names, partner_ids)
        except WebhookdError as error:
            raise Close(TRY_LATER, error.detail[:120]) from None

    async def _listen(self, watch: Watch) -> None:
        mistakes = 0
        while True:
            text = await self._socket.receive()
            try:
                await self._take(said_in(text), watch)
            except WebhookdError as error:
                mistakes += isinstance(error, MalformedJson | Invalid)
                if mistakes >= MOST_MISTAKES:
                    raise Close(BAD_MESSAGES, f"{MOST_MISTAKES} messages were not understood") from None
                await self._refuse(error)

    async def _take(self, said: ClientMessage, watch: Watch) -> None:
        match said:
            case ClientMessage(subscribe=Some(tasks=list(task_ids)) as some):
                await self._subscribe(watch, task_ids, some.since)
            case ClientMessage(subscribe=Some() as some):
                await self._follow(watch, some.partner)
            case ClientMessage(unsubscribe=Fewer(tasks=list(task_ids))):
                watch.remove(task_ids)
                await self._socket.send({"event": "unsubscribed", "tasks": task_ids})
            case ClientMessage(unsubscribe=Fewer()):
                watch.unfollow()
                await self._socket.send({"event": "unsubscribed", "all": True})
            case ClientMessage(auth=str()):
                raise Invalid("This connection has its key already.")
            case _:
                await self._socket.send({"event": "pong", "ping": said.ping})

    async def _subscribe(self, watch: Watch, named: list[str], since: dict[str, int]) -> None:
        task_ids = list(dict.fromkeys(named))
        watch.remove(task_ids)
        if len(watch) + len(task_ids) > MOST_TASKS:
            raise Invalid(
                f"One connection may name {MOST_TASKS} tasks; unsubscribe from those that are done, "
                'or subscribe to {"all": true}.'
            )
        watch.add(task_ids)
        try:
            versions = await self._versions(task_ids)
        except WebhookdError:
            watch.remove(task_ids)
            raise
        unknown = [task_id for task_id in task_ids if task_id not in versions]
        watch.remove(unknown)
        if versions:
            known = [task_id for task_id in task_ids if task_id in versions]
            await self._socket.send({"event": "subscribed", "tasks": known})
        if unknown:
            await self._refuse(NotFound("There are no such tasks."), tasks=unknown)
        for task_id, version in versions.items():
            if since.get(task_id) == version:
                watch.saw(task_id, version)
            else:
                watch.due(task_id, version)

    async def _versions(self, task_ids: list[str]) -> dict[str, int]:
        """Read some tasks at a time: their results may be large."""
        present, partner_id = self._parts.watchers.present, self._caller.partner_id
        grant = self._caller.grant
        versions: dict[str, int] = {}
        for start in range(0, len(task_ids), READ_AT_ONCE):
            some = task_ids[start : start + READ_AT_ONCE]
            for snapshot in await asyncio.gather(*(present(task_id, partner_id) for task_id in some)):
                if snapshot is not None and (grant is None or covers(grant, snapshot.task)):
                    versions[snapshot.task.id] = snapshot.task.version
        return versions

    async def _follow(self, watch: Watch, partner_id: str | None) -> None:
        if self._caller.grant is not None:
            raise Forbidden("A token reads only what it names.")
        if not self._caller.is_admin:
            if partner_id is not None:
                raise wrong("subscribe.partner", "is not known here")
            partner_id = self._caller.partner_id
        elif partner_id is not None:
            partner = await self._parts.store.partners.find(partner_id)
            if partner is None:
                raise NotFound("There is no such partner.")
            partner_id = partner.id
        await watch.follow(partner_id)
        await self._socket.send({"event": "subscribed", "all": True})

    async def _refuse(self, error: WebhookdError, **more: Any) -> None:
        document: dict[str, Any] = {"event": "error", "code": error.code, "detail": error.detail, **more}
        if error.errors:
            document["errors"] = field_errors(error)
        await self._socket.send(document)
