"""What an endpoint's settings look like on the wire, and what they make of an Endpoint.

A setting that is null, or left out at the making, is the default. Whether the URL may be called is asked
of `core.egress` by the handlers; sealing headers is theirs too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator

from webhookd.api.wire import Body, ChangeBody, Create
from webhookd.core.errors import Invalid
from webhookd.core.fields import DescribedAs, EventPattern, Ordering, SignatureScheme
from webhookd.core.model import SUBSCRIBABLE_EVENTS
from webhookd.core.records import Endpoint
from webhookd.core.signing import SigningKey

MASK: Final = "***"
"""What stands for the value of a header in answers; sent back in a PATCH it keeps the value."""

MOST_HEADERS: Final = 20
MOST_HEADER_BYTES: Final = 4096
LONGEST_OVERLAP_SECONDS: Final = 7 * 86_400.0

# RFC 9110 section 5.6.2 (token) and 5.5, narrowed to visible ASCII with spaces inside.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
MAX_TYPE_PATTERNS: Final = 100
_TYPE: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?:\.\*)?")
_OURS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_OUR_PREFIXES: Final = ("webhook-", "proxy-")


def _own_secret(text: str) -> str:
    try:
        key = SigningKey.parse(text)
    except Invalid as wrong:
        raise ValueError(wrong.detail) from None
    if key.version != "v1":
        raise ValueError("must start with whsec_: the key pair of v1a is always made here")
    return text


OwnSecret = Annotated[str, Field(max_length=200), AfterValidator(_own_secret)]
"""`whsec_` and the base64 of 24 to 64 bytes."""


def _type_patterns(patterns: list[str]) -> list[str]:
    """Return them. Raises ValueError where one is neither a name of a task type nor a prefix of some."""
    if not all(len(pattern) <= 200 and _TYPE.fullmatch(pattern) for pattern in patterns):
        raise ValueError("must be names of task types, or prefixes such as report.*")
    return patterns


TypePatterns = Annotated[list[str], Field(max_length=MAX_TYPE_PATTERNS), AfterValidator(_type_patterns)]


class EndpointRetryChange(ChangeBody):
    """An endpoint's own retry schedule; null is the service's default."""

    max_attempts: int | None = Field(None, ge=1, le=100)
    """How many attempts there are before a delivery is dead."""
    base_seconds: float | None = Field(None, ge=1, le=86_400, allow_inf_nan=False)
    """The pause after the first failure."""
    factor: float | None = Field(None, ge=1, le=100, allow_inf_nan=False)
    """By how much each pause is longer than the one before."""
    cap_seconds: float | None = Field(None, ge=1, le=7 * 86_400, allow_inf_nan=False)
    """The longest pause."""


class EndpointRetryCreate(EndpointRetryChange, Create):
    """An endpoint's own retry schedule; what is left out is the service's default."""


class EndpointSettings(Body):
    """Everything about an endpoint that its owner may choose."""

    description: str | None = Field(None, max_length=1_000)
    """What it is for, in its owner's words; empty by default."""
    events: list[Annotated[str, DescribedAs(EventPattern)]] | None = Field(None, min_length=1, max_length=50)
    """What it is told of; `task.*` by default, the four final events."""
    task_types: TypePatterns | None = None
    """The task types it is told of, or prefixes such as `report.*`; all by default."""
    headers: dict[str, str] | None = None
    """Headers of its own, up to 20 and 4 KiB together; a value of `***` keeps the one that is there."""
    rate_limit: float | None = Field(None, gt=0, le=10_000, allow_inf_nan=False)
    """At most so many attempts a second; no limit by default."""
    max_concurrency: int | None = Field(None, ge=1, le=1_000)
    """At most so many attempts at a time; by default as many as it bears."""
    ordering: Annotated[Literal["none", "fifo"], DescribedAs(Ordering)] | None = None
    """Whether deliveries keep their order; `none` by default."""
    retry: EndpointRetryChange | None = None
    """Its own retry schedule; the service's by default."""
    signature: list[Annotated[Literal["v1", "v1a"], DescribedAs(SignatureScheme)]] | None = Field(
        None, min_length=1, max_length=2
    )
    """How its webhooks are signed: `v1`, which is the default, or `v1` and `v1a`."""

    @field_validator("events")
    @classmethod
    def _known_events(cls, events: list[str] | None) -> list[str] | None:
        unknown = [event for event in events or () if event not in SUBSCRIBABLE_EVENTS]
        if unknown:
            raise ValueError(f"'{unknown[0][:100]}' is no event; there are {', '.join(SUBSCRIBABLE_EVENTS)}")
        return events

    @field_validator("signature")
    @classmethod
    def _verifiable(cls, versions: list[str] | None) -> list[str] | None:
        if versions is not None and "v1" not in versions:
            raise ValueError("must include v1, which every receiver can verify")
        return versions

    @field_validator("headers")
    @classmethod
    def _safe_headers(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        if headers is not None:
            check_headers(headers)
        return headers


class EndpointCreate(EndpointSettings, Create):
    """A callback URL to be registered."""

    url: str = Field(min_length=1)
    """Where its webhooks go: `https`, up to 2,048 characters."""
    retry: EndpointRetryCreate | None = None
    """Its own retry schedule; the service's by default."""
    secret: OwnSecret | None = None
    """A secret you bring: `whsec_` and the base64 of 24 to 64 bytes; one is made if left out."""
    partner: str | None = None
    """For admins: whose it is, by the partner's id."""


class EndpointChange(EndpointSettings, ChangeBody):
    """Settings to be changed: what is left out stays; null is the default again."""

    url: str = Field("", min_length=1)
    """Where its webhooks go from now on."""


class EndpointSecretCreate(Create):
    """A new secret in the place of the present one."""

    overlap_seconds: float = Field(86_400.0, ge=0, le=LONGEST_OVERLAP_SECONDS, allow_inf_nan=False)
    """How long the old secrets go on signing beside the new one; a day if left out, 0 after a leak."""
    secret: OwnSecret | None = None
    """A secret you bring: `whsec_` and the base64 of 24 to 64 bytes; one is made if left out."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError for headers that could change what the request says or how it is framed."""
    if len(headers) > MOST_HEADERS:
        raise ValueError(f"must be at most {MOST_HEADERS} headers")
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEADER_BYTES:
        raise ValueError(f"must be at most {MOST_HEADER_BYTES:,} bytes together")
    if len({name.lower() for name in headers}) != len(headers):
        raise ValueError("must not name a header twice")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("must have names of letters, digits and hyphens")
        if name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES):
            raise ValueError(f"must not set '{name}', which is the service's own")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"must have a value of visible ASCII characters for '{name}'")


_DEFAULTS: Final = {
    one.name: one.default for one in fields(Endpoint) if one.name in EndpointSettings.model_fields
}


def with_settings(endpoint: Endpoint, given: EndpointSettings) -> Endpoint:
    """Return the endpoint with the settings that were given; URL, headers and keys are left alone."""
    changes: dict[str, Any] = {}
    for name in given.model_fields_set & _DEFAULTS.keys():
        value = getattr(given, name)
        changes[name] = _DEFAULTS[name] if value is None else _frozen(value)
    if "retry" in given.model_fields_set:
        retry = given.retry
        names = EndpointRetryChange.model_fields if retry is None else retry.model_fields_set
        changes |= {f"retry_{name}": None if retry is None else getattr(retry, name) for name in names}
    return replace(endpoint, **changes)


def _frozen(value: object) -> object:
    return tuple(_unique(value)) if isinstance(value, list) else value


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
