"""The stop of a server forgets no connection: tests/api/test_connection_ends.py tries it on the API."""

import asyncio
import socket
from contextlib import ExitStack, suppress

import pytest

from webhookd.cli.receiver import Receiver, bind, receiving


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(6))
async def test_every_accepted_connection_is_closed_with_its_server(turns: int) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(bind("127.0.0.1", 0))
        async with receiving(Receiver(), listener):
            senders = [
                stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(3)
            ]
            for _ in range(turns):
                await asyncio.sleep(0)
        for sender in senders:
            _wait_for_the_end(sender)


async def test_a_request_that_outlasts_the_stop_leaves_no_connection_open() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(bind("127.0.0.1", 0))
        async with receiving(Receiver(), listener):
            sender = stack.enter_context(socket.create_connection(listener.getsockname()))
            sender.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
            await asyncio.sleep(0.1)
        _wait_for_the_end(sender)


def _wait_for_the_end(sender: socket.socket) -> None:
    """Raises TimeoutError."""
    sender.settimeout(30)
    with suppress(ConnectionResetError):
        while sender.recv(100):
            pass
