"""Doing the steps of a call: in this thread, or on the running loop.

The two loops are all of the client that is written twice.
"""

import contextlib
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import httpx

from webhookd.client.sending import Patience, patiently
from webhookd.client.steps import Call, Emit, Pause, Request, Stream

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5.0


class Blocking:
    """Does steps in this thread."""

    def __init__(self, http: httpx.Client, patience: Patience, seconds: float) -> None:
        self.http = http
        self._patience = patience
        self._seconds = seconds

    def run(self, call: Call[T]) -> T:
        """Do a call and return its value. Raises ClientError."""
        with contextlib.closing(self.iterate(_emitting(call))) as values:
            return next(values)

    def iterate(self, stream: Stream[T]) -> Generator[T, None, None]:
        """Do a stream, yielding its values. Raises ClientError."""
        steps = patiently(stream, self._patience)
        do: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                step = do()
            except StopIteration:
                return
            do = functools.partial(steps.send, None)
            if isinstance(step, Emit):
                yield step.value
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            else:
                try:
                    do = functools.partial(steps.send, self._send(step))
                except httpx.TransportError as error:
                    do = functools.partial(steps.throw, error)

    def _send(self, request: Request) -> httpx.Response:
        content = None if request.content is None else request.content()
        with self.http.stream(**_arguments(request, self._seconds), content=content) as response:
            if request.into is None or not response.is_success:
                response.read()
            else:
                with request.into.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
        return response


class Awaiting:
    """Does steps on the running loop, asyncio's or trio's; files are read and written in threads."""

    def __init__(self, http: httpx.AsyncClient, patience: Patience, seconds: float) -> None:
        self.http = http
        self._patience = patience
        self._seconds = seconds

    async def run(self, call: Call[T]) -> T:
        """Do a call and return its value. Raises ClientError."""
        async with contextlib.aclosing(self.iterate(_emitting(call))) as values:
            return await anext(values)

    async def iterate(self, stream: Stream[T]) -> AsyncGenerator[T, None]:
        """Do a stream, yielding its values. Raises ClientError."""
        steps = patiently(stream, self._patience)
        do: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                step = do()
            except StopIteration:
                return
            do = functools.partial(steps.send, None)
            if isinstance(step, Emit):
                yield step.value
            elif isinstance(step, Pause):
                await anyio.sleep(step.seconds)
            else:
                try:
                    do = functools.partial(steps.send, await self._send(step))
                except httpx.TransportError as error:
                    do = functools.partial(steps.throw, error)

    async def _send(self, request: Request) -> httpx.Response:
        content = None if request.content is None else _off_the_loop(request.content())
        async with self.http.stream(**_arguments(request, self._seconds), content=content) as response:
            if request.into is None or not response.is_success:
                await response.aread()
            else:
                async with await anyio.open_file(request.into, "wb") as file:
                    async for chunk in response.aiter_bytes():
                        await file.write(chunk)
        return response


def _emitting(call: Call[T]) -> Stream[T]:
    yield Emit((yield from call))


async def _off_the_loop(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        yield chunk


def _arguments(request: Request, seconds: float) -> dict[str, Any]:
    """Return what both of httpx's clients take; `content` is left to them."""
    return {
        "method": request.method,
        "url": request.path,
        "params": {name: _word(value) for name, value in request.query.items() if value is not None},
        "headers": dict(request.headers),
        "json": request.json,
        "timeout": httpx.Timeout(seconds + request.wait_seconds, connect=_CONNECT_SECONDS),
        # A download may be sent on to the object store; httpx does not take the key there.
        "follow_redirects": request.method == "GET",
    }


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
