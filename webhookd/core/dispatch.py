"""What the delivery engine hands to the store and gets back: turns over lanes, and recorded attempts."""

from collections.abc import Mapping
from dataclasses import field

from webhookd.core.delivery import Verdict
from webhookd.core.hosts import Hosts, HostState
from webhookd.core.pacing import LaneSample
from webhookd.core.record import record
from webhookd.core.records import Attempt, SealedSecret
from webhookd.core.trace import TraceContext


@record(frozen=True, slots=True, kw_only=True)
class ClaimDeliveries:
    """Ask for up to `free` due deliveries.

    At most `slow_free` of them are from slow lanes, and at most `unheard_free` from lanes that nothing has
    come back from yet. `held`, `slow_held` and `unheard_held` are what each partner holds of these already,
    divided by its weight (see `fairness.partner_bound`). The lanes `hanging` count as slow.

    `partner_vtimes` and `clock` are this process's fair-queueing state, returned changed, as is `hosts`.
    """

    session_id: str
    free: int
    slow_free: int
    unheard_free: int
    now_ms: int
    clock: float
    partner_vtimes: dict[str, float]
    held: Mapping[str, float] = field(default_factory=dict)
    slow_held: Mapping[str, float] = field(default_factory=dict)
    unheard_held: Mapping[str, float] = field(default_factory=dict)
    hanging: frozenset[str] = frozenset()
    hosts: Hosts = field(default_factory=Hosts)


@record(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """An endpoint's own retry settings; None is the service's default."""

    max_attempts: int | None = None
    base_seconds: float | None = None
    factor: float | None = None
    cap_seconds: float | None = None


@record(frozen=True, slots=True, kw_only=True)
class LaneTarget:
    """How one lane is sent to, read at the moment of the claim. `url` None: each delivery has its own."""

    lane_id: str
    partner_id: str
    endpoint_id: str | None
    url: str | None
    headers_sealed: str | None
    retry: RetrySettings
    secrets: tuple[SealedSecret, ...]
    slow: bool
    heard: bool
    weight: float = 1.0


@record(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """A delivery this process may send now. `attempt` is its number; the budget began at the last replay."""

    id: str
    message_id: str
    url: str | None
    event: str
    body: str
    attempt: int
    attempts_in_budget: int
    max_attempts: int
    once: bool
    token: int
    task_id: str | None
    created_ms: int
    trace: TraceContext
    target: LaneTarget


@record(frozen=True, slots=True, kw_only=True)
class Turn:
    """The claimed deliveries. `again_ms`: when more may be claimable (None: nothing waits)."""

    deliveries: tuple[DueDelivery, ...] = ()
    again_ms: int | None = None
    clock: float = 0.0
    partner_vtimes: dict[str, float] = field(default_factory=dict)
    host_states: Mapping[str, HostState] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class AttemptDone:
    """One attempt with what it means for its delivery and its lane."""

    delivery: DueDelivery
    session_id: str
    attempt: Attempt
    verdict: Verdict
    outcome: LaneSample
    now_ms: int


@record(frozen=True, slots=True, kw_only=True)
class Handed:
    """A claimed delivery that was not sent (shutdown): it goes back and its attempt is not used up."""

    delivery: DueDelivery
    session_id: str
    now_ms: int


@record(frozen=True, slots=True, kw_only=True)
class AttemptRecorded:
    """What a recorded attempt led to.

    `lost`: the delivery had been taken away. `wake_ms`: when its lane is to be looked at again (more
    is due there, or this delivery's retry); None: nothing waits in it.
    """

    lost: bool
    wake_ms: int | None = None
