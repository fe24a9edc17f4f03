"""`OwnThread`: runs functions one after the other in a thread, for an event loop.

`loop.run_in_executor` does it through a future of `concurrent.futures` beside the loop's own, with a
condition and callbacks for each call; for one that comes alone that is half of the way there and back.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class _QueuedCall(NamedTuple):
    work: Callable[[], Any]
    outcome: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class OwnThread:
    """Runs one function at a time, in the order in which they are given. The thread is a daemon."""

    def __init__(self, name: str) -> None:
        self._calls: Final = queue.SimpleQueue[_QueuedCall | None]()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Run it, and return what comes of it. Cancelling that stops only a function that has not begun."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[R] = loop.create_future()
        self._calls.put(_QueuedCall(lambda: function(*args, **kwargs), outcome, loop))
        return outcome

    def close(self) -> None:
        """Let the thread end once it has run all it was given."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            if not call.outcome.cancelled():
                _answer(call)
            del call  # with what it holds, until the next one comes


def _answer(call: _QueuedCall) -> None:
    result, raised = None, None
    try:
        result = call.work()
    except BaseException as error:  # noqa: BLE001 - it is the caller's
        raised = error
    try:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            call.loop.call_soon_threadsafe(_settle, call.outcome, result, raised)
    finally:
        del raised  # it holds this frame


def _settle(outcome: asyncio.Future[Any], result: Any, raised: BaseException | None) -> None:
    if outcome.done():
        return
    if raised is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(raised)
