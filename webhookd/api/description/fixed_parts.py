"""The fixed parts of /openapi.json: problems by status, headers, the key, how a webhook is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhookd.api.idempotency_key import MAX_CHARS
from webhookd.api.problems import RangeNotSatisfiable, RequestTimeout
from webhookd.core import errors

Json = dict[str, Any]

DESCRIPTION: Final = """\
Submit long tasks, follow them, and get their results as signed webhooks, with nothing lost.

Every listing answers `data` and `next_cursor`, and takes `limit` and `cursor`. Every error is a problem
document (RFC 9457). A POST with an `Idempotency-Key` can be repeated safely. For live push there is a
WebSocket at `/v1/stream`, which this format cannot describe: see the reference.

A value of `x-extensible-enum` is known today; others may come, so take it for text. What is only for admins
has `x-audience: admin`; `/openapi.json?for=partner` leaves it out."""

TAGS: Final[Mapping[str, str]] = {
    "Tasks": "Submit work, follow it, cancel it.",
    "Batches": "Many tasks with one end and one callback.",
    "Tokens": "What a page may be given in the place of a key.",
    "Files": "Inputs and results that are too big for JSON.",
    "Endpoints": "Registered callback URLs, their settings and secrets.",
    "Deliveries": "Messages on their way to receivers, and every attempt.",
    "Dead letters": "What ran out of attempts: look, replay, discard.",
    "Messages": "The pull feed, for a receiver that was away.",
    "Partners": "Who may submit; keys and limits.",
    "Operations": "For those who run the service.",
    "Webhooks": "What your receiver is sent.",
}

SECURITY_SCHEME: Final[Json] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "whk_…",
    "description": "A partner's key sees that partner's things; an admin's sees all and names `partner`. "
    "Listed with each call is the scope the key must have.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """The problems of one status: the errors behind it and the headers it brings."""

    name: str
    meaning: str
    errors: tuple[type[errors.WebhookdError], ...]
    headers: tuple[str, ...] = ()


PROBLEMS: Final[Mapping[int, ProblemKind]] = {
    400: ProblemKind(
        name="MalformedJson", meaning="The body is not strict JSON.", errors=(errors.MalformedJson,)
    ),
    401: ProblemKind(
        name="Unauthenticated",
        meaning="The key is missing, wrong, expired or revoked.",
        errors=(errors.Unauthenticated,),
        headers=("WWW-Authenticate",),
    ),
    403: ProblemKind(name="Forbidden", meaning="The key lacks the scope.", errors=(errors.Forbidden,)),
    404: ProblemKind(
        name="NotFound", meaning="It is unknown, or another partner's.", errors=(errors.NotFound,)
    ),
    408: ProblemKind(
        name="RequestTimeout", meaning="The body did not arrive in time.", errors=(RequestTimeout,)
    ),
    409: ProblemKind(
        name="Conflict", meaning="It is not possible in the present state.", errors=(errors.Conflict,)
    ),
    413: ProblemKind(name="TooLarge", meaning="The body is over the limit.", errors=(errors.TooLarge,)),
    415: ProblemKind(
        name="UnsupportedMediaType",
        meaning="The body must be application/json.",
        errors=(errors.UnsupportedMediaType,),
    ),
    416: ProblemKind(
        name="RangeNotSatisfiable",
        meaning="The range begins behind the end of the file.",
        errors=(RangeNotSatisfiable,),
        headers=("Content-Range",),
    ),
    422: ProblemKind(
        name="Invalid",
        meaning="A field or parameter is wrong or unknown.",
        errors=(errors.Invalid, errors.IdempotencyMismatch, errors.UrlNotAllowed),
    ),
    429: ProblemKind(
        name="TooMany",
        meaning="The partner's rate or quota is used up.",
        errors=(errors.RateLimited, errors.QuotaExceeded),
        headers=("Retry-After",),
    ),
    500: ProblemKind(
        name="Internal",
        meaning="Something went wrong on our side.",
        errors=(errors.ServiceError, errors.StoreFault),
    ),
    503: ProblemKind(
        name="Unavailable",
        meaning="The service is full, or its database is away; nothing was accepted.",
        errors=(errors.Unavailable, errors.Overloaded),
        headers=("Retry-After",),
    ),
}

COMMON_HEADERS: Final = ("traceparent",)


def _header(text: str, schema: Json) -> Json:
    return {"description": text, "schema": schema}


_TEXT: Final[Json] = {"type": "string"}
_TRACEPARENT: Final[Json] = {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}

RESPONSE_HEADERS: Final[Mapping[str, Json]] = {
    "traceparent": _header("Where the call stands in its trace.", _TRACEPARENT),
    "Location": _header("Where it is to be found.", {"type": "string", "pattern": "^(https?://.+)?/"}),
    "ETag": _header("Of the whole answer.", {"type": "string", "pattern": '^"[0-9a-f]+"$'}),
    "Retry-After": _header(
        "Seconds until it is worth asking again.", {"type": "integer", "format": "int32", "minimum": 1}
    ),
    "Cache-Control": _header("Who may keep the answer.", _TEXT),
    "Content-Security-Policy": _header("What the answer may load, which is next to nothing.", _TEXT),
    "Content-Disposition": _header("The file's name; it is saved, not shown.", _TEXT),
    "Accept-Ranges": _header("Ranges are of bytes.", {"const": "bytes"}),
    "Content-Range": _header("Which bytes of how many.", _TEXT),
    "RateLimit": _header(
        "For partners: tasks that may be submitted now (r), seconds until all may (t).", _TEXT
    ),
    "RateLimit-Policy": _header("For partners: the burst (q), and the seconds it fills in (w).", _TEXT),
    "Idempotency-Replayed": _header(
        "The answer is that of an earlier call.", {"type": "string", "const": "true"}
    ),
    "Preference-Applied": _header(
        "The wait that was applied, in seconds: `wait=45` where more was wished for.", _TEXT
    ),
    "WWW-Authenticate": _header("How to authenticate.", {"type": "string", "const": "Bearer"}),
}


def _parameter(name: str, text: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": schema}


HEADER_PARAMETERS: Final[Mapping[str, Json]] = {
    "Idempotency-Key": _parameter(
        "Idempotency-Key",
        "The same key with the same body answers as before, for 24 hours. Bare, or a quoted string.",
        {"type": "string", "maxLength": MAX_CHARS, "pattern": "^[!#-~]([ -~]*[!-~])?$"},
    ),
    "Prefer": _parameter(
        "Prefer",
        "`wait=N`: hold the call up to N seconds (45 at most, or what the operator set instead).",
        _TEXT,
    ),
    "If-None-Match": _parameter("If-None-Match", "An ETag had before.", _TEXT),
    "Range": _parameter("Range", "One range of bytes: `bytes=0-1023`.", _TEXT),
    "If-Range": _parameter("If-Range", "The ETag the range is of.", _TEXT),
    "Last-Event-ID": _parameter("Last-Event-ID", "The version seen last.", _TEXT),
    "traceparent": _parameter("traceparent", "The trace to go on with (W3C Trace Context).", _TEXT),
}

WEBHOOK_HEADERS: Final[tuple[Json, ...]] = (
    _parameter(
        "webhook-id",
        "Constant over retries and replays.",
        {"type": "string", "pattern": "^msg_"},
        required=True,
    ),
    _parameter(
        "webhook-timestamp",
        "Unix seconds of this attempt.",
        {"type": "string", "pattern": "^[0-9]+$"},
        required=True,
    ),
    _parameter(
        "webhook-signature",
        "Space-separated, newest secret first.",
        {"type": "string", "pattern": "^v1,"},
        required=True,
    ),
    _parameter("webhook-attempt", "From 1.", {"type": "string", "pattern": "^[1-9][0-9]*$"}, required=True),
    _parameter("traceparent", "The task's trace.", _TRACEPARENT, required=True),
)

WEBHOOK_ANSWERS: Final[Mapping[str, Json]] = {
    "2XX": {"description": "Delivered."},
    "410": {"description": "Gone: a registered endpoint is disabled at once."},
    "429": {"description": "Too many: tried again, not before `Retry-After`."},
    "503": {"description": "Not now: tried again, not before `Retry-After`."},
    "default": {"description": "Failed: tried again until attempts run out. Redirects are not followed."},
}
