"""Whether more tasks may come in: a partner's quota, and what the whole service can hold.

Pure: what is known of the load comes as a value, and so does the verdict. Rates are `core.rate`; sampling
the load is `flows.load`; turning a verdict into an error is `flows.submit`.
"""

from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import Final

from webhookd.core.scaling import wait_seconds

LONGEST_RETRY_SECONDS: Final = 3_600.0
UNKNOWN_DRAIN_SECONDS: Final = 30.0
"""What to say where nothing has ended lately, so that no estimate can be made."""
DISK_RETRY_SECONDS: Final = 60.0
BROKER_RETRY_SECONDS: Final = 10.0
DATABASE_RETRY_SECONDS: Final = 5.0


class Full(Enum):
    """Which limit is reached."""

    QUOTA = "quota"
    DEPTH = "depth"
    DISK = "disk"
    BROKER = "broker"
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The limits. `max_queued` is the whole service's, `partner_max_queued` each partner's."""

    max_queued: int
    partner_max_queued: int
    min_free_disk_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """`reason` says why it is not `ok`, without addresses. Memory is None where the server does not tell;
    `max_memory_bytes` 0 is no limit."""

    ok: bool
    reason: str | None = None
    used_memory_bytes: int | None = None
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How things stand. Waiting is queued or scheduled; rates are tasks ended per second.

    `disk_free_bytes` None: not our disk. `database_away`: it did not answer twice running.
    """

    waiting: int
    partner_waiting: int
    ended_per_second: float
    disk_free_bytes: int | None = None
    broker_full: bool = False
    database_away: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """How many idempotency keys of a partner are remembered, and since when the oldest of them."""

    count: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Admit:
    """Let them in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shed:
    """Refuse them, and say when to come again."""

    full: Full
    retry_seconds: float


def admit(load: Load, ceilings: Ceilings, *, count: int) -> Admit | Shed:
    """Decide on `count` tasks of one partner: all or none. What is wrong with the service goes first."""
    if load.database_away:
        return Shed(full=Full.DATABASE, retry_seconds=DATABASE_RETRY_SECONDS)
    if load.disk_free_bytes is not None and load.disk_free_bytes < ceilings.min_free_disk_bytes:
        return Shed(full=Full.DISK, retry_seconds=DISK_RETRY_SECONDS)
    if load.broker_full:
        return Shed(full=Full.BROKER, retry_seconds=BROKER_RETRY_SECONDS)
    excess = load.waiting + count - ceilings.max_queued
    if excess > 0:
        return Shed(full=Full.DEPTH, retry_seconds=drain_seconds(excess, load.ended_per_second))
    excess = load.partner_waiting + count - ceilings.partner_max_queued
    if excess > 0:
        return Shed(full=Full.QUOTA, retry_seconds=drain_seconds(excess, load.ended_per_second))
    return Admit()


def drain_seconds(count: int, ended_per_second: float) -> float:
    """Return how long `count` tasks take to end at this rate: whole seconds from 1 to an hour."""
    wait = wait_seconds(count, ended_per_second)
    if wait is None:
        return UNKNOWN_DRAIN_SECONDS
    return min(LONGEST_RETRY_SECONDS, max(1.0, float(ceil(wait))))
