"""The connections of this process that wait, and which go first where there are too many.

A connection waits, from its coming or its last answer on, until it has said a whole head. Nothing is lost
with it, so waiting ones are what is given up: of an address beyond its bound, and near the
limit of open files of the address that has most of them, the oldest first. Accepting itself then never fails.
What trusted proxies bring is many callers': it has no bound of its own, and goes last.
"""

import resource
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

from webhookd.api.client_address import Network, client_address, is_trusted

KEPT_FILES: Final = 128
"""Of the limit of open files, for the database, the broker, logs and what is just being accepted."""
MOST_FILES: Final = 65_536
"""So many where there is no limit."""
SHARE_OF_ONE: Final = 4
"""One address may have one in so many of all connections waiting."""


class Connection(Protocol):
    """What may have to go."""

    def give_up(self) -> None:
        """Close, without an answer: nothing was asked."""
        ...


class Crowd:
    """The connections that wait. `most` bounds all that are open, `trusted` are the operator's proxies.

    Use it on one event loop.
    """

    def __init__(self, *, most: int, trusted: Sequence[Network]) -> None:
        self.bound(most)
        self._trusted = trusted
        self._address: dict[Connection, str] = {}
        self._waiting: dict[str, OrderedDict[Connection, None]] = {}
        self._proxies: dict[str, OrderedDict[Connection, None]] = {}

    def bound(self, most: int) -> None:
        """Set how many connections there may be."""
        self._most = most
        self._most_of_one = max(1, most // SHARE_OF_ONE)

    def waits(self, connection: Connection, peer: str | None, *, open_now: int) -> None:
        """Nothing is asked on it. If there are too many, another one is given up for it."""
        trusted = is_trusted(peer, self._trusted)
        lines = self._proxies if trusted else self._waiting
        address = client_address(peer, {}, ())
        line = lines.setdefault(address, OrderedDict())
        line[connection] = None
        self._address[connection] = address
        if not trusted and len(line) > self._most_of_one:
            next(iter(line)).give_up()
        elif open_now > self._most:
            lines = self._waiting or self._proxies
            longest = max(lines, key=lambda each: len(lines[each]))
            next(iter(lines[longest])).give_up()

    def works(self, connection: Connection) -> None:
        """Something is asked on it, or it is at its end."""
        address = self._address.pop(connection, None)
        if address is None:
            return
        for lines in (self._waiting, self._proxies):
            line = lines.get(address)
            if line is not None:
                line.pop(connection, None)
                if not line:
                    del lines[address]


def most_connections() -> int:
    """Return how many connections this process has files for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        files = MOST_FILES
    return max(KEPT_FILES, files - KEPT_FILES)
