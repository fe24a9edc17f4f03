"""Worker processes: task workers and deliver workers, joined."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

import webhookd
from webhookd.adapters.broker.turns import TurnWorker
from webhookd.adapters.entropy import chance, new_span_id
from webhookd.adapters.files import open_bucket
from webhookd.adapters.log_facts import log_attempt, log_refused_addresses, log_run
from webhookd.adapters.metrics import (
    count_attempt,
    count_refused_addresses,
    count_run,
)
from webhookd.adapters.runner import Runner
from webhookd.adapters.store.retention import Retention, RetentionPolicy
from webhookd.core.egress import EgressPolicy
from webhookd.core.errors import SettingsError
from webhookd.core.facts import AddressesRefused
from webhookd.core.model import DELIVER_QUEUE
from webhookd.core.retry import RetryPolicy
from webhookd.flows.alarm import SWEEP, Alarm
from webhookd.flows.deliver import DeliveryEngine
from webhookd.flows.execute import Executor
from webhookd.flows.replay import ReplayFlow
from webhookd.flows.sweep import Chore, Sweeper
from webhookd.flows.sweep_files import FileSweeper
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.process import Process, background, broker_url, days_ms, running_process

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
    lost = asyncio.Event()
    detail = {"queues": list(queues), "slots": settings.worker_threads if role == "tasks" else 0}
    async with running_process(settings, role, detail) as common:
        now_ms = common.store.clock.now_ms
        alarm = Alarm(lambda name: sweeper.ring() if name == SWEEP else common.ringer.ring(name), now_ms)
        work = await _executor(common, alarm, queues, lost) if role == "tasks" else _engine(common, alarm)
        sweeper = _sweeper(common, alarm)
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
                await stack.enter_async_context(background(_file_sweeper(common).run()))
            if isinstance(work, Executor):
                await stack.enter_async_context(background(work.watch_cancellations()))
            try:
                yield lost
            finally:
                async with asyncio.TaskGroup() as ending:
                    ending.create_task(work.stop(0.0 if lost.is_set() else settings.shutdown_seconds))
                    ending.create_task(turns.stop(settings.shutdown_seconds))
                alarm.close()


async def _executor(common: Process, alarm: Alarm, queues: tuple[str, ...], lost: asyncio.Event) -> Executor:
    settings = common.settings
    task_set = load_task_sets(settings.tasks)
    unknown = sorted(set(queues) - set(task_set.queues))
    if unknown:
        raise SettingsError(
            f"--queues: no task type uses the queue {unknown[0]!r}; "
            f"the queues of WEBHOOKD_TASKS are {', '.join(task_set.queues)}."
        )
    runner = Runner(
        slots=settings.worker_threads,
        task_spec=settings.tasks,
        log_format=settings.log_format,
        log_level=settings.log_level,
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
        publish=common.signals.publish,
        now_ms=common.store.clock.now_ms,
        new_span_id=new_span_id,
        on_start=common.tracing.on_run_start,
        listeners=(log_run(), count_run(common.metrics.tally), *common.tracing.on_run_end),
    )


def _engine(common: Process, alarm: Alarm) -> DeliveryEngine:
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
        listeners=(log_attempt(), count_attempt(tally), *common.tracing.on_attempt),
    )


def _sweeper(common: Process, alarm: Alarm) -> Sweeper:
    settings, store = common.settings, common.store
    replays = ReplayFlow(store.replays)
    retention = Retention(store.db, _retention_policy(settings))
    now_ms = store.clock.now_ms

    async def replay() -> bool:
        await replays.step(now_ms())
        return False

    async def settle() -> bool:
        if await store.endpoints.settle_strays(now_ms()):
            common.ringer.ring(DELIVER_QUEUE)
        return False

    async def forget() -> bool:
        return await retention.step(now_ms())

    return Sweeper(
        repairs=store.sweeps,
        alarm=alarm,
        ring=common.ringer.ring,
        publish=common.signals.publish,
        now_ms=now_ms,
        every_seconds=settings.sweep_seconds,
        lease_seconds=settings.lease_seconds,
        is_written=lambda: common.lease.renewed,
        chores=(
            Chore(name="replay", every_seconds=settings.sweep_seconds, step=replay),
            Chore(name="settle", every_seconds=settings.sweep_seconds, step=settle),
            Chore(name="retention", every_seconds=60.0, step=forget),
        ),
    )


def _file_sweeper(common: Process) -> FileSweeper:
    return FileSweeper(
        rows=common.store.file_sweeps,
        store=open_bucket(common.settings.resolved_files_url),
        now_ms=common.store.clock.now_ms,
    )


def _retention_policy(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(
        tasks_ms=days_ms(settings.retention_tasks_days),
        attempts_ms=days_ms(settings.retention_attempts_days),
        dead_letters_ms=days_ms(settings.retention_dead_letters_days),
        audit_ms=days_ms(settings.retention_audit_days),
        replays_ms=days_ms(settings.retention_replays_days),
        idempotency_ms=int(settings.idempotency_hours * 3_600_000),
    )
