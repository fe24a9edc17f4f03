"""How one run of a task function ended: the values the runner hands to the flow.

Only facts live here. What follows from them (retry, dead letter, whether an attempt is used up, what
a pending cancellation means) is the flow's decision.
"""

from dataclasses import dataclass, field
from typing import Final

MESSAGE_CHARS: Final = 1_000
ERROR: Final = "error"
"""The code of every exception but `Fail` and `Retry`."""
PRIVATE: Final = "Something went wrong while the task ran. What it was is known to those who run the service."
"""What the partner is told of such an exception: its text may hold another customer's data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception as text, for those who may see it: it may hold anything the function had in hand."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """It returned. `result_json` is strict JSON in UTF-8 (RFC 8259), within the size limit."""

    result_json: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It is over for good: `Fail` was raised, the input no longer fits, or the result cannot be kept.

    `code` is the operator's own, or `invalid_input`, `result_not_json`, `result_too_large`. `raised` is what
    `Fail` was raised from, for admins.
    """

    code: str
    message: str
    raised: Raised | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater:
    """It raised. `code` is ERROR, or `retry` where the function asked for it with `Retry`.

    `after_seconds` is the pause the function asked for; None leaves it to the retry schedule. `message` is
    what the partner may know, `raised` what admins may.
    """

    after_seconds: float | None = None
    code: str
    message: str
    raised: Raised | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimedOut:
    """It was stopped at its time limit, or did not even let itself be stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledByRequest:
    """It was told that somebody cancelled it, and ended because of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The worker is shutting down. No fault of the task: the attempt must not be used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """Its child process (`isolation="process"`) died under it; `detail` names the signal or exit code."""

    detail: str


Outcome = Succeeded | Failed | RetryLater | RunTimedOut | CancelledByRequest | Interrupted | Crashed


def clean_message(text: str, *, max_chars: int = MESSAGE_CHARS) -> str:
    """Return `text` fit to be stored and sent: no NUL, no lone surrogates, at most `max_chars`.

    Operator code puts anything into an exception, and PostgreSQL's text holds no NUL and UTF-8 no
    surrogates (RFC 3629): without this the failure itself could not be written down.
    """
    kept = text if len(text) <= max_chars else text[: max_chars - 1] + "…"
    return kept.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
