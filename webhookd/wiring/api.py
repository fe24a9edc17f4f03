"""The API process: its parts joined."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.types import ASGIApp

from webhookd.adapters.broker import BrokerHealth, SharedBuckets
from webhookd.adapters.entropy import new_span_id
from webhookd.adapters.files import open_bucket
from webhookd.adapters.log_facts import log_request
from webhookd.adapters.metrics import bucket_figures, count_request
from webhookd.adapters.store.access.key_use import key_use
from webhookd.adapters.store.access.last_used import keep_last_used
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.task_types import read_types
from webhookd.api.app import create_app, make_authenticator
from webhookd.api.client_address import parse_proxies
from webhookd.api.parts import ApiOptions, ApiParts, Leaving
from webhookd.api.watch import key_review
from webhookd.core.admission import Ceilings, KeyUse
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import EgressPolicy
from webhookd.core.errors import ServiceError
from webhookd.core.facts import TasksSubmitted
from webhookd.core.rate import Rate
from webhookd.flows.key_quota import KeyQuota
from webhookd.flows.known_types import KnownTypes
from webhookd.flows.last_used import LastUsed
from webhookd.flows.load import LoadGauge
from webhookd.flows.rates import PartnerRates, Shared
from webhookd.flows.submit import SubmitTasks
from webhookd.flows.watch import Watchers
from webhookd.pages.table import page_routes
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.process import background, broker_url, days_ms, free_disk, running_process

PATIENCE_SECONDS: Final = 5.0
"""How long a caller waits for the database before it is told to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProcess:
    """The application, those who wait in it (they must be drained before it can stop), and its farewell."""

    app: ASGIApp
    watchers: Watchers
    leaving: Leaving


@contextlib.asynccontextmanager
async def api_process(settings: Settings) -> AsyncIterator[ApiProcess]:
    """Build the API on real parts; what it needs in the background runs as long as the context."""
    own_types = load_task_sets(settings.tasks)
    health = BrokerHealth(broker_url(settings))
    async with (
        running_process(settings, "api", {"host": settings.host, "port": settings.port}) as common,
        contextlib.AsyncExitStack() as stack,
    ):
        stack.push_async_callback(health.aclose)
        store, signals, tracing = common.store, common.signals, common.tracing
        store.db.patience_seconds = PATIENCE_SECONDS
        types = KnownTypes(own_types, partial(store.read, read_types))
        await types.refresh()
        await store.queues.ensure(types.queues)
        load = LoadGauge(
            store.queues,
            look_at_broker=health.check,
            free_disk_bytes=free_disk(settings),
            monotonic=time.monotonic,
        )
        watchers = new_watchers(settings, store, make_known=signals.watch)
        for work in (load.run(), types.run(), watchers.run(), signals.listen(watchers.hear)):
            await stack.enter_async_context(background(work))
        last_used = await stack.enter_async_context(_last_used(store))
        buckets = SharedBuckets(broker_url(settings))
        stack.push_async_callback(buckets.aclose)
        common.metrics.add_figures(bucket_figures(buckets))
        rates = partner_rates(settings, shared=buckets.take, now_ms=store.clock.now_ms)
        stack.push_async_callback(rates.aclose)
        parts = ApiParts(
            options=ApiOptions(
                base_url=settings.public_url,
                admin_key_hash=operator_key_hash(settings.admin_key) if settings.admin_key else None,
                max_input_bytes=settings.max_input_bytes,
                max_wait_seconds=settings.max_wait_seconds,
                trusted_proxies=parse_proxies(settings.trusted_proxies),
                files_max_bytes=settings.files_max_bytes,
                partner_max_file_bytes=settings.partner_max_file_bytes,
                files_keep_ms=days_ms(settings.retention_files_days),
                cors_origins=frozenset(settings.cors_origins),
            ),
            store=store,
            task_types=types,
            egress=EgressPolicy.parse(settings.egress_allow),
            vault=common.vault,
            submit=submit_flow(
                settings,
                store,
                load,
                rates=rates,
                listeners=tracing.on_submission,
            ),
            load=load,
            watchers=watchers,
            key_quota=key_quota(settings, store),
            now_ms=store.clock.now_ms,
            files=open_bucket(settings.resolved_files_url),
            metrics=common.metrics,
            listeners=(log_request(), count_request(common.metrics.tally), *tracing.on_request),
            last_used=last_used,
            new_trace=tracing.new_trace,
            new_span_id=None if tracing.spans is None else new_span_id,
        )
        yield ApiProcess(
            app=with_pages(parts, settings.portal_frame_ancestors), watchers=watchers, leaving=parts.leaving
        )


@contextlib.asynccontextmanager
async def _last_used(store: Store) -> AsyncIterator[LastUsed]:
    """What notes the uses of keys; the last of them are told at the end."""
    last_used = LastUsed()

    async def keep(used: Mapping[str, int]) -> None:
        await store.write(keep_last_used, used)

    async with background(last_used.run(keep)):
        yield last_used
    with contextlib.suppress(ServiceError):
        await last_used.tell(keep)


def with_pages(parts: ApiParts, portal_ancestors: str = "") -> ASGIApp:
    """Return the API with the pages beside it."""
    authenticator = make_authenticator(parts)
    pages = page_routes(parts, authenticator, portal_ancestors=portal_ancestors)
    return create_app(parts, authenticator=authenticator, more=pages)


def new_watchers(
    settings: Settings, store: Store, *, make_known: Callable[[Collection[str]], None] = lambda _names: None
) -> Watchers:
    """Return what callers wait on; its `run` is to run beside the API."""
    return Watchers(
        store.tasks,
        store.changes,
        is_good_key=key_review(store.keys.find, store.clock.now_ms),
        make_known=make_known,
        base_url=settings.public_url,
    )


def key_quota(settings: Settings, store: Store) -> KeyQuota:
    """Return the quota of idempotency keys of the settings."""

    async def knows(partner_id: str, key: str, now_ms: int) -> bool:
        return await store.idempotency.find(partner_id, key, now_ms) is not None

    async def count(partner_id: str, since_ms: int, most: int) -> KeyUse:
        return await store.read(key_use, partner_id, since_ms, most)

    return KeyQuota(
        count=count,
        knows=knows,
        max_keys=settings.partner_max_idempotency_keys,
        keep_ms=int(settings.idempotency_hours * 3_600_000),
    )


def partner_rates(
    settings: Settings, *, shared: Shared | None = None, now_ms: Callable[[], int] = lambda: 0
) -> PartnerRates:
    """Return the rates of the settings; without `shared` they are this process's alone."""
    return PartnerRates(
        rate=settings.partner_rate,
        burst=settings.partner_burst,
        writes=Rate(per_second=settings.partner_write_rate, burst=settings.partner_write_burst),
        shared=shared,
        now_ms=now_ms,
    )


def submit_flow(
    settings: Settings,
    store: Store,
    load: LoadGauge,
    *,
    rates: PartnerRates | None = None,
    listeners: Sequence[Callable[[TasksSubmitted], None]] = (),
) -> SubmitTasks:
    """Return the flow of submissions with the limits of the settings."""
    return SubmitTasks(
        intake=store.tasks,
        recall=store.idempotency.find,
        load=load,
        rates=rates or partner_rates(settings),
        ceilings=Ceilings(
            max_queued=settings.max_queued,
            partner_max_queued=settings.partner_max_queued,
            min_free_disk_bytes=settings.min_free_disk_bytes,
        ),
        listeners=listeners,
    )
