"""When a request is sent again: by `Retry-After` where one is told, else after growing pauses with jitter.

Everything the client sends may be sent twice: reading changes nothing, a `POST` carries an
`Idempotency-Key`, and the other methods are idempotent (RFC 9110 section 9.2.2). Only a body that cannot be
read twice may not.
"""

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from webhookd.client.errors import ClientError, NoAnswer, error_from
from webhookd.client.steps import Emit, Pause, Request

T = TypeVar("T")
Step = TypeVar("Step", bound=Request | Pause | Emit[Any])

PASSING: Final = frozenset({429, 500, 502, 503, 504})
"""Statuses that may be gone the next time: ours, and those of proxies between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often one request is sent again, and how long at most it waits before that.

    A `Retry-After` beyond `longest_pause_seconds` is told to the caller as the refusal it is.
    """

    retries: int = 5
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 60.0

    def pause(self, retry: int) -> float:
        """Return the pause before a retry, counted from 0: doubled each time, half of it at random."""
        whole = min(self.first_pause_seconds * 2.0**retry, self.longest_pause_seconds)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def patiently(steps: Generator[Step, Any, T], patience: Patience) -> Generator[Step | Pause, Any, T]:
    """Return the same steps with each request tried as often as `patience` allows."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if isinstance(step, Request):
            answer = yield from _tried(step, patience)
        else:
            answer = yield step


def _tried(request: Any, patience: Patience) -> Generator[Any, Any, httpx.Response]:
    retry = 0
    while True:
        error: ClientError
        told: float | None = None
        passing = True
        try:
            response: httpx.Response = yield request
        except httpx.TransportError as broken:
            error = NoAnswer(f"{request.method} {request.path}: {str(broken) or type(broken).__name__}")
            passing = not isinstance(broken, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
            error.__cause__ = broken
        else:
            if response.is_success:
                return response
            if retry and request.method == "DELETE" and response.status_code == 404:
                return httpx.Response(204)  # the try before did it, and its answer was lost
            error = refusal = error_from(response)
            told, passing = refusal.retry_after_seconds, refusal.status in PASSING
        pause = max(patience.pause(retry), told or 0.0)
        too_long = pause > patience.longest_pause_seconds
        if not passing or not request.repeatable or too_long or retry >= patience.retries:
            raise error
        yield Pause(pause)
        retry += 1
