"""That somebody wants a run cancelled: told once, on one event loop.

An `asyncio.Event` would do, but to hear of it takes an asyncio task a run: a tenth of what a run costs
the loop.
"""

from collections.abc import Callable


def _nobody() -> None:
    pass


class CancelRequest:
    """`set` tells the one who listens, at once; who listens afterwards is told then."""

    __slots__ = ("_is_set", "_listener")

    def __init__(self) -> None:
        self._is_set = False
        self._listener: Callable[[], None] = _nobody

    def set(self) -> None:
        """Ask for it. A second time changes nothing."""
        if not self._is_set:
            self._is_set = True
            self._listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` once it is asked for; it takes the place of the one before."""
        self._listener = listener
        if self._is_set:
            listener()

    def ignore(self) -> None:
        """Tell nobody any more."""
        self._listener = _nobody
