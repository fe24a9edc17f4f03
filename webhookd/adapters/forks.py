"""What a process that an operator's function forks must not keep of ours.

A fork copies the handlers of signals and shares open files. So a signal to the child would be written into
the event loop's own socket and stop the *worker*, and a lock of a file (`flock`) would last as long as any
child that shares it. A child that comes back out of the function that made it is nobody's and ends.
"""

import os
import signal
import threading
from contextlib import suppress
from typing import Final

OURS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that our processes listen to."""


_masks: Final = threading.local()
"""The signals that the thread which forks held back before."""


def shield_from_children() -> None:
    """Let forked children have Python's own handlers of signals. Call it once, in the main thread.

    A signal may come as soon as the child's pid is known, which is before the child has run a line. So they
    are held back across the fork, and reach the child when the handlers are its own.
    """
    os.register_at_fork(before=_hold_signals, after_in_parent=_let_come, after_in_child=_forget_signals)


def _hold_signals() -> None:
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def _let_come() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _forget_signals() -> None:
    # The thread that forked is the child's main thread, so it may.
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
        for number in OURS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                own = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
                signal.signal(number, own)
    _let_come()


def end_if_forked(pid: int) -> None:
    """End this process at once unless it is `pid`: it is a child that its function did not end."""
    if os.getpid() != pid:
        os._exit(0)
