"""What an attempt's answer means for its delivery: the contract's table of answers as one function.

What the answer means for the lane (concurrency, breaker, holds) is `pacing`; writing the verdict down
is the delivery flow's.
"""

from math import ceil
from typing import Final, Literal

from webhookd.core.record import record
from webhookd.core.reply import Reply
from webhookd.core.retry import RetryPolicy, parse_retry_after

OUR_FAULTS: Final = frozenset({"proxy"})
"""Errors that are not the receiver's: they use up none of its attempts."""

WAIT_STATUSES: Final = frozenset({429, 503})
"""The statuses whose `Retry-After` is honoured."""

_OUR_PAUSE_SECONDS: Final = 30.0


@record(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The receiver has it."""


@record(frozen=True, slots=True, kw_only=True)
class RetryAt:
    """Try again at `due_ms` (Unix); `error` is what the partner is told."""

    due_ms: int
    error: str


@record(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The delivery is dead. `gone` is a 410; `disable_endpoint` asks to disable its registered endpoint."""

    reason: Literal["exhausted", "gone"]
    error: str
    disable_endpoint: bool


@record(frozen=True, slots=True, kw_only=True)
class NotCounted:
    """Our own fault: try again at `due_ms` (Unix), and the attempt does not count."""

    due_ms: int


Verdict = Delivered | RetryAt | GiveUp | NotCounted


def error_code(answer: Reply) -> str | None:
    """Return what the partner is told of a failure (`timeout`, `http_503`, …), None for a 2xx.

    An error outranks the status that was read before it. Neither is never a success.
    """
    if answer.error is not None or answer.status is None:
        return answer.error or "protocol"
    return None if 200 <= answer.status < 300 else f"http_{answer.status}"


def asked_wait_seconds(answer: Reply, *, now_ms: int) -> float:
    """Return how long the receiver asked us to stay away, 0.0 where it did not, or may not, ask."""
    if answer.status not in WAIT_STATUSES:
        return 0.0
    return parse_retry_after(answer.retry_after, now_seconds=now_ms / 1000) or 0.0


def judge(
    answer: Reply,
    *,
    attempt: int,
    max_attempts: int,
    policy: RetryPolicy,
    now_ms: int,
    chance: float,
    inline: bool,
) -> Verdict:
    """Decide what becomes of a delivery after an attempt.

    `attempt` is this try's number (from 1) since the delivery was made or last replayed, `max_attempts`
    how many the delivery was born with; `policy` gives only the pauses. `chance` in [0, 1) spreads them.
    `inline` is a task's own callback URL, which has no endpoint to disable.
    """
    error = error_code(answer)
    if error is None:
        return Delivered()
    if error in OUR_FAULTS:
        pause = min(_OUR_PAUSE_SECONDS, policy.cap_seconds) * (1 + policy.jitter * chance)
        return NotCounted(due_ms=now_ms + ceil(pause * 1000))
    if error == "http_410":
        return GiveUp(reason="gone", error=error, disable_endpoint=not inline)
    if attempt >= max_attempts:
        return GiveUp(reason="exhausted", error=error, disable_endpoint=False)
    pause = policy.delay_seconds(attempt, chance=chance)
    pause = max(pause, asked_wait_seconds(answer, now_ms=now_ms))
    return RetryAt(due_ms=now_ms + ceil(pause * 1000), error=error)
