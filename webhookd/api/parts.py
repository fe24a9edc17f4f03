"""What the HTTP face needs from the rest, as one value: `wiring` builds it, and so do the tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from webhookd.adapters import entropy
from webhookd.adapters.files import Bucket
from webhookd.adapters.metrics import Metrics
from webhookd.adapters.store.store import Store
from webhookd.adapters.vault import Vault
from webhookd.api.held import Held
from webhookd.api.unread import Unread
from webhookd.core.activity import ActivityKind
from webhookd.core.batches import Batch
from webhookd.core.egress import EgressPolicy
from webhookd.core.endpoint_stats import Span
from webhookd.core.facts import RequestFacts
from webhookd.core.run_folder import MAX_FILE_BYTES
from webhookd.core.trace import TraceContext
from webhookd.flows.key_quota import KeyQuota
from webhookd.flows.last_used import LastUsed
from webhookd.flows.load import LoadGauge
from webhookd.flows.submit import SubmitTasks
from webhookd.flows.turns import Turns
from webhookd.flows.watch import Watchers
from webhookd.runtime.single_flight import RECENT_SECONDS, SingleFlight
from webhookd.taskset.known import TaskTypes

READS_AT_ONCE: Final = 3
"""Fewer than a database's driver has readers: the service keeps some to itself."""
READS_OF_ONE: Final = 2
READS_WAITING: Final = 500
BODIES_WAITING: Final = 50
TRANSFERS_WAITING: Final = 50
"""Of one partner, each."""
TRANSFERS_AT_ONCE: Final = 24
"""Each holds two parts of a file in memory."""
TRANSFERS_OF_ONE: Final = 6
ACTIVITY_SECONDS: Final = 5.0
"""As often as workers tell theirs."""

Listener = Callable[[RequestFacts], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """Policies of the HTTP face, from the settings. Sizes in bytes.

    `operator_host` is the machine whose operator calls in this very process; empty over the network.
    """

    base_url: str = ""
    admin_key_hash: bytes | None = None
    max_input_bytes: int = 262_144
    max_batch_bytes: int = 8_388_608
    max_body_bytes: int = 65_536
    body_timeout_seconds: float = 30.0
    max_wait_seconds: float = 45.0
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    files_max_bytes: int = MAX_FILE_BYTES
    partner_max_file_bytes: int = 10_737_418_240
    files_keep_ms: int | None = None
    operator_host: str = ""
    cors_origins: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Leaving:
    """Whether this process has been told to stop: it serves on for a while, and wants no more traffic."""

    begun: bool = False


@dataclass(slots=True, kw_only=True)
class Access:
    """How often this process changed a key or a partner; what was known of keys before is read again."""

    changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """Everything a handler may use. `now_ms` is the clock; `held` counts the requests that wait.

    `new_trace` begins a trace for a request that brought none. `new_span_id` is there where submissions have
    spans of their own. `reads` are the turns at the database of what partners look up; keys, readiness,
    admission and watchers do not stand in that line. `parsing` are those at large bodies, `transfers` at
    the bytes of `files`. `unread` counts what partners leave on their sockets.
    """

    options: ApiOptions
    store: Store
    task_types: TaskTypes
    egress: EgressPolicy
    vault: Vault
    submit: SubmitTasks
    load: LoadGauge
    watchers: Watchers
    key_quota: KeyQuota
    now_ms: Callable[[], int]
    files: Bucket
    metrics: Metrics = field(default_factory=Metrics)
    listeners: tuple[Listener, ...] = ()
    new_trace: Callable[[], TraceContext] = entropy.new_trace
    new_span_id: Callable[[], str] | None = None
    batch_reads: SingleFlight[str, Batch | None] = field(default_factory=lambda: SingleFlight(RECENT_SECONDS))
    activity_reads: SingleFlight[str, dict[ActivityKind, list[Span]]] = field(
        default_factory=lambda: SingleFlight(ACTIVITY_SECONDS)
    )
    held: Held = field(default_factory=Held)
    leaving: Leaving = field(default_factory=Leaving)
    access: Access = field(default_factory=Access)
    last_used: LastUsed = field(default_factory=LastUsed)
    reads: Turns = field(
        default_factory=lambda: Turns(
            at_once=READS_AT_ONCE, each=READS_OF_ONE, waiting=READS_WAITING, what="reads"
        )
    )
    unread: Unread = field(default_factory=Unread)
    transfers: Turns = field(
        default_factory=lambda: Turns(
            at_once=TRANSFERS_AT_ONCE, each=TRANSFERS_OF_ONE, waiting=TRANSFERS_WAITING, what="transfers"
        )
    )
    parsing: Turns = field(
        default_factory=lambda: Turns(at_once=1, each=1, waiting=BODIES_WAITING, what="large bodies")
    )
