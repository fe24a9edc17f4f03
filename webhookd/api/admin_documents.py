"""Answers about partners, keys, queues, the audit log and health, as pydantic models; see `documents`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from webhookd.api.documents import Count, Document, Page, Problem, Timestamp


class PartnerLimits(Document):
    """The limits in force: the partner's own, or the service's."""

    rate_per_second: float
    burst: Count
    max_queued: Count


class Partner(Document):
    """Who submits tasks. `weight` is its share where partners compete."""

    id: Annotated[str, Field(pattern="^prt_[0-9a-z]{26}$")]
    name: str
    weight: Annotated[int, Field(ge=1)]
    limits: PartnerLimits
    suspended: bool
    created_at: Timestamp


class NewPartnerSecrets(Partner):
    """The partner with its first `key` and its signing `secret`, both shown this once."""

    key: Annotated[str, Field(pattern="^whk_")]
    secret: Annotated[str, Field(pattern="^whsec_")]


class PartnerPage(Page[Partner]):
    """Partners, newest first."""


class RotatedPartnerSecret(Document):
    """The partner's new `secret`, shown this once, and when the one before stops signing."""

    id: Annotated[str, Field(pattern="^prt_[0-9a-z]{26}$")]
    secret: Annotated[str, Field(pattern="^whsec_")]
    previous_expires_at: Timestamp


class Key(Document):
    """An API key, without its text."""

    id: str
    partner: str | None
    name: str
    scopes: list[str]
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None


class NewKeyText(Key):
    """The key with its text, shown this once."""

    key: Annotated[str, Field(pattern="^whk_")]


class KeyPage(Page[Key]):
    """Keys, newest first; revoked and expired ones too."""


class Queue(Document):
    """How a queue stands. `drain_seconds` is null where no rate is known; see docs on autoscaling."""

    name: str
    paused: bool
    depth: Count
    scheduled: Count
    running: Count
    finished: Count
    oldest_age_seconds: float
    rate_per_second: float
    drain_seconds: float | None
    desired_workers: Count


class QueuePage(Page[Queue]):
    """Queues, by name."""


class QueuePause(Document):
    """Whether a queue is paused."""

    name: str
    paused: bool


class AuditEntry(Document):
    """Who changed what: `actor` is the id of a key, `actor_name` what it is called.

    `detail` has names and numbers, no secrets.
    """

    id: str
    at: Timestamp
    actor: str
    actor_name: str | None
    action: str
    target: str
    partner: str | None
    detail: dict[str, Any]


class AuditPage(Page[AuditEntry]):
    """The audit log, newest first."""


class Health(Document):
    """The process answers."""

    status: Literal["ok"]


class PartStatus(Document):
    """How one part stands."""

    status: Literal["ok", "degraded", "failed"]
    reason: str = ""


class DiskStatus(PartStatus):
    """The disk; `free_bytes` is null where the database is elsewhere."""

    free_bytes: int | None = None


class WorkersStatus(PartStatus):
    """How many worker processes of a kind can work; null where the database cannot say."""

    count: int | None


class Readiness(Document):
    """Tasks are taken in; `degraded` where a part that does the work is not as it should be."""

    status: Literal["ok", "degraded"]
    reason: str = ""
    database: PartStatus
    broker: PartStatus
    disk: DiskStatus
    task_workers: WorkersStatus
    deliver_workers: WorkersStatus


class NotReady(Problem):
    """Tasks cannot be taken in, for want of database or disk: a problem that says why."""

    database: PartStatus
    broker: PartStatus
    disk: DiskStatus
    task_workers: WorkersStatus
    deliver_workers: WorkersStatus
