"""`TurnWorker`: a Dramatiq worker whose actors run turns on the process's event loop.

A turn is `await on_turn(queue)`: it claims what it can for `queue` and ends by itself after its time slice.
What it claims, and how long a slice is, is decided by who passes `on_turn`.
"""

import asyncio
import concurrent.futures
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from dramatiq import Actor, MessageProxy, Worker

from webhookd.adapters.broker.permits import PermitBroker, actor_for, check_queue_name, permit
from webhookd.core.errors import ServiceError

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 2.5  # a BLPOP waits 1 s by itself
_IDLE_MS = 60_000  # how long a thread without a turn sleeps; it is woken to stop


class TurnWorker:
    """Listens on `queues` and runs their turns on `loop`: of each queue one at a time, of several at once.

    Besides for permits it runs a turn after 20 s without one, and every second while the broker is away.
    `on_ring` is called on the loop before a turn that is not only for the silence. Raises `SettingsError` for
    a queue name Dramatiq cannot have.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        namespace: str = "webhookd",
        queues: Sequence[str],
        on_turn: Callable[[str], Awaitable[None]],
        on_ring: Callable[[], None] = lambda: None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._on_turn = on_turn
        self._on_ring = on_ring
        self._loop = loop
        self._turns: dict[str, concurrent.futures.Future[None]] = {}
        self._broker = PermitBroker(
            broker_url, namespace=namespace, timeout_seconds=_TIMEOUT_SECONDS, role="turn worker"
        )
        for queue in queues:
            check_queue_name(queue)
            self._broker.declare_queue(queue)
            if (name := actor_for(queue)) not in self._broker.actors:
                Actor(
                    self._turn,
                    broker=self._broker,
                    actor_name=name,
                    queue_name=queue,
                    priority=0,
                    options={},
                )
        # A thread for each queue, since a queue has one turn at a time: none waits for another's.
        self._worker = Worker(
            self._broker, queues=set(queues), worker_timeout=_IDLE_MS, worker_threads=len(set(queues))
        )

    def start(self) -> None:
        """Start the threads; they connect on their own, and go on where there is no broker yet."""
        self._worker.start()

    async def stop(self, timeout_seconds: float) -> None:
        """Take no more permits, let the turns end, cancel those that have not within `timeout_seconds`.

        Returns when the threads have ended, at most some 3 s after the last turn. Call it on `loop`.
        """
        self._broker.closing.set()
        for worker in self._worker.workers:
            worker.stop()
        for queue, consumer in self._worker.consumers.items():
            consumer.handle_message(MessageProxy(permit(queue, rung=False)))
        cancel = self._loop.call_later(timeout_seconds, self._cancel_turns)
        # A thread of its own: the turns that must end may have filled the loop's usual one.
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="turns-stop")
        try:
            await self._loop.run_in_executor(thread, self._worker.stop, int(timeout_seconds * 1000) + 5000)
        finally:
            cancel.cancel()
            thread.shutdown(wait=False)
            self._broker.close()

    def _turn(self, queue: str, rung: bool) -> None:
        """The body of both actors, in a thread of Dramatiq's; catches everything."""
        if not rung and self._broker.closing.is_set():  # only woken, to stop
            return
        turn = self._await_turn(queue, rung=rung)
        try:
            future = self._turns[queue] = asyncio.run_coroutine_threadsafe(turn, self._loop)
        except RuntimeError:  # the loop is closed: the process ends
            turn.close()
            return
        try:
            future.result()
        except concurrent.futures.CancelledError:
            _log.warning("a turn of queue %s was cancelled", queue)
        except ServiceError as error:
            _log.warning("a turn of queue %s was given up: %s", queue, error.detail)
        except Exception:  # noqa: BLE001 - nothing a turn raises may end the thread
            _log.exception("a turn of queue %s failed", queue)

    async def _await_turn(self, queue: str, *, rung: bool) -> None:
        if rung:
            self._on_ring()
        await self._on_turn(queue)

    def _cancel_turns(self) -> None:
        for future in self._turns.values():
            future.cancel()
