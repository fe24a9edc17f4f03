"""What a folder needs beyond what obstore does there: bytes that are on the disk, and no leavings.

obstore (object_store) writes to `key#N` and renames, without an fsync. So a write is settled here before a
row names it, and what killed processes left behind of theirs is removed by the sweep.
"""

import os
from pathlib import Path


class Folder:
    """The folder that holds the files. Made, for its owner only, where it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        new = [one for one in (path, *path.parents) if not one.exists()]
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for one in new:
            _sync(one.parent)

    def settle(self, key: str) -> None:
        """Put a written key on the disk: its bytes, its name, and the folders above it up to this one."""
        written = self.path / key
        _sync(written)
        for above in written.parents:
            _sync(above)
            if above == self.path:
                return

    def remove_staged(self, before_ms: int) -> int:
        """Remove what was staged and never renamed, untouched since `before_ms`; return how many."""
        removed = 0
        for found in self.path.rglob("*#*"):
            try:
                if found.is_file() and found.stat().st_mtime * 1000 < before_ms:
                    found.unlink()
                    removed += 1
            except FileNotFoundError:  # renamed, or removed by another process
                continue
        return removed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
