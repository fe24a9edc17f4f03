"""The event loop of our processes: uvloop where the platform has it, the standard one elsewhere."""

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what `asyncio.Runner` takes; None is its own default."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
