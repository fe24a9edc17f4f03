"""The store as the rest of the project sees it: one object, one attribute per noun.

Each noun's class only says which function runs how; the functions are in the modules beside this one.
"""

from collections.abc import Callable

from webhookd.adapters.store import counters
from webhookd.adapters.store.access.api_keys import read_credential, read_keys
from webhookd.adapters.store.access.idempotency import Idempotency
from webhookd.adapters.store.access.partners import find_partner, read_partner, read_partners
from webhookd.adapters.store.access.sealed import sealed_key_ids
from webhookd.adapters.store.clock import StoreClock
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.deliveries.changes import read_announced, read_positions
from webhookd.adapters.store.deliveries.replay_steps import advance_replay
from webhookd.adapters.store.deliveries.replays import running_replays
from webhookd.adapters.store.endpoints.endpoints import EndpointStore
from webhookd.adapters.store.files import files
from webhookd.adapters.store.files.file_rows import read_usage
from webhookd.adapters.store.files.file_sweeps import drop_late_files, named_keys
from webhookd.adapters.store.lanes.claims import LaneClaims
from webhookd.adapters.store.lanes.records import hand_back, record_attempts
from webhookd.adapters.store.noun import Noun, groups, reads, writes
from webhookd.adapters.store.tasks import batch_moves, claims, ends, progress, submit, tasks
from webhookd.adapters.store.tasks.submit import ensure_queues
from webhookd.adapters.store.tasks.task_listings import list_tasks
from webhookd.adapters.store.traces import read_history, read_trace
from webhookd.adapters.store.tx import Policy, Wakes
from webhookd.adapters.store.upkeep import rescue, sessions, sweeps
from webhookd.adapters.store.upkeep.held import held_deliveries, held_tasks
from webhookd.adapters.store.upkeep.rescue import rescue_overdue
from webhookd.adapters.vault import Vault
from webhookd.core.dispatch import ClaimDeliveries, Turn


class TaskStore(Noun):
    """Tasks: taking in, claiming, ending, reading."""

    submit = groups(submit.accept)
    claim = groups(claims.claim, repeatable=True)
    held = reads(held_tasks)
    record = groups(ends.record)
    progress = groups(progress.progress)
    get = reads(tasks.get_task)
    get_many = reads(tasks.get_tasks)
    page = reads(list_tasks)
    runs = reads(tasks.list_runs)
    versions = reads(tasks.versions)
    cancel_requests = reads(tasks.cancel_requests)


class LaneStore(Noun):
    """Deliveries on their way: turns and outcomes."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._claim = LaneClaims().claim

    async def claim(self, request: ClaimDeliveries) -> Turn:
        """Claim due deliveries for free sockets; what this process knows of partners' turns goes along."""
        return await self.db.grouped(self._claim, request)

    held = reads(held_deliveries)
    record = groups(record_attempts)
    hand_back = groups(hand_back)


class ReplayStore(Noun):
    """Replays and discards under way, as the replay flow works them off."""

    running = reads(running_replays)
    advance = writes(advance_replay)


class ChangeStore(Noun):
    """What watchers read: without bodies, cheap enough for once a second."""

    positions = reads(read_positions)
    announced = reads(read_announced)


class TraceStore(Noun):
    """What happened under one id."""

    of_task = reads(read_history)
    find = reads(read_trace)


class PartnerStore(Noun):
    """Reading partners; they are changed in the transaction of the request."""

    get = reads(read_partner)
    find = reads(find_partner)
    list = reads(read_partners)


class KeyStore(Noun):
    """Reading keys; they are changed in the transaction of the request."""

    find = reads(read_credential)
    list = reads(read_keys)


class FileStore(Noun):
    """The rows of files."""

    get = reads(files.get_file)
    get_many = reads(files.get_files)
    page = reads(files.list_files)
    usage = reads(read_usage)
    add = writes(files.add_file)
    finish = writes(files.finish_upload)
    delete = writes(files.delete_file)
    drop_late = writes(drop_late_files)
    named = reads(named_keys)


class QueueStore(Noun):
    """Queues: depths, pausing, resuming."""

    depths = reads(counters.read_depths)
    partner_queued = reads(counters.read_partner_queued)
    ensure = writes(ensure_queues)
    set_paused = writes(counters.set_paused)


class SessionStore(Noun):
    """This and other processes' sessions."""

    begin = writes(sessions.begin_session)
    renew = writes(sessions.renew_session)
    end = writes(sessions.end_session)
    live = reads(sessions.live_sessions)


class SweepStore(Noun):
    """Repairs. Each tells whether there may be more of the same to do."""

    rescue = writes(rescue.rescue)
    fall_due = writes(sweeps.fall_due)
    expire = writes(sweeps.expire)
    overdue = writes(rescue_overdue)
    heal = writes(sweeps.heal)
    waiting = reads(sweeps.waiting)

    async def cancel_batches(self) -> bool:
        """Go on with the batches that are to be cancelled. True: there is more to do at once."""
        batch_id = await self.db.read(batch_moves.batch_to_cancel, "")
        while batch_id is not None:
            if await self.db.write(batch_moves.cancel_some, batch_id):
                return True
            batch_id = await self.db.read(batch_moves.batch_to_cancel, batch_id)
        return False


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
        self.endpoints = EndpointStore(db)
        self.replays = ReplayStore(db)
        self.changes = ChangeStore(db)
        self.traces = TraceStore(db)
        self.partners = PartnerStore(db)
        self.keys = KeyStore(db)
        self.files = FileStore(db)
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
