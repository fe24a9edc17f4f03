"""An endpoint as JSON."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.core.fields import (
    BreakerState,
    DisabledReason,
    EndpointId,
    Ordering,
    SignatureScheme,
    SubscribedEvent,
    Timestamp,
)
from webhookd.core.model import EndpointState
from webhookd.core.records import Endpoint
from webhookd.core.render.owner import OwnerDocument
from webhookd.core.times import opt_rfc3339, to_rfc3339


class EndpointRetryDocument(TypedDict):
    """An endpoint's own retry schedule; null is the service's default."""

    max_attempts: int | None
    """How many attempts there are before a delivery is dead."""
    base_seconds: float | None
    """The pause after the first failure."""
    factor: float | None
    """By how much each pause is longer than the one before."""
    cap_seconds: float | None
    """The longest pause."""


class EndpointDocument(TypedDict):
    """A registered callback URL. Values of its own headers are never shown."""

    id: EndpointId
    """The endpoint's id, for good."""
    url: str
    """Where its webhooks go, in canonical form."""
    description: str
    """What it is for, in its owner's words."""
    state: EndpointState
    """Whether deliveries go out."""
    disabled_reason: DisabledReason | None
    """Why it is disabled; null while it is enabled."""
    events: list[SubscribedEvent]
    """What it is told of."""
    task_types: list[str]
    """The task types it is told of, or prefixes such as `report.*`; empty: all."""
    headers: dict[str, str]
    """The names of its own headers; in the place of each value stands `***`."""
    rate_limit: float | None
    """At most so many attempts a second; null: no limit of its own."""
    max_concurrency: int | None
    """At most so many attempts at a time; null: as many as it bears."""
    ordering: Ordering
    """Whether deliveries keep their order."""
    retry: EndpointRetryDocument
    """Its own retry schedule."""
    signature: list[SignatureScheme]
    """How its webhooks are signed."""
    failing_since: Timestamp | None
    """The first failure since its last success; null where there is none."""
    created_at: Timestamp
    """When it was registered."""
    updated_at: Timestamp
    """When a setting of it was last changed."""
    public_key: NotRequired[Annotated[str, Field(pattern="^whpk_")]]
    """What `v1a` signatures are verified with; there where it signs so."""
    breaker: NotRequired[BreakerState]
    """How its circuit breaker stands; not in webhooks."""
    partner: NotRequired[OwnerDocument]
    """Whose it is; to admins only."""


def endpoint_document(endpoint: Endpoint, *, breaker: str | None = None) -> EndpointDocument:
    """Return the Endpoint of the API, without its secret and with the names only of its own headers."""
    document: EndpointDocument = {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "state": endpoint.state,
        "disabled_reason": endpoint.disabled_reason,
        "events": list(endpoint.events),
        "task_types": list(endpoint.task_types),
        "headers": dict.fromkeys(endpoint.header_names, "***"),
        "rate_limit": endpoint.rate_limit,
        "max_concurrency": endpoint.max_concurrency,
        "ordering": endpoint.ordering,
        "retry": {
            "max_attempts": endpoint.retry_max_attempts,
            "base_seconds": endpoint.retry_base_seconds,
            "factor": endpoint.retry_factor,
            "cap_seconds": endpoint.retry_cap_seconds,
        },
        "signature": list(endpoint.signature),
        "failing_since": opt_rfc3339(endpoint.failing_since_ms),
        "created_at": to_rfc3339(endpoint.created_ms),
        "updated_at": to_rfc3339(endpoint.updated_ms),
    }
    if endpoint.public_key is not None:
        document["public_key"] = endpoint.public_key
    if breaker is not None:
        document["breaker"] = breaker
    return document
