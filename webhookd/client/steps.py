"""How a call is said without doing it: a generator of requests, pauses and values.

`calls` writes them once; `faces` does them, waiting in threads or on a loop. So neither face is a copy of
the other, and every rule about retries is in `sending`, where it can be tested without a socket.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, below the base URL. Query parameters that are None are left out.

    `json` is sent as it is, None means no body; `content` opens a streamed body anew for each try, and where
    it is None there is none. A 2xx answer's body goes `into` that file. `wait_seconds` is how much longer
    than usual the answer may take. `repeatable`: sending it twice does what sending it once does.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: Callable[[], Iterator[bytes]] | None = None
    into: Path | None = None
    wait_seconds: float = 0.0
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[Value_co]):
    """Hand this value to whoever iterates."""

    value: Value_co


Call = Generator[Request | Pause, Any, T]
"""Returns its value. A Request is answered with its `httpx.Response`; what sending raised is thrown in."""
Stream = Generator[Request | Pause | Emit[T], Any, None]
