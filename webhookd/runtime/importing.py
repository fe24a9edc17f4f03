"""How a process imports what it is made of: without what it never uses, and without the collector."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def import_without(left_out: str, name: str) -> None:
    """Import `name` as if `left_out` were not installed; whoever wants that imports it as ever afterwards."""
    if left_out in sys.modules:
        __import__(name)
        return
    sys.modules[left_out] = None  # type: ignore[assignment]  # what makes an import say that there is none
    try:
        __import__(name)
    finally:
        del sys.modules[left_out]


@contextmanager
def without_collector() -> Iterator[None]:
    """Import modules within: they stay, and looking for garbage among them is a tenth of a start."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
