"""Worker processes: task workers and deliver workers, joined."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Literal

import webhookd
from webhookd.adapters.broker.turns import TurnWorker
from webhookd.adapters.entropy import chance, new_id, new_span_id
from webhookd.adapters.files import open_bucket
from webhookd.adapters.files.run_root import run_root
from webhookd.adapters.log_facts import log_attempt, log_refused_addresses, log_run
from webhookd.adapters.metrics import (
    count_attempt,
    count_refused_addresses,
    count_run,
)
from webhookd.adapters.runner import Runner
from webhookd.adapters.store.tasks.task_types import publish_types
from webhookd.adapters.store.upkeep.activity_spans import keep_activity
from webhookd.core import ids
from webhookd.core.activity import ActivityKind
from webhookd.core.egress import EgressPolicy
from webhookd.core.endpoint_stats import Span
from webhookd.core.errors import ServiceError, SettingsError
from webhookd.core.facts import AddressesRefused
from webhookd.core.file_links import KEY_PURPOSE, FileLinks
from webhookd.core.model import DELIVER_QUEUE
from webhookd.core.retry import RetryPolicy
from webhookd.flows.activity import Activity
from webhookd.flows.alarm import SWEEP, Alarm
from webhookd.flows.deliver import DeliveryEngine
from webhookd.flows.execute import Executor
from webhookd.flows.execute.file_inputs import RunFiles
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.taskset.known import published
from webhookd.wiring.process import Process, background, broker_url, days_ms, running_process
from webhookd.wiring.sweeping import file_sweeper_of, sweeper_of

if TYPE_CHECKING:
    from webhookd.adapters.files.fetching import Fetcher

Role = Literal["tasks", "deliver"]


def delivery_policy(settings: Settings) -> RetryPolicy:
    """Return the default retry policy of deliveries."""
    return RetryPolicy(
        max_attempts=settings.retry_max_attempts,
        base_seconds=settings.retry_base_seconds,
        factor=settings.retry_factor,
        cap_seconds=settings.retry_cap_seconds,
    )


@contextlib.asynccontextmanager
async def worker_process(
    settings: Settings, role: Role, queues: tuple[str, ...]
) -> AsyncIterator[asyncio.Event]:
    """Run a task worker for `queues`, or a deliver worker, as long as the context; then end gracefully.

    The event is set once a function does not stop: the process must be replaced, so that its slot comes back.
    Then what else runs is handed back at the end of the context without further patience.
    """
    if role == "deliver":
        # Before the lease begins: it takes the loop for a second or more, in which nothing is renewed.
        importlib.import_module("webhookd.adapters.sender")
    lost = asyncio.Event()
    detail = {"queues": list(queues), "slots": settings.worker_threads if role == "tasks" else 0}
    async with running_process(settings, role, detail) as common, contextlib.AsyncExitStack() as owned:
        now_ms = common.store.clock.now_ms
        alarm = Alarm(lambda name: sweeper.ring() if name == SWEEP else common.ringer.ring(name), now_ms)
        activity = await owned.enter_async_context(_activity(common, role))
        work: Executor | DeliveryEngine
        if role == "tasks":
            files = await owned.enter_async_context(_run_files(common))
            work = await _executor(common, alarm, queues, lost, files, activity=activity)
        else:
            work = _engine(common, alarm, activity)
        sweeper = sweeper_of(common, alarm)
        turns = TurnWorker(
            broker_url(settings),
            queues=queues if role == "tasks" else (DELIVER_QUEUE,),
            on_turn=work.turn,
            on_ring=sweeper.stir,
            loop=asyncio.get_running_loop(),
        )
        turns.start()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(background(sweeper.run()))
            await stack.enter_async_context(background(common.signals.listen()))
            if role == "deliver":  # one kind of worker is enough, and this one runs nobody's code
                await stack.enter_async_context(background(file_sweeper_of(common).run()))
            if isinstance(work, Executor):
                await stack.enter_async_context(background(work.watch_cancellations()))
            try:
                yield lost
            finally:
                async with asyncio.TaskGroup() as ending:
                    ending.create_task(work.stop(0.0 if lost.is_set() else settings.shutdown_seconds))
                    ending.create_task(turns.stop(settings.shutdown_seconds))
                alarm.close()


@contextlib.asynccontextmanager
async def _activity(common: Process, role: Role) -> AsyncIterator[Activity]:
    """What counts this process's work for the charts; the last of it is told when everything has ended."""
    store = common.store

    async def keep(kind: ActivityKind, spans: Sequence[Span]) -> None:
        await store.write(keep_activity, kind, spans)

    kind = ActivityKind.RUNS if role == "tasks" else ActivityKind.ATTEMPTS
    activity = Activity(kind, keep, store.clock.now_ms)
    async with background(activity.run()):
        yield activity
    with contextlib.suppress(ServiceError):
        await activity.tell()


