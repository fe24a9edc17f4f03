"""The folder in which one worker process keeps the files of its runs: it goes with the process.

Who is killed leaves it behind, with a lock that nobody holds; the next worker to start removes it.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "webhookd-runs-"
_LOCK: Final = "lock"


@contextlib.contextmanager
def run_root(parent: Path | None = None) -> Iterator[Path]:
    """Make the folder in the machine's temporary one, and remove it with all that is in it."""
    parent = parent or Path(tempfile.gettempdir())
    _remove_left_behind(parent)
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    held = os.open(root / "making", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        (root / "making").rename(root / _LOCK)  # only now does anyone look at it
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
        os.close(held)


def _remove_left_behind(parent: Path) -> None:
    for root in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if root.stat().st_uid != os.geteuid():
                continue
            lock = os.open(root / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(root, ignore_errors=True)
            finally:
                os.close(lock)
