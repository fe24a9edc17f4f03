"""The two clients. A method is one line that names its call; `doing` does it."""

import functools
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, get_args, get_origin

import httpx

from webhookd.client.calls import anything, batches, dead_letters, endpoints, files, tasks
from webhookd.client.doing import Awaiting, Blocking
from webhookd.client.errors import ClientError
from webhookd.client.sending import Patience
from webhookd.client.steps import Call, Emit, Stream
from webhookd.client.verification import verify

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., object])

DEFAULT_URL: Final = "http://127.0.0.1:8080"


class _Part:
    """A noun of the blocking client: its methods are made by `_does` and `_yields`."""

    def __init__(self, face: Blocking) -> None:
        self._face = face


class _AsyncPart:
    """A noun of the asynchronous client."""

    def __init__(self, face: Awaiting) -> None:
        self._face = face


def _does(call: Callable[P, Call[T]]) -> Callable[Concatenate[_Part, P], T]:
    @functools.wraps(call)
    def method(self: _Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._face.run(call(*args, **kwargs))

    return _told(method, call)


def _yields(stream: Callable[P, Stream[T]]) -> Callable[Concatenate[_Part, P], Iterator[T]]:
    @functools.wraps(stream)
    def method(self: _Part, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._face.iterate(stream(*args, **kwargs))

    return _told(method, stream, Iterator)


def _awaits(call: Callable[P, Call[T]]) -> Callable[Concatenate[_AsyncPart, P], Awaitable[T]]:
    @functools.wraps(call)
    def method(self: _AsyncPart, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._face.run(call(*args, **kwargs))

    return _told(method, call, Awaitable)


def _streams(stream: Callable[P, Stream[T]]) -> Callable[Concatenate[_AsyncPart, P], AsyncIterator[T]]:
    @functools.wraps(stream)
    def method(self: _AsyncPart, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self._face.iterate(stream(*args, **kwargs))

    return _told(method, stream, AsyncIterator)


def _told(method: M, call: Callable[..., object], kind: Any = None) -> M:
    """Have `inspect`, `help` and autospecs see the method: with `self`, and with what it returns."""
    signature = inspect.signature(call)
    steps, _, value = get_args(signature.return_annotation)
    for step in get_args(steps):
        if get_origin(step) is Emit:
            [value] = get_args(step)
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    returns = value if kind is None else kind[value]
    told = signature.replace(parameters=[me, *signature.parameters.values()], return_annotation=returns)
    vars(method)["__signature__"] = told
    return method


def _opening(url: str | None, key: str | None) -> dict[str, Any]:
    """Return what both of httpx's clients are made with. Raises ClientError where that is not enough."""
    url = url or os.environ.get("WEBHOOKD_URL") or DEFAULT_URL
    key = key or os.environ.get("WEBHOOKD_KEY")
    if not key:
        raise ClientError("There is no key: give one, or set WEBHOOKD_KEY.")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ClientError("The key must be printable ASCII characters without spaces.")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError(f"The URL must look like {DEFAULT_URL}.")  # not repeated: it may hold a password
    return {"base_url": url, "headers": {"Authorization": f"Bearer {key}"}}


class Endpoints(_Part):
    """Registered callback URLs."""

    create = _does(endpoints.create)
    get = _does(endpoints.get)
    list = _yields(endpoints.list_all)
    update = _does(endpoints.update)
    delete = _does(endpoints.delete)
    enable = _does(endpoints.enable)
    disable = _does(endpoints.disable)
    test = _does(endpoints.send_test)
    retry = _does(endpoints.retry)
    rotate_secret = _does(endpoints.rotate_secret)
    stats = _does(endpoints.stats)


class DeadLetters(_Part):
    """What ran out of attempts."""

    list = _yields(dead_letters.list_all)
    summary = _yields(dead_letters.summary)
    replay = _does(dead_letters.replay_one)
    discard = _does(dead_letters.discard)


class Client(_Part):
    """A client that waits in the calling thread; threads may share one.

    `url` and `key` are WEBHOOKD_URL and WEBHOOKD_KEY unless given. `timeout` is in seconds, for each answer;
    `patience` says how often a request is sent again. Raises ClientError where there is no key.
    """

    submit = _does(tasks.submit)
    get = _does(tasks.get)
    wait = _does(tasks.wait)
    watch = _yields(tasks.watch)
    cancel = _does(tasks.cancel)
    rerun = _does(tasks.rerun)
    batch = _does(batches.submit)
    get_batch = _does(batches.get)
    wait_batch = _does(batches.wait)
    cancel_batch = _does(batches.cancel)
    batch_results = _yields(batches.results)
    upload = _does(files.upload)
    download = _does(files.download)
    get_file = _does(files.get)
    read_file = _does(files.read)
    list = _yields(anything.list_all)
    replay = _does(dead_letters.replay)
    get_replay = _does(dead_letters.get_replay)
    discard = _does(dead_letters.discard_all)
    get_discard = _does(dead_letters.get_discard)
    request = _does(anything.request)
    verify = staticmethod(verify)

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        http = httpx.Client(**_opening(url, key), transport=transport)
        super().__init__(Blocking(http, patience or Patience(), timeout))
        self.endpoints = Endpoints(self._face)
        self.dead_letters = DeadLetters(self._face)

    def close(self) -> None:
        """Close the connections."""
        self._face.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncEndpoints(_AsyncPart):
    """Registered callback URLs."""

    create = _awaits(endpoints.create)
    get = _awaits(endpoints.get)
    list = _streams(endpoints.list_all)
    update = _awaits(endpoints.update)
    delete = _awaits(endpoints.delete)
    enable = _awaits(endpoints.enable)
    disable = _awaits(endpoints.disable)
    test = _awaits(endpoints.send_test)
    retry = _awaits(endpoints.retry)
    rotate_secret = _awaits(endpoints.rotate_secret)
    stats = _awaits(endpoints.stats)


class AsyncDeadLetters(_AsyncPart):
    """What ran out of attempts."""

    list = _streams(dead_letters.list_all)
    summary = _streams(dead_letters.summary)
    replay = _awaits(dead_letters.replay_one)
    discard = _awaits(dead_letters.discard)


class AsyncClient(_AsyncPart):
    """The same client for a loop: `await` what returns, `async for` what iterates."""

    submit = _awaits(tasks.submit)
    get = _awaits(tasks.get)
    wait = _awaits(tasks.wait)
    watch = _streams(tasks.watch)
    cancel = _awaits(tasks.cancel)
    rerun = _awaits(tasks.rerun)
    batch = _awaits(batches.submit)
    get_batch = _awaits(batches.get)
    wait_batch = _awaits(batches.wait)
    cancel_batch = _awaits(batches.cancel)
    batch_results = _streams(batches.results)
    upload = _awaits(files.upload)
    download = _awaits(files.download)
    get_file = _awaits(files.get)
    read_file = _awaits(files.read)
    list = _streams(anything.list_all)
    replay = _awaits(dead_letters.replay)
    get_replay = _awaits(dead_letters.get_replay)
    discard = _awaits(dead_letters.discard_all)
    get_discard = _awaits(dead_letters.get_discard)
    request = _awaits(anything.request)
    verify = staticmethod(verify)

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        http = httpx.AsyncClient(**_opening(url, key), transport=transport)
        super().__init__(Awaiting(http, patience or Patience(), timeout))
        self.endpoints = AsyncEndpoints(self._face)
        self.dead_letters = AsyncDeadLetters(self._face)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._face.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
