"""What is written of a run's progress, and how much of that is announced."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

from tests.support.records import a_claimed_task
from tests.support.services import until
from webhookd.core.execution import Progress
from webhookd.flows.alarm import Alarm
from webhookd.flows.execute.run import ActiveRun
from webhookd.flows.execute.run_writer import ANNOUNCED_EVERY_SECONDS, RunWriter


@dataclass
class Store:
    """Takes progress, and notes when."""

    reports: list[Progress] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def announced(self) -> list[Progress]:
        return [report for report in self.reports if report.announced]

    async def progress(self, report: Progress) -> bool:
        self.reports.append(report)
        if report.announced:
            self.times.append(asyncio.get_running_loop().time())
        return True


def a_writer(store: Store) -> RunWriter:
    return RunWriter(
        tasks=cast("Any", store),
        lease=cast("Any", None),
        alarm=Alarm(lambda _: None, lambda: 1_000),
        now_ms=lambda: 1_000,
        listeners=(),
    )


def a_run(work: asyncio.Task[None]) -> ActiveRun:
    return ActiveRun(
        task=a_claimed_task(),
        session_id="ses_1",
        host="host",
        pid=1,
        started_ms=0,
        deadline=0.0,
        work=work,
    )


async def written(store: Store, percent: float) -> None:
    await until(lambda: any(one.percent == percent for one in store.reports), what=f"{percent} % written")


async def test_progress_is_announced_now_and_then_and_the_newest_report_always() -> None:
    store, done = Store(), asyncio.Event()
    writer = a_writer(store)
    work = asyncio.create_task(_until_set(done))
    run = a_run(work)

    for number in range(5):
        writer.progress(run, float(number), "at it")
        await written(store, float(number))

    assert len(store.reports) >= 5, "each is written, for those who watch"
    await until(lambda: store.announced[-1].percent == 4.0, what="the newest announced")
    gaps = [later - sooner for sooner, later in pairwise(store.times)]
    assert gaps
    assert min(gaps) >= ANNOUNCED_EVERY_SECONDS * 0.9
    done.set()
    await work


async def test_a_run_that_is_over_announces_no_progress_later() -> None:
    store, done = Store(), asyncio.Event()
    writer = a_writer(store)
    work = asyncio.create_task(_until_set(done))
    run = a_run(work)
    for percent in (1.0, 2.0):
        writer.progress(run, percent, None)
        await written(store, percent)
    before = len(store.announced)
    waits = run.announcement is not None

    done.set()
    await work

    await until(lambda: run.announcement is None, what="no announcement waiting")
    assert len(store.announced) == before or not waits


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()
