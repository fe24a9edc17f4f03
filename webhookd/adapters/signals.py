"""Redis pub/sub of "this task has changed", from whoever changed it to whoever is watching it.

Signals only make watchers quick. They may be lost, doubled or reordered: a watcher subscribes, *then* reads
the row, and looks at the rows once a second anyway. What a watcher does with a signal is not known here.

Whoever can reach the broker can publish, so a message is untrusted in shape and size: what is no signal of
ours is dropped and counted, and nothing that comes ends the listening.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from webhookd.adapters.broker.connection import connect_async
from webhookd.core.records import TaskSignal
from webhookd.runtime.outage import Outage

_log = logging.getLogger(__name__)

_PUBLISH_TIMEOUT_SECONDS = 0.25
_LISTEN_TIMEOUT_SECONDS = 2.0
_BUFFER = 10_000  # tasks whose newest version waits to be published; more, and the oldest are dropped
_BATCH = 500  # signals in one message: some 40 KB
_MAX_MESSAGE_BYTES: Final = 131_072  # of a batch of ours, three times over
_MAX_VERSION: Final = 2**53
_ID: Final = re.compile(r"[a-z0-9_]{1,64}")
_GAP_SECONDS = 0.005
_SILENCE_SECONDS = 5.0  # then the server is asked whether it is still there
_AWAY_SECONDS = 1.0


class Signals:
    """Publishes and listens on one channel; use it on one event loop.

    `failed` counts publications that failed, `dropped` signals pushed out of a full buffer, `forged` messages
    and signals that were not ours.
    """

    def __init__(self, broker_url: str, *, namespace: str = "webhookd") -> None:
        self._channel = f"{namespace}:signals"
        self._publisher = connect_async(broker_url, timeout_seconds=_PUBLISH_TIMEOUT_SECONDS)
        self._listener = connect_async(broker_url, timeout_seconds=_LISTEN_TIMEOUT_SECONDS)
        self._outage = Outage(f"signals of {namespace}")
        self._buffer: dict[str, TaskSignal] = {}
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self.failed = 0
        self.dropped = 0
        self.forged = 0

    def publish(self, changes: Sequence[TaskSignal]) -> None:
        """Note the changes and return at once; of one task only the newest version is sent.

        Must be called on the loop. Never raises for what is wrong with the broker.
        """
        if self._closed:
            return
        for change in changes:
            known = self._buffer.pop(change.task_id, None)
            self._buffer[change.task_id] = (
                known if known is not None and known.version > change.version else change
            )
            if len(self._buffer) > _BUFFER:
                del self._buffer[next(iter(self._buffer))]
                self.dropped += 1
        if self._buffer and (self._pump is None or self._pump.done()):
            self._pump = asyncio.get_running_loop().create_task(self._publish_buffer(), name="signals")

    async def listen(self, callback: Callable[[Sequence[TaskSignal]], None]) -> None:
        """Call `callback` on the loop with each batch, our own included, until cancelled.

        Reconnects for ever. `callback` must not block; what it raises is logged.
        """
        while True:
            try:
                await self._listen_once(callback)
            except (redis.RedisError, OSError) as error:
                self._outage.noticed(error)
                await asyncio.sleep(_AWAY_SECONDS)
            except Exception:  # noqa: BLE001 - whatever it was, the next message may be good
                _log.exception("listening to signals failed")
                await asyncio.sleep(_AWAY_SECONDS)

    async def aclose(self) -> None:
        """Send what waits (at most some 250 ms a step) and close. Cancel `listen` before."""
        self._closed = True
        if self._pump is not None:
            await self._pump
        await self._publisher.aclose()
        await self._listener.aclose()

    async def _publish_buffer(self) -> None:
        while self._buffer:
            task_ids = list(self._buffer)[:_BATCH]
            batch = [self._buffer.pop(task_id) for task_id in task_ids]
            try:
                await self._publisher.publish(self._channel, _encode(batch))
                self._outage.over()
            except (redis.RedisError, OSError) as error:
                self.failed += 1
                self._outage.noticed(error)
            if not self._closed:
                await asyncio.sleep(_GAP_SECONDS)

    async def _listen_once(self, callback: Callable[[Sequence[TaskSignal]], None]) -> None:
        async with self._listener.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=_SILENCE_SECONDS)
                if message is None:
                    if asked:
                        raise redis.TimeoutError("no answer in time")
                    await pubsub.ping()
                    asked = True
                    continue
                asked = False
                if message["type"] == "subscribe":
                    self._outage.over()
                if message["type"] == "message":
                    batch, forged = _decode(message["data"])
                    self.forged += forged
                    if batch:
                        _call(callback, batch)


def _call(callback: Callable[[Sequence[TaskSignal]], None], batch: Sequence[TaskSignal]) -> None:
    try:
        callback(batch)
    except Exception:  # noqa: BLE001 - one bad watcher must not deafen the others
        _log.exception("a listener to signals failed")


def _encode(batch: Sequence[TaskSignal]) -> bytes:
    return orjson.dumps([[signal.task_id, signal.partner_id, signal.version] for signal in batch])


def _decode(data: Any) -> tuple[list[TaskSignal], int]:
    """Return the signals in a message, and how many things in it were none."""
    if not isinstance(data, bytes) or len(data) > _MAX_MESSAGE_BYTES:
        return [], 1
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError:  # lone surrogates and endless nesting too
        return [], 1
    if not isinstance(rows, list):
        return [], 1
    signals = [signal for row in rows if (signal := _signal(row)) is not None]
    return signals, len(rows) - len(signals)


def _signal(row: Any) -> TaskSignal | None:
    match row:
        case [str(task_id), str(partner_id), int(version)]:
            true = not isinstance(version, bool) and 0 < version <= _MAX_VERSION
            if true and _ID.fullmatch(task_id) and _ID.fullmatch(partner_id):
                return TaskSignal(task_id=task_id, partner_id=partner_id, version=version)
    return None
