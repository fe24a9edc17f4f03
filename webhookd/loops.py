"""The event loop and the collector of our processes."""

import asyncio
import gc
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what `asyncio.Runner` takes: uvloop where the platform has it, None (the default) elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def settle_collector() -> None:
    """Call once a process is built: what it is made of stays, and is not looked through again.

    Requests and attempts make no reference cycles, so young objects die without the collector; with the
    usual threshold it took 15 % of a deliver process (measured: 430 against 360 us a delivery).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