async def _executor(
    common: Process,
    alarm: Alarm,
    queues: tuple[str, ...],
    lost: asyncio.Event,
    files: RunFiles,
    *,
    activity: Activity,
) -> Executor:
    settings = common.settings
    task_set = load_task_sets(settings.tasks)
    unknown = sorted(set(queues) - set(task_set.queues))
    if unknown:
        raise SettingsError(
            f"--queues: no task type uses the queue {unknown[0]!r}; "
            f"the queues of WEBHOOKD_TASKS are {', '.join(task_set.queues)}."
        )
    await common.store.write(publish_types, settings.tasks, [published(one) for one in task_set])
    runner = Runner(
        slots=settings.worker_threads,
        task_spec=settings.tasks,
        log_format=settings.log_format,
        log_level=settings.log_level,
        max_result_bytes=settings.max_result_bytes,
        spans=common.tracing.spans,
        on_lost=lost.set,
        on_limit=common.heartbeat.limit,
    )
    await runner.start(definition for definition in task_set if definition.queue in queues)
    return Executor(
        tasks=common.store.tasks,
        runner=runner,
        task_set=task_set,
        lease=common.lease,
        alarm=alarm,
        ring=common.ringer.ring,
        now_ms=common.store.clock.now_ms,
        new_span_id=new_span_id,
        files=files,
        on_start=common.tracing.on_run_start,
        listeners=(
            log_run(),
            count_run(common.metrics.tally),
            activity.run_ended,
            *common.tracing.on_run_end,
        ),
    )


class _FetchWhenAsked:
    """Fetches files by URL. What it takes is imported with the first one: aiohttp is 7 MB."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fetcher: Fetcher | None = None

    def open(self, url: str) -> AbstractAsyncContextManager[tuple[str | None, AsyncIterator[bytes]]]:
        """Open a URL, as `Fetcher.open` does."""
        if self._fetcher is None:
            from webhookd.adapters.files.fetching import Fetcher

            self._fetcher = Fetcher(
                EgressPolicy.parse(self._settings.egress_allow),
                proxy_url=self._settings.egress_proxy or None,
                user_agent=f"webhookd/{webhookd.__version__}",
            )
        return self._fetcher.open(url)

    async def aclose(self) -> None:
        """Drop what is open."""
        if self._fetcher is not None:
            await self._fetcher.aclose()


@contextlib.asynccontextmanager
async def _run_files(common: Process) -> AsyncIterator[RunFiles]:
    """Where runs have their files: a folder of this process, which goes with it."""
    settings, vault = common.settings, common.vault
    fetcher = _FetchWhenAsked(settings)
    with run_root() as root:
        try:
            yield RunFiles(
                rows=common.store.files,
                store=open_bucket(settings.resolved_files_url),
                fetch=fetcher,
                links=FileLinks(lambda: vault.derived(KEY_PURPOSE)),
                root=root,
                max_bytes=settings.files_max_bytes,
                max_stored_bytes=settings.partner_max_file_bytes,
                keep_ms=days_ms(settings.retention_files_days),
                now_ms=common.store.clock.now_ms,
                new_id=lambda now_ms: new_id(ids.FILE, now_ms),
            )
        finally:
            await fetcher.aclose()


def _engine(common: Process, alarm: Alarm, activity: Activity) -> DeliveryEngine:
    # Imported where it is used: task workers need no sender, and aiohttp is 7 MB.
    from webhookd.adapters.sender import build_sender

    settings, tally = common.settings, common.metrics.tally
    security_events = (log_refused_addresses(), count_refused_addresses(tally))

    def refused(event: AddressesRefused) -> None:
        for listen in security_events:
            listen(event)

    return DeliveryEngine(
        lanes=common.store.lanes,
        sender=build_sender(
            EgressPolicy.parse(settings.egress_allow),
            timeout_seconds=settings.delivery_timeout_seconds,
            proxy_url=settings.egress_proxy or None,
            max_connections=settings.delivery_connections,
            max_per_host=settings.delivery_per_host,
            on_security_event=refused,
        ),
        vault=common.vault,
        lease=common.lease,
        alarm=alarm,
        now_ms=common.store.clock.now_ms,
        new_span_id=new_span_id,
        chance=chance,
        policy=delivery_policy(settings),
        connections=settings.delivery_connections,
        user_agent=f"webhookd/{webhookd.__version__}",
        listeners=(log_attempt(), count_attempt(tally), activity.attempt_ended, *common.tracing.on_attempt),
    )
