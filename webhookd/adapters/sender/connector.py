"""aiohttp's connector with the guard where addresses are chosen and our `Wire` as the connection.

Everything but `_factory` is aiohttp's public interface: the factory is the one place where the class
of a connection can be chosen, and that class is how a byte too many is noticed (see `wire`).
"""

import functools
import ssl
from typing import Final

import aiohttp

from webhookd.adapters.sender.guard import Guard
from webhookd.adapters.sender.wire import Wire

# Below the idle limits receivers commonly have (Node 5 s, uvicorn 5 s, nginx 75 s): a POST is not sent
# twice, so a connection the receiver is just closing would cost the attempt.
KEEP_ALIVE_SECONDS: Final = 4.0


class GuardedConnector(aiohttp.TCPConnector):
    """A pool of connections to allowed addresses; make it on the loop that will use it.

    At most `max_connections` are in use at once, `max_per_host` of them to one host and port, and as
    many again lie idle.
    """

    def __init__(
        self, guard: Guard, *, ssl_context: ssl.SSLContext, max_connections: int, max_per_host: int
    ) -> None:
        super().__init__(
            resolver=guard,
            socket_factory=guard.make_socket,
            use_dns_cache=False,
            ssl=ssl_context,
            limit=max_connections,
            limit_per_host=max_per_host,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        idle: set[Wire] = set()
        self._factory = functools.partial(  # type: ignore[assignment]  # a Wire is a ResponseHandler; partial is invariant
            Wire, idle=idle, idle_limit=max_connections, loop=self._loop
        )
