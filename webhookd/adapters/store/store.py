"""The store as the rest of the project sees it: one object, one attribute per noun.

Each noun's class only says which function runs how (read, own transaction, grouped); the functions
themselves are in the modules beside this one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from webhookd.adapters.store import counters
from webhookd.adapters.store.access.api_keys import Keys
from webhookd.adapters.store.access.idempotency import Idempotency
from webhookd.adapters.store.access.partners import Partners
from webhookd.adapters.store.access.sealed import sealed_key_ids
from webhookd.adapters.store.clock import StoreClock
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.deliveries.changes import Changes
from webhookd.adapters.store.deliveries.replay_steps import Replays
from webhookd.adapters.store.endpoints.endpoints import Endpoints
from webhookd.adapters.store.files.file_sweeps import FileSweeps
from webhookd.adapters.store.files.files import Files
from webhookd.adapters.store.lanes.claims import LaneClaims
from webhookd.adapters.store.lanes.records import hand_back, record_attempts
from webhookd.adapters.store.tasks import batch_moves, claims, ends, progress, submit, tasks
from webhookd.adapters.store.tasks.submit import ensure_queues
from webhookd.adapters.store.traces import Traces
from webhookd.adapters.store.tx import Policy, Wakes
from webhookd.adapters.store.upkeep import rescue, sessions, sweeps
from webhookd.adapters.store.upkeep.held import held_deliveries, held_tasks
from webhookd.adapters.store.upkeep.sweeps import Waiting
from webhookd.adapters.vault import Vault
from webhookd.core.dispatch import AttemptDone, AttemptRecorded, ClaimDeliveries, DueDelivery, Handed, Turn
from webhookd.core.execution import Claim, ClaimTasks, Progress, Recorded, TaskEnd
from webhookd.core.listing import TaskFilter
from webhookd.core.records import ClaimedTask, Page, QueueDepth, Run, Task
from webhookd.core.submission import Accepted, Submission


class TaskStore:
    """Tasks: taking in, claiming, ending, reading, cancelling, replaying."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def submit(self, submission: Submission) -> Accepted:
        """Write a submission. Raises IdempotencyMismatch, Unavailable."""
        return await self._db.grouped(submit.accept, submission)

    async def claim(self, request: ClaimTasks) -> Claim:
        """Claim tasks for free slots."""
        return await self._db.grouped(claims.claim, request, repeatable=True)

    async def held(self, session_id: str) -> list[ClaimedTask]:
        """Return what this process holds, whether or not it knows."""
        return await self._db.read(held_tasks, session_id)

    async def record(self, end: TaskEnd) -> Recorded:
        """Write the end of a try."""
        return await self._db.grouped(ends.record, end)

    async def progress(self, report: Progress) -> bool:
        """Write progress. False: the task was taken away."""
        return await self._db.grouped(progress.progress, report)

    async def get(self, task_id: str, partner_id: str | None) -> Task | None:
        """Return a task, or None where it is unknown or another partner's."""
        return await self._db.read(tasks.get_task, task_id, partner_id)

    async def get_many(self, task_ids: Iterable[str]) -> list[Task]:
        """Return tasks in the order of the ids; unknown ones are left out."""
        return await self._db.read(tasks.get_tasks, task_ids)

    async def page(
        self, partner_id: str | None, wanted: TaskFilter, page: Page
    ) -> tuple[list[Task], str | None]:
        """Return a page, newest first, and the next cursor."""
        return await self._db.read(tasks.list_tasks, partner_id, wanted, page)

    async def runs(self, task_id: str) -> list[Run]:
        """Return the finished tries of a task."""
        return await self._db.read(tasks.list_runs, task_id)

    async def versions(self, task_ids: Iterable[str]) -> dict[str, int]:
        """Return the present versions of the tasks that exist."""
        return await self._db.read(tasks.versions, task_ids)

    async def cancel_requests(self, session_id: str) -> list[str]:
        """Return the tasks of this process that are to stop."""
        return await self._db.read(tasks.cancel_requests, session_id)


class LaneStore:
    """Deliveries on their way: turns and outcomes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._claim = LaneClaims().claim

    async def claim(self, request: ClaimDeliveries) -> Turn:
        """Claim due deliveries for free sockets."""
        return await self._db.grouped(self._claim, request)

    async def held(self, session_id: str, now_ms: int) -> list[DueDelivery]:
        """Return what this process holds and may send, whether or not it knows."""
        return await self._db.read(held_deliveries, session_id, now_ms)

    async def record(self, done: AttemptDone) -> AttemptRecorded:
        """Write what came of an attempt."""
        return await self._db.grouped(record_attempts, done)

    async def hand_back(self, handed: Handed) -> bool:
        """Give back an unsent delivery."""
        return await self._db.grouped(hand_back, handed)


class QueueStore:
    """Queues: depths, pausing, resuming."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def depths(self) -> list[QueueDepth]:
        """Return every queue's figures."""
        return await self._db.read(counters.read_depths)

    async def partner_queued(self) -> dict[str, int]:
        """Return how many tasks of each partner wait."""
        return await self._db.read(counters.read_partner_queued)

    async def ensure(self, names: Sequence[str]) -> None:
        """Make sure these queues are there, to be listed and paused before their first task."""
        await self._db.write(ensure_queues, names)

    async def set_paused(self, name: str, paused_ms: int | None) -> bool:
        """Pause (a time) or resume (None) a queue. False: there is no such queue."""
        return await self._db.write(counters.set_paused, name, paused_ms)


