"""A delivery's attempts as the API shows them, each with a cURL line that repeats it by hand."""

import shlex
from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

import webhookd
from webhookd.adapters.store.deliveries.deliveries import DeliveryHistory
from webhookd.api.answers import fitting
from webhookd.core.fields import AttemptError, Timestamp
from webhookd.core.records import Attempt
from webhookd.core.render import DeliveryDocument, delivery_document
from webhookd.core.times import to_rfc3339

LONGEST_INLINE_BODY: Final = 8_192
"""A longer body is fetched by the line itself: fourteen attempts would repeat it in full."""


class AttemptPartsDocument(TypedDict):
    """Where the time of an attempt went; null where a step did not happen, as on a kept connection."""

    dns_ms: float | None
    """Until the name was resolved."""
    connect_ms: float | None
    """Until there was a connection."""
    tls_ms: float | None
    """Until the TLS handshake was done."""
    first_byte_ms: float | None
    """From the request to the first byte of the answer."""


class AttemptResponseDocument(TypedDict):
    """What the receiver answered; of an answer that broke off, what was read of it."""

    headers: dict[str, str]
    """Its headers, names in lower case."""
    body: str
    """The first 16 KiB of its body."""


class AttemptDocument(TypedDict):
    """One HTTP try."""

    number: Annotated[int, Field(ge=1)]
    """Which one it was, from 1; numbers go on over replays."""
    at: Timestamp
    """When it began."""
    duration_ms: float
    """How long it took."""
    parts: AttemptPartsDocument
    """Where that time went."""
    status: int | None
    """The HTTP status; null where there was none."""
    error: AttemptError | None
    """Why it failed; null where it did not. Unless it is `http_NNN`, there was no answer that holds."""
    request_headers: dict[str, str]
    """The headers it was sent with. In the place of the signature and of the endpoint's own stand marks."""
    resent: bool
    """Whether the request was written once more, because a kept connection had closed before an answer."""
    response: AttemptResponseDocument | None
    """What the receiver answered; null where it did not."""
    curl: str
    """A shell line that repeats it, once the signature is put in; a long body it fetches with your key."""


class DeliveryHistoryDocument(DeliveryDocument):
    """A delivery with its attempts."""

    attempts_log: list[AttemptDocument]
    """The attempts, the oldest first."""
    attempts_omitted: int
    """How many of the oldest are left out, because the log would be over 4 MiB."""


def history_document(history: DeliveryHistory, *, base_url: str) -> DeliveryHistoryDocument:
    """Return the Delivery with its `attempts_log`: the newest attempts that there is room for."""
    log = fitting(
        attempt_document(attempt, history, base_url=base_url) for attempt in reversed(history.attempts)
    )
    omitted = history.omitted + len(history.attempts) - len(log)
    return {**delivery_document(history.delivery), "attempts_log": log[::-1], "attempts_omitted": omitted}


def attempt_document(attempt: Attempt, history: DeliveryHistory, *, base_url: str) -> AttemptDocument:
    """Return one attempt. `response` is null where there was none; a header sent twice is joined."""
    headers: dict[str, str] = {}
    for name, value in attempt.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return {
        "number": attempt.number,
        "at": to_rfc3339(attempt.at_ms),
        "duration_ms": round(attempt.duration_us / 1000, 3),
        "parts": {
            "dns_ms": _ms(attempt.dns_us),
            "connect_ms": _ms(attempt.connect_us),
            "tls_ms": _ms(attempt.tls_us),
            "first_byte_ms": _ms(attempt.first_byte_us),
        },
        "status": attempt.status,
        "error": attempt.error,
        "request_headers": request_headers(attempt, history),
        "resent": attempt.resent,
        "response": None if attempt.status is None else {"headers": headers, "body": attempt.excerpt},
        "curl": curl_line(attempt, history, base_url=base_url),
    }


def request_headers(attempt: Attempt, history: DeliveryHistory) -> dict[str, str]:
    """Return what went in front of the body, without secrets."""
    return {
        "content-type": "application/json",
        "user-agent": f"webhookd/{webhookd.__version__}",
        "webhook-id": history.delivery.message_id,
        "webhook-timestamp": str(attempt.at_ms // 1000),
        "webhook-signature": "<signature>",
        "webhook-attempt": str(attempt.number),
        **dict.fromkeys(history.header_names, "***"),
    }


def curl_line(attempt: Attempt, history: DeliveryHistory, *, base_url: str) -> str:
    """Return a shell line that sends the same again, without secrets: put the signature in yourself.

    A long body comes from `GET /v1/messages/{id}` with the key in WEBHOOKD_KEY, at `base_url`; where that is
    not known, at WEBHOOKD_URL.
    """
    delivery = history.delivery
    words = ["curl", "-X", "POST", delivery.url]
    for name, value in request_headers(attempt, history).items():
        words += ["-H", f"{name}: {value}"]
    words.append("--data-binary")
    if len(history.body) <= LONGEST_INLINE_BODY:
        return shlex.join([*words, history.body])
    where = shlex.quote(base_url) if base_url else '"$WEBHOOKD_URL"'
    fetched = (
        f'curl -sS -H "Authorization: Bearer $WEBHOOKD_KEY" {where}/v1/messages/{delivery.message_id}'
        " | jq -j .body"
    )
    return f"{fetched} | {shlex.join([*words, '@-'])}"


def _ms(us: int | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
