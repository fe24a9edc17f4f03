"""`PermitBroker`: Dramatiq's Redis broker, reduced to what permits need.

Four departures from the original, each possible because a permit may be lost:

- *A permit taken is gone.* The consumer pops it and forgets it, before the turn it starts. There are no
  acknowledgements, heartbeats or maintenance: a killed worker leaves nothing behind, worker threads never
  touch the network, and popping works even where the server refuses writes for want of memory.
- *It blocks instead of polling*: BLPOP on the queue's own list (original: polls with up to 1 s pauses).
- *What is popped is not read.* Any entry of a queue's list, forged or broken, means the same: look. So ours
  have no bodies, and a ring is one small script (`rings`), in one round trip.

A queue that holds more than our ringers ever put there is emptied, and one turn stands for all of it.
While the broker is away, and now and then when it is merely silent, the consumer starts turns by itself;
so work goes on, a little later, whatever happens to the broker.
"""

import re
import threading
import time
from collections.abc import Iterable

import redis
from dramatiq import Consumer, Message, MessageProxy
from dramatiq.brokers.redis import RedisBroker

from webhookd.adapters.broker.connection import connect
from webhookd.adapters.broker.rings import PERMIT, is_wrong_type, keys_of
from webhookd.core.errors import SettingsError
from webhookd.core.model import DELIVER_QUEUE
from webhookd.runtime.outage import Outage

_WAIT_SECONDS: float = 1  # the longest BLPOP; also how long a consumer takes to notice that it shall stop
_AWAY_SECONDS = 1.0  # between two tries, and two turns, while the broker is away
_SILENCE_SECONDS = 20.0  # without a permit for so long, look anyway: even the sweep's rings may be lost
_SURPLUS = 64  # ringers stop at a handful of permits; more than this is not theirs
_COUNT_SECONDS = 1.0  # between two looks at how much there is


def check_queue_name(name: str) -> None:
    """Raises `SettingsError` for a name that is none, or that would collide with Dramatiq's own keys."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,99}", name) or name.endswith((".DQ", ".XQ", ".msgs")):
        raise SettingsError(
            f"{name!r} is no queue name: up to 100 letters, digits, '.', '_' and '-', the first a letter, "
            "not ending in .DQ, .XQ or .msgs."
        )


def permit(queue: str, *, rung: bool = True) -> Message[None]:
    """The message that says "`queue` may have work", as actors get it. `rung`: not only after a silence."""
    return Message(queue_name=queue, actor_name=actor_for(queue), args=(queue, rung), kwargs={}, options={})


def actor_for(queue: str) -> str:
    """There are two actors: `deliver` for its queue, `run` for all others."""
    return "deliver" if queue == DELIVER_QUEUE else "run"


class PermitBroker(RedisBroker):
    """Never set as Dramatiq's global broker. Connects at first use.

    `timeout_seconds` bounds each step on the network; where queues are consumed it must exceed 1 s. `role`
    is what the log calls it.
    """

    def __init__(self, url: str, *, namespace: str, timeout_seconds: float, role: str = "broker") -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Dramatiq's Redis module is not annotated
            client=connect(url, timeout_seconds=timeout_seconds),
            middleware=[],
            namespace=namespace,
            maintenance_chance=0,
        )
        self.outage = Outage(f"{role} of {namespace}")
        self.closing = threading.Event()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:  # noqa: ARG002 - Dramatiq's signature
        return PermitConsumer(self, queue_name)

    def declare_queue(self, queue_name: str) -> None:
        """As the original's, without the delay queue: nothing is ever delayed here."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def close(self) -> None:
        self.client.close()


class PermitConsumer(Consumer):
    """Yields one permit of one queue at a time: the next not before the last one's turn has ended.

    A turn claims for all free slots of the process, so a second one beside it would find nothing.
    Never raises; the thread that iterates it lives as long as its worker.
    """

    def __init__(self, broker: PermitBroker, queue: str) -> None:
        self._broker = broker
        self._queue = queue
        self._keys = keys_of(broker.namespace, queue)
        # Of its own: to take one out of the pool and put it back costs as much as the command.
        self._connection = broker.client.connection_pool.make_connection()
        self._counted_at = -_COUNT_SECONDS
        self._turn_ended = threading.Event()
        self._turn_ended.set()
        self._looked_at = -_SILENCE_SECONDS  # nobody knows what was rung before we came: look at once

    def __next__(self) -> MessageProxy | None:
        if not self._turn_ended.wait(_WAIT_SECONDS):
            return None
        if self._broker.closing.is_set():
            time.sleep(0.05)  # until the thread is told to stop; the permits are left to other workers
            return None
        silent = time.monotonic() - self._looked_at >= _SILENCE_SECONDS
        if not silent and not self._woken():
            return None
        self._looked_at = time.monotonic()
        self._turn_ended.clear()
        return MessageProxy(permit(self._queue, rung=not silent))

    def _woken(self) -> bool:
        """Wait for a permit, or in an outage for a second; False where there is no reason to look."""
        try:
            woken = self._pop()
        except redis.RedisError as error:
            self._broker.outage.noticed(error)
            # It may be the connection alone (its server became a replica): the next try takes a new one.
            self._broker.client.connection_pool.disconnect(inuse_connections=False)
            self._connection.disconnect()
            return not self._broker.closing.wait(_AWAY_SECONDS)
        self._broker.outage.over()
        return woken

    def _pop(self) -> bool:
        """Wait for an entry of the list and take it off the broker; False where none came."""
        try:
            self._connection.send_command("BLPOP", self._keys[0], _WAIT_SECONDS)
            found = self._connection.read_response()
            if found is None:
                return False
            surplus = self._is_too_much(found[1])
        except redis.ResponseError as error:
            surplus = is_wrong_type(error)
            if not surplus:
                raise
        if surplus:
            self._broker.client.unlink(*self._keys)
        return True

    def _is_too_much(self, entry: str | bytes) -> bool:
        """Drop the body of what was popped, if it is not ours; now and then, count what is left."""
        now = time.monotonic()
        if entry == PERMIT and now - self._counted_at < _COUNT_SECONDS:
            return False
        self._counted_at = now
        key, bodies, _ = self._keys
        with self._broker.client.pipeline(transaction=False) as pipeline:
            pipeline.hdel(bodies, entry)
            pipeline.llen(key)
            pipeline.hlen(bodies)
            _, entries, stored = pipeline.execute()
        return bool(max(entries, stored) > _SURPLUS)

    def ack(self, message: MessageProxy) -> None:  # noqa: ARG002 - Dramatiq's signature
        """The turn has ended."""
        self._turn_ended.set()

    nack = ack

    def close(self) -> None:
        self._connection.disconnect()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back permits whose turn never began, when the worker stops; best effort."""
        try:
            for message in messages:
                _, rung = message.args
                if rung:
                    self._broker.client.rpush(self._keys[0], PERMIT)
        except redis.RedisError as error:
            self._broker.outage.noticed(error)
