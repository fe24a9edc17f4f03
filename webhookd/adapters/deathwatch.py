"""Children that die with their parent, whatever kills the parent.

`watched(argv)` wraps a command line so that the kernel sends the child a signal when the parent is
gone (`PR_SET_PDEATHSIG`, Linux). The wrapper is this very file, run as a script: it sets the option and
then becomes the command by exec, so no extra process stays and no code runs between fork and exec in a
threaded parent (which is why this is no `preexec_fn`). Elsewhere than on Linux the command is returned
as it is, and an orderly stop is all there is.

Two limits of the kernel's, see prctl(2): the signal comes when the *thread* that started the child ends,
so start children from the main thread; and exec of a set-user-ID program, or a change of user, clears it.
Starting, restarting and stopping children is `supervisor`'s business, not ours.
"""

import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def watched(argv: Sequence[str], *, orphan_signal: int = signal.SIGKILL) -> tuple[str, ...]:
    """The command line that runs `argv` so that it gets `orphan_signal` when this process dies.

    SIGKILL is the default because everything here must survive it anyway, and nothing else is certain.
    """
    if sys.platform != "linux":
        return tuple(argv)
    # -I and -S: nothing of the environment or of site-packages is read, which makes the start quick.
    shim = (sys.executable, "-I", "-S", __file__, str(int(orphan_signal)), str(os.getpid()))
    return (*shim, *argv)


def die_with_parent(parent_pid: int, *, orphan_signal: int = signal.SIGKILL) -> None:
    """Have this process, a child of `parent_pid`, get `orphan_signal` when its parent dies. Linux only.

    Raises SystemExit where the parent has died already.
    """
    _ask_for(orphan_signal)
    # The parent may have died before we asked: then no signal will ever come.
    if os.getppid() != parent_pid:
        raise SystemExit(1)


def _become(orphan_signal: int, parent_pid: int, argv: list[str]) -> None:
    die_with_parent(parent_pid, orphan_signal=orphan_signal)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - becoming the given command is what this script is for
    except OSError as error:
        print(f"cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(127) from None


def _ask_for(orphan_signal: int) -> None:
    """Best effort: a child without this is better than no child."""
    try:
        import ctypes
    except ImportError:  # a Python built without libffi
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
