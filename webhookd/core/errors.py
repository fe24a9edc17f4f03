"""Every error a person can meet, as one tree.

Each class carries the HTTP status and the stable `code` of the problem document it becomes
(RFC 9457); the API renders them in one place and the command line prints `detail` in one line.
The class says whose fault it was: `ClientError` the caller's, `ServiceError` ours or a part's.
Configuration mistakes are `SettingsError` and never reach HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong field: `path` is a JSONPath (`$.callback_url`), `message` says how to mend it."""

    path: str
    message: str


class WebhookdError(Exception):
    """Root of the tree. `detail` is a whole sentence, safe to show to the caller."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal Server Error"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds


class ClientError(WebhookdError):
    """The caller can mend it."""


class MalformedJson(ClientError):
    """Raised when a body is not JSON as RFC 8259 and I-JSON (RFC 7493) have it."""

    status, code, title = 400, "malformed_json", "Malformed JSON"


class Unauthenticated(ClientError):
    """Raised when the key is missing, wrong, expired or revoked."""

    status, code, title = 401, "unauthenticated", "Unauthenticated"


class Forbidden(ClientError):
    """Raised when the key lacks the scope."""

    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(ClientError):
    """Raised for an unknown id, and for another partner's: the two must look the same."""

    status, code, title = 404, "not_found", "Not Found"


class MethodNotAllowed(ClientError):
    """Raised when the path exists but not for this method."""

    status, code, title = 405, "method_not_allowed", "Method Not Allowed"


class Conflict(ClientError):
    """Raised when the move is not possible in the present state."""

    status, code, title = 409, "conflict", "Conflict"


class TooLarge(ClientError):
    """Raised while a body streams past its limit."""

    status, code, title = 413, "too_large", "Content Too Large"


class UnsupportedMediaType(ClientError):
    """Raised when a body is not `application/json`."""

    status, code, title = 415, "unsupported_media_type", "Unsupported Media Type"


class Invalid(ClientError):
    """Raised when a field or query parameter is wrong or unknown; `errors` names each."""

    status, code, title = 422, "invalid", "Invalid Request"


class IdempotencyMismatch(ClientError):
    """Raised when an `Idempotency-Key` comes again with another route or body."""

    status, code, title = 422, "idempotency_mismatch", "Idempotency Key Reused"


class UrlNotAllowed(ClientError):
    """Raised when a callback URL is refused by the address rules."""

    status, code, title = 422, "url_not_allowed", "URL Not Allowed"


class RateLimited(ClientError):
    """Raised when the partner is over its rate."""

    status, code, title = 429, "rate_limited", "Rate Limited"


class QuotaExceeded(ClientError):
    """Raised when the partner has too many queued tasks."""

    status, code, title = 429, "quota_exceeded", "Quota Exceeded"


class ServiceError(WebhookdError):
    """Not the caller's fault; the same call may work later."""


class Overloaded(ServiceError):
    """Raised when a whole-service limit is reached: queue depth, broker memory or disk."""

    status, code, title = 503, "overloaded", "Overloaded"


class Unavailable(ServiceError):
    """Raised when the store cannot be reached, or the outcome of a commit is unknown.

    `reason` is for logs and operators only: it may name hosts.
    """

    status, code, title = 503, "unavailable", "Unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None, reason: str = "") -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.reason = reason


class StoreFault(ServiceError):
    """Raised when the store refuses a statement or a value, which trying again does not mend.

    `reason` is for logs only. It names the statement, never a value.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__("Something went wrong on our side; the trace id finds it in the logs.")
        self.reason = reason

    def __str__(self) -> str:
        """Return what logs say."""
        return self.reason


class SettingsError(WebhookdError):
    """Raised at start when a setting is wrong; `detail` names the setting and the fix."""

    code, title = "settings", "Wrong Setting"


class IllegalTransition(WebhookdError):
    """Raised when code asks for a move the transition tables do not have: a defect, never a user's fault."""

    code, title = "illegal_transition", "Illegal Transition"
