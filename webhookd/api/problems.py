"""Errors as RFC 9457 problem documents: the one place where an exception becomes a response."""

from dataclasses import replace
from http import HTTPStatus
from math import ceil
from typing import Annotated, Final, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from webhookd.adapters.entropy import new_trace
from webhookd.api.answers import Answer, json_answer
from webhookd.core.errors import (
    ClientError,
    IllegalTransition,
    MethodNotAllowed,
    ServiceError,
    SettingsError,
    Unauthenticated,
    UnsupportedMediaType,
    WebhookdError,
)
from webhookd.core.fields import TraceId, known

PROBLEM: Final = "application/problem+json"
MOST_FIELD_ERRORS: Final = 50
LONGEST_PATH: Final = 200
LONGEST_MESSAGE: Final = 400
"""What a caller sent stands in both: an answer is not to be larger than what it answers."""


class MalformedRequest(ClientError):
    """What came is no HTTP request, or too many of them at once."""

    status, code, title = 400, "malformed_request", "Malformed Request"


class RequestTimeout(ClientError):
    """Raised when a body does not arrive in time; said too where a head does not."""

    status, code, title = 408, "request_timeout", "Request Timeout"


class RangeNotSatisfiable(ClientError):
    """Raised where a range begins behind the end of a file of `size` bytes."""

    status, code, title = 416, "range_not_satisfiable", "Range Not Satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size:,} bytes; the range begins behind them.")
        self.size = size


class HeadTooLarge(ClientError):
    """The request line and the headers are over their limit."""

    status, code, title = 431, "head_too_large", "Request Header Fields Too Large"


class WrongMethod(MethodNotAllowed):
    """Raised where the path is known but not for this method. `allow` is the Allow header's list."""

    def __init__(self, allow: str, detail: str | None = None) -> None:
        super().__init__(detail or f"This path answers to {allow}.")
        self.allow = allow


class UnsupportedCoding(UnsupportedMediaType):
    """Raised where a body is compressed. The answer names what is taken (RFC 9110 section 12.5.3)."""


class UnknownTransferCoding(ClientError):
    """The body was sent in a transfer coding besides chunks (RFC 9112 section 6.1)."""

    status, code, title = 501, "unknown_transfer_coding", "Not Implemented"


class UpgradeRequired(ClientError):
    """Raised where a WebSocket was meant and plain HTTP came, or another version of the protocol."""

    status, code, title = 426, "upgrade_required", "Upgrade Required"


ProblemCode = TypeAliasType(
    "ProblemCode",
    Annotated[
        str,
        known(
            "Which problem it is, for programs.",
            (
                "malformed_json",
                "malformed_request",
                "unauthenticated",
                "forbidden",
                "not_found",
                "method_not_allowed",
                "request_timeout",
                "conflict",
                "too_large",
                "unsupported_media_type",
                "invalid",
                "idempotency_mismatch",
                "url_not_allowed",
                "upgrade_required",
                "rate_limited",
                "quota_exceeded",
                "head_too_large",
                "internal",
                "unknown_transfer_coding",
                "overloaded",
                "unavailable",
            ),
        ),
    ],
)


class FieldProblemDocument(TypedDict):
    """One wrong field."""

    path: str
    """Where it stands: a JSONPath such as `$.callback_url`, or the name of a header."""
    message: str
    """What is wrong with it, for people."""


class ProblemDocument(TypedDict):
    """An error (RFC 9457)."""

    type: str
    """Always `about:blank`: status and code say it all."""
    title: str
    """What the status is called: the type `about:blank` has no title of its own (RFC 9457 section 4.2.1)."""
    status: Annotated[int, Field(ge=400, le=599)]
    """The HTTP status."""
    detail: str
    """What went wrong this time, in a sentence for people."""
    code: ProblemCode
    """Which problem it is, for programs."""
    trace_id: TraceId
    """Finds the call in the logs."""
    errors: NotRequired[list[FieldProblemDocument]]
    """Each wrong field or parameter, where it is about those."""


def problem_document(
    error: WebhookdError, *, trace_id: str, most_errors: int = MOST_FIELD_ERRORS
) -> ProblemDocument:
    """Return the problem of an error; `errors` only where there are any, the first `most_errors` of them."""
    document: ProblemDocument = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "trace_id": trace_id,
    }
    if error.errors:
        document["errors"] = field_errors(error, most=most_errors)
    return document


def field_errors(error: WebhookdError, *, most: int = MOST_FIELD_ERRORS) -> list[FieldProblemDocument]:
    """Return an error's wrong fields as documents: so many of them, and of each so much."""
    return [
        {"path": _shortened(one.path, LONGEST_PATH), "message": _shortened(one.message, LONGEST_MESSAGE)}
        for one in error.errors[:most]
    ]


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def problem_answer(error: Exception, *, trace_id: str) -> Answer:
    """Return the response for any exception. What is not ours, or no client's business, is a bare 500."""
    known = public(error)
    answer = json_answer(known.status, problem_document(known, trace_id=trace_id), _headers(known))
    return replace(answer, content_type=PROBLEM)


def problem_before_the_edge(error: Exception) -> Answer:
    """Return the response to what does not reach the edge: it has a trace of its own."""
    trace = new_trace()
    answer = problem_answer(error, trace_id=trace.trace_id)
    headers = {**answer.headers, "X-Content-Type-Options": "nosniff", "traceparent": trace.header()}
    return replace(answer, headers=headers)


def public(error: Exception) -> WebhookdError:
    """Return the error a caller may see: defects and wrong settings do not show their details."""
    if isinstance(error, WebhookdError) and not isinstance(error, SettingsError | IllegalTransition):
        return error
    return ServiceError("Something went wrong on our side; the trace id finds it in the logs.")


def _headers(error: WebhookdError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = retry_after(error.retry_after_seconds)
    elif error.status in (429, 503):
        headers["Retry-After"] = "1"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, WrongMethod):
        headers["Allow"] = error.allow
    if isinstance(error, UnsupportedCoding):
        headers["Accept-Encoding"] = "identity"
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, UpgradeRequired):
        headers |= {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13"}
    return headers


def retry_after(seconds: float) -> str:
    """Return whole seconds, rounded up, at least 1 (RFC 9110 section 10.2.3)."""
    return str(max(1, ceil(seconds)))
