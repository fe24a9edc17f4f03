"""What a call can end in, as one tree: `except ClientError` catches all of it.

A refusal carries the fields of its problem document (RFC 9457), so nothing needs to be parsed again.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx


class ClientError(Exception):
    """Root of the tree."""


class NoAnswer(ClientError):
    """Raised when the service could not be reached, or broke off, as often as was tried."""


class TimedOut(ClientError, TimeoutError):
    """Raised when a task had not ended in the time given. `task` is the task as it was last seen."""

    def __init__(self, task: Mapping[str, Any], seconds: float) -> None:
        super().__init__(f"{task['id']} has not ended within {seconds:g} seconds; it is {task['state']}.")
        self.task = task


class VerificationFailed(ClientError):
    """Raised when a webhook is not what the holder of the secret sent just now: answer it with 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field: `path` is a JSONPath such as `$.callback_url`."""

    path: str
    message: str


class ApiError(ClientError):
    """Raised when the API refuses: `status`, `code` and `detail` are the problem's own.

    `trace_id` is what to tell the operator; `retry_after_seconds` is None where the answer named no time.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str,
        title: str = "",
        type_: str = "about:blank",
        trace_id: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        lines = [detail, *(f"  {one.path}: {one.message}" for one in errors)]
        super().__init__("\n".join(lines))
        self.detail = detail
        self.status = status
        self.code = code
        self.title = title
        self.type = type_
        self.trace_id = trace_id
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds


class Unauthenticated(ApiError):
    """401: the key is missing, wrong, expired or revoked."""


class Forbidden(ApiError):
    """403: the key lacks the scope."""


class NotFound(ApiError):
    """404: there is no such thing, or it is another partner's."""


class Conflict(ApiError):
    """409: the move is not possible in the present state."""


class Invalid(ApiError):
    """400, 413, 415 or 422: the request itself must be changed; `errors` says which fields."""


class RateLimited(ApiError):
    """429: this partner's rate or quota is used up."""


class Unavailable(ApiError):
    """5xx: the service cannot take the request now."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: RateLimited,
}


def error_from(response: httpx.Response) -> ApiError:
    """Return the error that a refusal stands for; also where a proxy answered instead of the service."""
    status = response.status_code
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)
    try:
        problem = json.loads(response.content)
        detail, code = str(problem["detail"]), str(problem["code"])
        errors = [FieldError(path=one["path"], message=one["message"]) for one in problem.get("errors", ())]
    except (ValueError, KeyError, TypeError):
        return kind(
            f"{response.url} answered {status}, not as webhookd does; is the URL right?",
            status=status,
            code="not_webhookd",
            retry_after_seconds=_retry_after(response),
        )
    return kind(
        detail,
        status=status,
        code=code,
        title=str(problem.get("title", "")),
        type_=str(problem.get("type", "about:blank")),
        trace_id=problem.get("trace_id"),
        errors=errors,
        retry_after_seconds=_retry_after(response),
    )


def json_of(response: httpx.Response, hook: Callable[[dict[str, Any]], Any]) -> Any:
    """Return an answer's JSON object, made by `hook`; None where there is no body. Raises ApiError."""
    if not response.content:
        return None
    try:
        found = json.loads(response.content, object_hook=hook)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise error_from(response)
    return found


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110 section 10.2.3), from now where a proxy sent a date."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max(0.0, until.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
