"""The one way to the database: reads on a pool, writes through a group committer.

Store operations are plain functions over a `Tx`. On SQLite they run in one writer thread (and a few
reader threads) on the standard driver; on PostgreSQL the same functions run on asyncpg through
SQLAlchemy's bridge. Nothing else in the project knows which.

Writes are grouped: whatever arrives while one transaction is being committed goes into the next, so
that N concurrent requests share one fsync. A batch that fails is halved until the culprit stands
alone; a batch that lost a deadlock is tried again. What follows from a transaction (`Tx.depths`,
`Tx.wakes`) is done here, for every write alike.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from webhookd.adapters.store.counters import write_depths
from webhookd.adapters.store.drivers import Driver, make_driver, parse_url, shown
from webhookd.adapters.store.drivers.faults import (
    as_ours,
    has_found_a_standby,
    is_environmental,
    is_worth_another_try,
    public_error,
    reason_of,
)
from webhookd.adapters.store.tasks.batch_counts import write_batch_counts
from webhookd.adapters.store.tx import Known, Policy, Tx, Wakes
from webhookd.core.errors import ServiceError, SettingsError, Unavailable

P = ParamSpec("P")
R = TypeVar("R")
Payload = TypeVar("Payload")
Result = TypeVar("Result")
Payload_contra = TypeVar("Payload_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

BATCH_LIMIT = 500
GATHER_SECONDS = 0.002
TRIES = 3
DEADLOCK_PAUSE_SECONDS = 0.02
"""The other one of a deadlock is given time to take what it waited for, or the two would meet again."""
NO_ANSWER = "The database does not answer in time."


class Operation(Protocol[Payload_contra, Result_co]):
    """A batched write: all payloads of one transaction at once, one result each, in order.

    A result that is an Exception is raised to its own caller only; an exception that is raised fails
    the batch, which is then halved.
    """

    def __call__(self, tx: Tx, payloads: Sequence[Payload_contra], /) -> Sequence[Result_co | Exception]:
        """Write and return one result per payload."""
        ...


@dataclass(slots=True)
class _Job:
    operation: Operation[Any, Any]
    payload: Any
    future: asyncio.Future[Any]
    repeatable: bool


@dataclass(slots=True)
class CommitFigures:
    """Totals since start, for metrics."""

    commits: int = 0
    operations: int = 0
    failures: int = 0
    seconds: float = 0.0


class Database:
    """Reads, single writes and grouped writes. Open with `Database.open(url)`; close it on the same loop.

    `patience_seconds` is how long a caller waits for an answer or an outcome (None: as long as it takes);
    a write that takes longer goes on. `write_error` is why writes fail just now, None where they do not.
    `now_ms` is the clock of its transactions.
    """

    def __init__(self, driver: Driver, url: URL, policy: Policy, wake: Callable[[Wakes], None]) -> None:
        self._driver = driver
        self._wake = wake
        self.policy = policy
        self.now_ms: Callable[[], int] = lambda: int(time.time() * 1000)
        self.url = url
        self.dialect = driver.dialect
        self.pooled = driver.pooled
        self.figures = CommitFigures()
        self.patience_seconds: float | None = None
        self.write_error: str | None = None
        self._known = Known()
        self._jobs: list[_Job] = []
        self._arrived = asyncio.Event()
        self._committer: asyncio.Task[None] | None = None
        self._closing = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        policy: Policy = Policy(),  # noqa: B008 - frozen
        wake: Callable[[Wakes], None] = lambda _: None,
        writes_apart: bool = False,
    ) -> "Database":
        """Connect. `wake` is called on the loop after every commit that has somebody to wake: for queues
        at once, for those who watch once it lasts.

        `writes_apart` is for a process whose loop is busy with other things (PostgresDriver). Raises
        SettingsError (naming WEBHOOKD_DATABASE_URL) for a URL that cannot work.
        """
        parsed = parse_url(url)
        try:
            driver = await make_driver(parsed, lease_seconds=policy.lease_seconds, writes_apart=writes_apart)
            database = cls(driver, parsed, policy, wake)
            try:
                await database.read(lambda tx: tx.conn.execute(text("SELECT 1")))
            except ServiceError:
                await database.close()
                raise
        except ServiceError as error:
            raise SettingsError(
                f"WEBHOOKD_DATABASE_URL: cannot open {shown(parsed)}: {reason_of(error)}."
            ) from error
        return database

    async def read(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(tx, *args)` on a reading connection. Raises Unavailable when the database is away."""
        with as_ours():
            reading = self._driver.read(lambda conn: work(self._begin(conn), *args, **kwargs))
            return await (reading if self.patience_seconds is None else self._patiently(reading))

    async def write(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(tx, *args)` in a transaction of its own. For rare writes; hot ones use `grouped`."""

        async def run() -> R:
            try:
                with as_ours():
                    result = await self._tenaciously(lambda tx: work(tx, *args, **kwargs))
            except Unavailable as error:
                self.write_error = error.detail
                raise
            self.write_error = None
            return result

        writing = asyncio.ensure_future(run())
        writing.add_done_callback(_look_away)
        return await self._outcome(writing)

    async def grouped(
        self, operation: Operation[Payload, Result], payload: Payload, *, repeatable: bool = False
    ) -> Result:
        """Write `payload` in the next transaction, together with whatever else waits for it.

        Cancelling the caller never cancels the commit. `repeatable`: nobody outside is told of it, and a loss
        of power that undoes it leaves something to be done once more; it need not wait for the disk.
        """
        if self._closing:
            raise Unavailable("The service is shutting down.", retry_after_seconds=1)
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_forever(), name="committer")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(operation, payload, future, repeatable))
        self._arrived.set()
        return await (future if self.patience_seconds is None else self._outcome(future))

    async def make_last(self) -> None:
        """Return once all that was read here outlasts a loss of power: before somebody goes by it for ever.

        On SQLite others see what is committed a moment before the disk has it. Raises Unavailable.
        """
        with as_ours():
            lasting = self._driver.make_last()
            await (lasting if self.patience_seconds is None else self._patiently(lasting))

    async def close(self) -> None:
        """Commit what waits, then close."""
        self._closing = True
        if self._committer is not None:
            self._arrived.set()
            await self._committer
        await self._driver.close()

    def _begin(self, conn: Connection) -> Tx:
        return Tx(conn, now_ms=self.now_ms(), policy=self.policy, known=self._known)

    async def _tenaciously(self, work: Callable[[Tx], R], *, repeatable: bool = False) -> R:
        """Run `work` in a transaction, with all that follows from it."""

        def run(conn: Connection) -> tuple[R, Tx]:
            tx = self._begin(conn)
            result = work(tx)
            if write_batch_counts(tx):
                tx.flush()  # before the depths, as ends do: writes of one process lock the same rows
            write_depths(tx)
            tx.end()
            return result, tx

        loop = asyncio.get_running_loop()

        def seen(committed: tuple[R, Tx]) -> None:
            """Let others begin while the disk is waited for: whatever they promise waits for it too."""
            queues, committed[1].wakes.queues = committed[1].wakes.queues, set()
            if queues:
                loop.call_soon_threadsafe(self._wake, Wakes(queues=queues))

        for attempt in range(1, TRIES + 1):
            try:
                result, tx = await self._driver.write(run, lasting=not repeatable, seen=seen)
                break
            except DBAPIError as error:
                # Every session of that time was thrown away with it; a new one may take the write.
                stale = attempt == 1 and has_found_a_standby(error)
                if attempt == TRIES or not (stale or is_worth_another_try(error)):
                    raise
            await asyncio.sleep(DEADLOCK_PAUSE_SECONDS)
        if repeatable and tx.told:
            await self._driver.make_last()
        self._known.learn(tx.made)
        if tx.wakes.queues or tx.wakes.tasks:
            self._wake(tx.wakes)
        return result

    async def _patiently(self, reading: Awaitable[R]) -> R:
        try:
            async with asyncio.timeout(self.patience_seconds):
                return await reading
        except TimeoutError as error:
            raise Unavailable(NO_ANSWER, retry_after_seconds=2) from error

    async def _outcome(self, future: asyncio.Future[R]) -> R:
        """Wait for the outcome of a write, which goes on whatever becomes of the caller."""
        if self.patience_seconds is None:
            return await asyncio.shield(future)
        done, _ = await asyncio.wait({future}, timeout=self.patience_seconds)
        if not done:
            self.write_error = NO_ANSWER
            raise Unavailable(NO_ANSWER, retry_after_seconds=2)
        return future.result()

    async def _commit_forever(self) -> None:
        gathered = 0
        while True:
            if not self._jobs:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                # One turn of the loop lets requests that arrived together join the same transaction.
                await asyncio.sleep(0)
            if len(self._jobs) < gathered // 4:
                # In a busy hour the first of many has come; a commit of its own would hold up the others.
                await asyncio.sleep(GATHER_SECONDS)
            jobs, self._jobs = self._jobs[:BATCH_LIMIT], self._jobs[BATCH_LIMIT:]
            gathered = len(jobs)
            if jobs:
                await self._commit(jobs)
                # What the answers lead to (the next claim) joins the next transaction.
                await asyncio.sleep(0)

    async def _commit(self, jobs: list[_Job]) -> None:
        started = asyncio.get_running_loop().time()
        try:
            repeatable = all(job.repeatable for job in jobs)
            results = await self._tenaciously(lambda tx: _run_jobs(tx, jobs), repeatable=repeatable)
        except Exception as error:  # noqa: BLE001 - every failure is handed to the callers it belongs to
            self.figures.failures += 1
            if len(jobs) > 1 and not is_environmental(error):
                middle = len(jobs) // 2
                await self._commit(jobs[:middle])
                await self._commit(jobs[middle:])
            else:
                public = public_error(error)
                if isinstance(public, Unavailable):
                    self.write_error = public.detail
                for job in jobs:
                    _resolve(job.future, public)
            return
        self.write_error = None
        self.figures.commits += 1
        self.figures.operations += len(jobs)
        self.figures.seconds += asyncio.get_running_loop().time() - started
        for job, result in zip(jobs, results, strict=True):
            _resolve(job.future, result)


def _run_jobs(tx: Tx, jobs: Sequence[_Job]) -> list[Any]:
    """Run every job's operation once, with all its payloads, in order of first arrival."""
    groups: dict[Operation[Any, Any], list[int]] = {}
    for index, job in enumerate(jobs):
        groups.setdefault(job.operation, []).append(index)
    results: list[Any] = [None] * len(jobs)
    for operation, indexes in groups.items():
        answers = operation(tx, [jobs[index].payload for index in indexes])
        for index, answer in zip(indexes, answers, strict=True):
            results[index] = answer
    return results


def _resolve(future: asyncio.Future[Any], result: object) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
        # A caller that went away never looks; that is no reason for a warning.
        future.exception()
    else:
        future.set_result(result)


def _look_away(done: asyncio.Future[Any]) -> None:
    """Whoever waited may have gone: that it failed is no reason for a warning."""
    if not done.cancelled():
        done.exception()
