"""When to try again: the retry policy and the reading of `Retry-After`.

The numbers come from tenacity's wait strategies; nothing here sleeps, the pause becomes a due time on a
row. The spread is decided by `chance`, an argument, so the same inputs always give the same pause.
Whether to try again is `delivery.judge` (and the task flow's choice for tasks), not this module.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from tenacity import wait_exponential

RETRY_AFTER_CAP_SECONDS: Final = 24 * 3600.0
"""The longest wait a receiver can ask for (contract: 24 h)."""

ENDPOINT_FLOOR_SECONDS: Final = 1.0
"""The shortest base and cap an endpoint may set for itself; the operator's own default may be shorter."""

_LONGEST_COUNT: Final = 9


@dataclass(frozen=True, slots=True)
class _Failed:
    """All that a wait strategy of tenacity looks at; its own state of a try reads a clock when it is made."""

    attempt_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential pauses: `base · factor^(n-1)`, at most `cap`, then spread by `± jitter` (a fraction).

    The spread applies to capped pauses too, or a backlog that reached the cap would return all at once.
    Raises ValueError for values that make no schedule.
    """

    max_attempts: int
    base_seconds: float
    factor: float
    cap_seconds: float
    jitter: float = 0.2

    def __post_init__(self) -> None:
        sound = (
            self.max_attempts >= 1
            and 0 < self.base_seconds < float("inf")
            and 1 <= self.factor < float("inf")
            and 0 < self.cap_seconds < float("inf")
            and 0 <= self.jitter < 1
        )
        if not sound:
            raise ValueError(f"not a retry schedule: {self}")

    def delay_seconds(self, attempt: int, *, chance: float) -> float:
        """Return the pause after failed try number `attempt` (from 1) of the present budget.

        `chance` is in [0, 1): 0 is the shortest pause, 0.5 the exact one.
        """
        wait = wait_exponential(multiplier=self.base_seconds, exp_base=self.factor, max=self.cap_seconds)
        pause_seconds = wait(_Failed(attempt))  # type: ignore[arg-type]  # it takes what has a number
        return pause_seconds * (1 + self.jitter * (2 * chance - 1))


def parse_retry_after(value: str | None, *, now_seconds: float) -> float | None:
    """Read a `Retry-After` value (RFC 9110 §10.2.3): whole seconds, or an HTTP date in any of its forms.

    Returns the seconds to wait from `now_seconds` (Unix), at most RETRY_AFTER_CAP_SECONDS, 0.0 for a
    date gone by, and None for no value or one that is neither form (`-1`, `1e9`, `soon`).
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # int() refuses to read thousands of digits; anything past nine is over the cap anyway.
        too_long = len(text.lstrip("0")) > _LONGEST_COUNT
        return RETRY_AFTER_CAP_SECONDS if too_long else min(float(text), RETRY_AFTER_CAP_SECONDS)
    try:
        date = parsedate_to_datetime(text)
        at_seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(at_seconds - now_seconds, 0.0), RETRY_AFTER_CAP_SECONDS)
