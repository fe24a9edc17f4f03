"""What partners look like on the wire: the bodies that make and change them, and the documents of answers."""

from collections.abc import Collection
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from webhookd.adapters.store.access.api_keys import MAX_KEYS
from webhookd.adapters.store.access.partner_use import PartnerUse
from webhookd.adapters.store.deliveries.replay_orders import MAX_RUNNING
from webhookd.adapters.store.endpoints.endpoint_settings import MAX_ENDPOINTS
from webhookd.api.endpoint_wire import EndpointSecretCreate, TypePatterns
from webhookd.api.wire import ChangeBody, Create, QueryString
from webhookd.core.fields import Count, PartnerId, ScopeName, Timestamp
from webhookd.core.model import SCOPES
from webhookd.core.records import LimitsInForce, Partner
from webhookd.core.times import to_rfc3339

DEFAULT_WEIGHT: Final = 1


def _checked_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be printable characters, without spaces around")
    return name


PartnerName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_checked_name)]


class PartnerLimitsChange(ChangeBody):
    """A partner's own limits to be changed; null is the service's default."""

    rate_per_second: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    """How many tasks a second it may submit."""
    burst: int | None = Field(None, ge=1, le=10_000_000)
    """How many tasks it may submit at once."""
    max_queued: int | None = Field(None, ge=0, le=1_000_000_000)
    """How many of its tasks may wait."""


class PartnerLimitsCreate(PartnerLimitsChange, Create):
    """A partner's own limits; what is left out is the service's default."""


class PartnerCreate(Create):
    """A partner to be made."""

    name: PartnerName
    """What it is called; no two have the same name."""
    limits: PartnerLimitsCreate = PartnerLimitsCreate()
    """Its own limits; the service's if left out."""
    weight: int = Field(DEFAULT_WEIGHT, ge=1, le=1_000)
    """Its share where partners compete; 1 if left out."""
    task_types: TypePatterns = Field([])
    """The task types it may submit, or prefixes such as `report.*`; all if left out or empty."""


class PartnerChange(ChangeBody):
    """What of a partner is to be changed; what is left out stays."""

    name: PartnerName = ""
    """What it is called from now on."""
    limits: PartnerLimitsChange = PartnerLimitsChange()
    """Its own limits; those left out stay."""
    weight: int = Field(DEFAULT_WEIGHT, ge=1, le=1_000)
    """Its share where partners compete."""
    suspended: bool = False
    """Whether its keys are refused for the time being; what it has submitted goes on."""
    task_types: TypePatterns | None = None
    """The task types it may submit, or prefixes such as `report.*`; null or empty for all."""


class PartnerSecretCreate(EndpointSecretCreate):
    """A new secret of the partner's own in the place of the present one."""

    partner: str | None = None
    """For admins: whose secret, by the partner's id."""


class OnePartner(QueryString):
    """`partner=` says which, with an admin's key."""

    partner: str | None = None
    """For admins: which partner, by its id."""


class PartnerLimitsDocument(TypedDict):
    """The limits in force: the partner's own, or the service's."""

    rate_per_second: float
    """How many tasks a second it may submit."""
    burst: Count
    """How many tasks it may submit at once."""
    max_queued: Count
    """How many of its tasks may wait."""


class PartnerQuotasDocument(TypedDict):
    """What a partner may have at most, besides what waits; the same for all."""

    stored_bytes: Count
    """How many bytes of files."""
    endpoints: Count
    """How many endpoints."""
    keys: Count
    """How many good keys."""
    replays: Count
    """How many running replays."""


class PartnerUseDocument(TypedDict):
    """What a partner has now."""

    queued: Count
    """How many of its tasks wait, scheduled ones too."""
    stored_files: Count
    """How many files of it are kept."""
    stored_bytes: Count
    """How many bytes they have."""
    endpoints: Count
    """How many endpoints it has."""
    keys: Count
    """How many good keys it has."""
    replays: Count
    """How many replays of it are running."""


class PartnerDocument(TypedDict):
    """Who submits tasks."""

    id: PartnerId
    """The partner's id, for good."""
    name: str
    """What it is called."""
    weight: Annotated[int, Field(ge=1)]
    """Its share where partners compete."""
    limits: PartnerLimitsDocument
    """Its limits."""
    suspended: bool
    """Whether its keys are refused for the time being."""
    task_types: list[str]
    """The task types it may submit, or prefixes of some; empty for all."""
    created_at: Timestamp
    """When it was made."""


class OwnPartnerDocument(PartnerDocument):
    """A partner as it sees itself."""

    quotas: PartnerQuotasDocument
    """What it may have at most."""
    use: PartnerUseDocument
    """What it has now of that."""
    scopes: list[ScopeName]
    """What the key that asks may do; everything with an admin's."""


class PartnerWithSecretsDocument(PartnerDocument):
    """The partner with its first key and its signing secret."""

    key: Annotated[str, Field(pattern="^whk_")]
    """Its first API key, shown this once."""
    secret: Annotated[str, Field(pattern="^whsec_")]
    """What the webhooks to its callback URLs are signed with, shown this once."""


class PartnerRotatedDocument(TypedDict):
    """The partner's new secret."""

    id: PartnerId
    """The partner."""
    secret: Annotated[str, Field(pattern="^whsec_")]
    """What the webhooks to its callback URLs are signed with from now on, shown this once."""
    previous_expires_at: Timestamp
    """When the secrets before stop signing."""


def partner_document(partner: Partner, limits: LimitsInForce) -> PartnerDocument:
    """Return the Partner of the API; `limits` are those in force."""
    return {
        "id": partner.id,
        "name": partner.name,
        "weight": partner.weight,
        "limits": {
            "rate_per_second": limits.rate_per_second,
            "burst": limits.burst,
            "max_queued": limits.max_queued,
        },
        "suspended": partner.suspended,
        "task_types": list(partner.task_types),
        "created_at": to_rfc3339(partner.created_ms),
    }


def own_partner_document(
    partner: PartnerDocument, use: PartnerUse, scopes: Collection[str], *, max_stored_bytes: int
) -> OwnPartnerDocument:
    """Return the Partner as it sees itself."""
    return {
        **partner,
        "quotas": {
            "stored_bytes": max_stored_bytes,
            "endpoints": MAX_ENDPOINTS,
            "keys": MAX_KEYS,
            "replays": MAX_RUNNING,
        },
        "use": {
            "queued": use.queued,
            "stored_files": use.stored_files,
            "stored_bytes": use.stored_bytes,
            "endpoints": use.endpoints,
            "keys": use.keys,
            "replays": use.replays,
        },
        "scopes": [scope for scope in SCOPES if scope in scopes],
    }
