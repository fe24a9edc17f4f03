"""uvicorn's server as we run it: it leaves the signals alone, and its stop forgets no connection."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

_TURNS: Final = 3
"""Turns of a loop from accepting a connection to making it known, by asyncio (the longer) and uvloop."""


class UvicornServer(uvicorn.Server):
    """uvicorn whose signals are its owner's, for sockets that its owner has bound."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change nothing: uvicorn's own would end the process by the signal, not with exit code 0."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, make known what is accepted, and only then shut down what is known.

        uvicorn asks the connections it knows to end. One that is accepted and not yet known would be served
        on and kept alive (uvloop), or neither served nor closed (asyncio of Python 3.11).
        """
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            loop.remove_reader(listener)  # what asyncio accepts by; uvloop has none
        await _turn(_TURNS)
        for server in self.servers:
            server.close()
        await _turn(_TURNS)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
