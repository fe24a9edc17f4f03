"""Redis pub/sub of "this task has changed", from whoever changed it to whoever is watching it.

Two channels: on one, API processes make known what is watched there; on the other goes what changed of that.
So a task that nobody watches costs nothing here; what decides is `core.watched`.

Signals only make watchers quick. They may be lost, doubled or reordered: a watcher subscribes, *then* reads
the row, and looks at the rows once a second anyway. What a watcher does with a signal is not known here.

Whoever can reach the broker can publish, so a message is untrusted in shape and size: what is no signal of
ours is dropped and counted, and nothing that comes ends the listening.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from webhookd.adapters.broker.connection import connect_async
from webhookd.core.records import TaskSignal
from webhookd.core.watched import EVERYTHING, Watched
from webhookd.runtime.outage import Outage

_log = logging.getLogger(__name__)

_PUBLISH_TIMEOUT_SECONDS = 0.25
_LISTEN_TIMEOUT_SECONDS = 2.0
_BUFFER = 10_000  # tasks whose newest version waits to be published; more, and the oldest are dropped
_BATCH = 500  # signals in one message: some 40 KB
_NAMES = 2_000  # watched names in one message: as much
_MOST_WATCHED = 10_000  # more names are told as one that stands for everything
_MAX_MESSAGE_BYTES: Final = 131_072  # of a batch of ours, three times over
_MAX_VERSION: Final = 2**53
_ID: Final = re.compile(r"[a-z0-9_]{1,64}")
_GAP_SECONDS = 0.005
_SILENCE_SECONDS = 5.0  # then the server is asked whether it is still there
_AWAY_SECONDS = 1.0


class Signals:
    """Publishes what is watched, and listens; use it on one event loop.

    `failed` counts publications that failed, `dropped` signals pushed out of a full buffer, `forged` messages
    and signals that were not ours.
    """

    def __init__(self, broker_url: str, *, namespace: str = "webhookd") -> None:
        self._channel = f"{namespace}:signals"
        self._watched_channel = f"{namespace}:watched"
        self._publisher = connect_async(broker_url, timeout_seconds=_PUBLISH_TIMEOUT_SECONDS)
        self._listener = connect_async(broker_url, timeout_seconds=_LISTEN_TIMEOUT_SECONDS)
        self._outage = Outage(f"signals of {namespace}")
        self._watched = Watched()
        self._untold: dict[str, None] = {}
        self._buffer: dict[str, TaskSignal] = {}
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self.failed = 0
        self.dropped = 0
        self.forged = 0

    def publish(self, changes: Collection[TaskSignal]) -> None:
        """Note the changes that somebody watches and return at once; of one task only the newest is sent.

        Must be called on the loop. Never raises for what is wrong with the broker.
        """
        if not self._closed:
            self._send(self._watched.told(changes, time.monotonic()))

    def watch(self, names: Collection[str]) -> None:
        """Make known that these tasks, partners or EVERYTHING are watched here; say it again every second.

        Must be called on the loop, before the rows are read.
        """
        if self._closed or not names:
            return
        names = (EVERYTHING,) if len(names) > _MOST_WATCHED else names
        self._untold.update(dict.fromkeys(names))
        self._send(self._watched.learn(names, time.monotonic()))

    def _send(self, changes: Iterable[TaskSignal]) -> None:
        for change in changes:
            known = self._buffer.pop(change.task_id, None)
            self._buffer[change.task_id] = (
                known if known is not None and known.version > change.version else change
            )
            if len(self._buffer) > _BUFFER:
                del self._buffer[next(iter(self._buffer))]
                self.dropped += 1
        if (self._buffer or self._untold) and (self._pump is None or self._pump.done()):
            self._pump = asyncio.get_running_loop().create_task(self._publish_all(), name="signals")

    async def listen(self, callback: Callable[[Sequence[TaskSignal]], None] | None = None) -> None:
        """Learn what is watched, and call `callback` on the loop with each batch, our own included.

        Until cancelled; reconnects for ever. Without a callback only the names are heard. `callback` must
        not block; what it raises is logged.
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

    async def _publish_all(self) -> None:
        while self._buffer or self._untold:
            channel, message = self._next_message()
            try:
                await self._publisher.publish(channel, message)
                self._outage.over()
            except (redis.RedisError, OSError) as error:
                self.failed += 1
                self._outage.noticed(error)
            if not self._closed:
                await asyncio.sleep(_GAP_SECONDS)

    def _next_message(self) -> tuple[str, bytes]:
        """Take what is to be sent next: names first, since others wait for them."""
        if self._untold:
            names = list(islice(self._untold, _NAMES))
            for name in names:
                del self._untold[name]
            return self._watched_channel, orjson.dumps(names)
        task_ids = list(islice(self._buffer, _BATCH))
        return self._channel, _encode([self._buffer.pop(task_id) for task_id in task_ids])

    async def _listen_once(self, callback: Callable[[Sequence[TaskSignal]], None] | None) -> None:
        async with self._listener.pubsub() as pubsub:
            await pubsub.subscribe(self._watched_channel, *([] if callback is None else [self._channel]))
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
                    self._hear(message["channel"].decode(), message["data"], callback)

    def _hear(self, channel: str, data: Any, callback: Callable[[Sequence[TaskSignal]], None] | None) -> None:
        if channel == self._watched_channel:
            names, forged = _decode_names(data)
            self._send(self._watched.learn(names, time.monotonic()))
        else:
            batch, forged = _decode(data)
            if batch and callback is not None:
                _call(callback, batch)
        self.forged += forged


def _call(callback: Callable[[Sequence[TaskSignal]], None], batch: Sequence[TaskSignal]) -> None:
    try:
        callback(batch)
    except Exception:  # noqa: BLE001 - one bad watcher must not deafen the others
        _log.exception("a listener to signals failed")


def _encode(batch: Sequence[TaskSignal]) -> bytes:
    return orjson.dumps([[signal.task_id, signal.partner_id, signal.version] for signal in batch])


def _decode(data: Any) -> tuple[list[TaskSignal], int]:
    """Return the signals in a message, and how many things in it were none."""
    rows = _rows(data)
    if rows is None:
        return [], 1
    signals = [signal for row in rows if (signal := _signal(row)) is not None]
    return signals, len(rows) - len(signals)


def _decode_names(data: Any) -> tuple[list[str], int]:
    """Return the names in a message, and how many things in it were none."""
    rows = _rows(data)
    if rows is None:
        return [], 1
    names = [row for row in rows if isinstance(row, str) and (row == EVERYTHING or _ID.fullmatch(row))]
    return names, len(rows) - len(names)


def _rows(data: Any) -> list[Any] | None:
    """Return what a message lists; None where it is none of ours."""
    if not isinstance(data, bytes) or len(data) > _MAX_MESSAGE_BYTES:
        return None
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError:  # lone surrogates and endless nesting too
        return None
    return rows if isinstance(rows, list) else None


def _signal(row: Any) -> TaskSignal | None:
    match row:
        case [str(task_id), str(partner_id), int(version)]:
            true = not isinstance(version, bool) and 0 < version <= _MAX_VERSION
            if true and _ID.fullmatch(task_id) and _ID.fullmatch(partner_id):
                return TaskSignal(task_id=task_id, partner_id=partner_id, version=version)
    return None
