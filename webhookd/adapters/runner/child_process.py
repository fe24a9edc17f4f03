"""The worker's side of `isolation="process"`: one call, in a warm child of the pool.

A thread waits for the child: that costs less care than a second kind of waiting, and the calls that need
a child are the heavy ones. A child that crashed, was told to stop, or left something running is not used
again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from webhookd.adapters.runner import protocol
from webhookd.adapters.runner.child_pool import ChildPool
from webhookd.adapters.runner.ending import Ending
from webhookd.adapters.runner.job import Job
from webhookd.adapters.runner.threads import ThreadPool
from webhookd.adapters.runner.warm_child import WarmChild
from webhookd.core.outcome import ERROR, PRIVATE, Crashed, Raised, RetryLater
from webhookd.core.run_log import raised_from

if TYPE_CHECKING:  # OpenTelemetry may not be installed
    from webhookd.adapters.spans.spans import Spans

MAX_RUNS: Final = 1_000
"""How many runs a child makes where its types do not say: what leaks in it does not leak for ever."""
_IDLE_DEATHS: Final = 3


@dataclass(frozen=True, slots=True)
class _ChildEnd:
    """How a run ended, and whether its child left nothing running."""

    ending: Ending
    clean: bool


class ChildCall:
    """One call in a child process. The public methods are the main loop's, the others are the thread's."""

    def __init__(
        self,
        job: Job,
        pool: ChildPool,
        *,
        threads: ThreadPool,
        on_end: Callable[[Ending], None],
        spans: "Spans | None" = None,
    ) -> None:
        self._job = job
        self._pool = pool
        self._spans = spans
        self._carrier = {} if spans is None else spans.here()
        self._lock = threading.Lock()
        self._child: WarmChild | None = None  # while it is this call's
        self._number = 0  # the run's in that child, once it has its order
        self._told = self._stopped = self._abandoned = self._began = False
        threads.submit(self._drive, on_end)

    def cancel(self) -> None:
        """Tell the child, once. If it has not had its order yet, the thread tells it after that."""
        with self._lock:
            if not self._told:
                self._told = True
                self._tell()

    def interrupt(self) -> None:
        """As `cancel`: it has the grace to end by itself. It runs nothing more after that."""
        self._stopped = True
        self.cancel()

    def abandon(self) -> None:
        """Kill it and everything it started."""
        with self._lock:
            self._stopped = self._abandoned = True
            if self._child is not None:
                self._child.kill()

    def _drive(self) -> Ending:
        words = ""
        for _ in range(_IDLE_DEATHS):
            try:
                child = self._pool.take()
            except OSError as error:
                return RetryLater(code=ERROR, message=PRIVATE, raised=raised_from(error))
            if not self._hold(child):
                self._pool.give_back(child)
                return Crashed(detail="it was given up before it began")
            unready = _made_ready(child)
            if unready is not None:
                self._let_go()
                words = child.end()
                if isinstance(unready, Raised):
                    return RetryLater(code=ERROR, message=PRIVATE, raised=unready)
                return Crashed(detail=words)
            self._give_order(child)
            ended = self._listen(child)
            if ended is not None:
                return self._over(child, ended)
            self._let_go()
            words = child.end()
            if self._began or self._abandoned:
                return Crashed(detail=words)
            # It died while nobody used it: that is not this run's doing.
        return Crashed(detail=words)

    def _listen(self, child: WarmChild) -> _ChildEnd | None:
        """Pass on what it says until the run has ended; None: the child has."""
        while (said := child.hear()) is not None:
            number, kind, *values = said
            if number != self._number:
                continue  # a thread that an earlier run left behind
            if kind == protocol.ENDED:
                clean, *ending = values
                return _ChildEnd(protocol.ending_from(ending), clean)
            self._began = True
            self._pass_on(kind, values)
        return None

    def _hold(self, child: WarmChild) -> bool:
        """From now on it may be killed for this call. False: the call was given up meanwhile."""
        with self._lock:
            if not self._abandoned:
                self._child = child
            return not self._abandoned

    def _give_order(self, child: WarmChild) -> None:
        child.runs += 1
        child.say(protocol.run_line(child.runs, self._job, self._carrier))
        with self._lock:
            self._number = child.runs
            if self._told:
                self._tell()

    def _pass_on(self, kind: str, values: list[Any]) -> None:
        if kind == protocol.PROGRESS:
            self._job.context.progress(*values)
        elif kind == protocol.LOGGED:
            self._job.keep_line(*values)
        elif kind == protocol.SPAN and self._spans is not None:
            self._spans.take(*values)

    def _over(self, child: WarmChild, ended: _ChildEnd) -> Ending:
        self._let_go()
        if self._stopped or not ended.clean:
            child.end()
        elif child.runs >= (self._job.definition.max_runs or MAX_RUNS):
            self._pool.retire(child)
        else:
            self._pool.give_back(child)
        return ended.ending

    def _let_go(self) -> None:
        with self._lock:
            self._child, self._number = None, 0

    def _tell(self) -> None:
        if self._child is not None and self._number:
            self._child.say(protocol.cancel_line(self._number))


def _made_ready(child: WarmChild) -> Raised | str | None:
    """Wait until the child is ready; else return why it is not, as far as it could say."""
    if child.is_ready:
        return None
    match child.hear():
        case [protocol.READY]:
            child.is_ready = True
            return None
        case [protocol.UNREADY, raised]:
            return Raised(**raised)
        case _:
            return "it ended"