class SessionStore:
    """This and other processes' sessions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def begin(self, **session: Any) -> None:
        """Write a new session; the arguments are those of `sessions.begin_session`."""
        await self._db.write(sessions.begin_session, **session)

    async def renew(self, session_id: str, lease_until_ms: int) -> bool:
        """Prolong the lease. False: it had run out."""
        return await self._db.write(sessions.renew_session, session_id, lease_until_ms)

    async def end(self, session_id: str, *, overran_ms: int | None = None) -> None:
        """Let the lease run out at once. `overran_ms` as in `sessions.end_session`."""
        await self._db.write(sessions.end_session, session_id, overran_ms=overran_ms)

    async def live(self, now_ms: int) -> list[dict[str, Any]]:
        """Return every process with a running lease."""
        return await self._db.read(sessions.live_sessions, now_ms)


class SweepStore:
    """Repairs. Each tells whether there may be more of the same to do."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def rescue(self, now_ms: int) -> bool:
        """Take back what one ended process held."""
        return await self._db.write(rescue.rescue, now_ms)

    async def fall_due(self, now_ms: int) -> bool:
        """Queue scheduled tasks whose time has come."""
        return await self._db.write(sweeps.fall_due, now_ms)

    async def expire(self, now_ms: int) -> bool:
        """End tasks that did not start in time."""
        return await self._db.write(sweeps.expire, now_ms)

    async def overdue(self, now_ms: int) -> None:
        """Take back what its process has lost sight of."""
        await self._db.write(rescue.rescue_overdue, now_ms)

    async def heal(self, now_ms: int) -> None:
        """Heal counters."""
        await self._db.write(sweeps.heal, now_ms)

    async def cancel_batches(self) -> bool:
        """Go on with the batches that are to be cancelled. True: there is more to do at once."""
        batch_id = await self._db.read(batch_moves.batch_to_cancel, "")
        while batch_id is not None:
            if await self._db.write(batch_moves.cancel_some, batch_id):
                return True
            batch_id = await self._db.read(batch_moves.batch_to_cancel, batch_id)
        return False

    async def waiting(self) -> Waiting:
        """Read what waits."""
        return await self._db.read(sweeps.waiting)


class Store:
    """Everything on one database. `Store.open` connects; `close` commits what waits and disconnects.

    `read`, `write` and `grouped` are the database's: `await store.write(cancel_task, task_id, partner_id)`.
    """

    def __init__(self, db: Database, vault: Vault) -> None:
        self.db = db
        self.clock = StoreClock(db)
        db.now_ms = self.clock.now_ms
        self.read, self.write, self.grouped = db.read, db.write, db.grouped
        options = db.policy
        self.tasks = TaskStore(db)
        self.lanes = LaneStore(db)
        self.endpoints = Endpoints(db)
        self.replays = Replays(db)
        self.changes = Changes(db)
        self.traces = Traces(db)
        self.partners = Partners(db)
        self.keys = Keys(db)
        self.files = Files(db)
        self.file_sweeps = FileSweeps(db)
        self.idempotency = Idempotency(db, vault, keep_ms=options.idempotency_keep_ms)
        self.queues = QueueStore(db)
        self.sessions = SessionStore(db)
        self.sweeps = SweepStore(db)

    @classmethod
    async def open(
        cls,
        url: str,
        vault: Vault,
        policy: Policy,
        *,
        wake: Callable[[Wakes], None] = lambda _: None,
        writes_apart: bool = False,
    ) -> "Store":
        """Connect, as `Database.open` does. Raises SettingsError naming WEBHOOKD_DATABASE_URL."""
        return cls(await Database.open(url, policy=policy, wake=wake, writes_apart=writes_apart), vault)

    async def keys_in_use(self) -> set[str]:
        """Return the ids of the encryption keys that something in this database needs."""
        since_ms = self.clock.now_ms() - self.db.policy.idempotency_keep_ms
        return await self.db.read(sealed_key_ids, answers_since_ms=since_ms)

    async def close(self) -> None:
        """Commit what waits, then disconnect."""
        await self.db.close()
