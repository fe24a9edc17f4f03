"""One transaction of the store, and what follows from it.

Every operation of the store is a function over a `Tx`. It notes which tasks moved from what state to what
(`depths`), which queues have new work and which tasks changed (`wakes`). `Database` writes the depths just
before COMMIT and does the wakes just after it, so nobody who calls an operation has to think of either. A
transaction that is tried again begins with a `Tx` of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, overload

from sqlalchemy import Connection

from webhookd.adapters.store import door
from webhookd.adapters.store.statement import Change, Query, RowT
from webhookd.core.model import TaskState
from webhookd.core.records import TaskSignal

_COLUMN_OF: Final = {TaskState.SCHEDULED: 0, TaskState.QUEUED: 1, TaskState.RUNNING: 2}
_FINISHED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the store goes by while it writes. `session_id` names this process."""

    session_id: str = ""
    default_max_attempts: int = 14
    base_url: str = ""
    lane_concurrency: int = 128
    host_rate: float = 500.0
    lease_seconds: float = 15.0
    retry_cap_seconds: float = 43_200.0
    failing_after_ms: int = 3_600_000
    disable_after_ms: int = 432_000_000
    idempotency_keep_ms: int = 86_400_000


class Depths:
    """How many tasks went from one state to another, by queue and partner, and by batch."""

    def __init__(self) -> None:
        self._changes: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._of_batches: defaultdict[str, Counter[TaskState]] = defaultdict(Counter)
        self._moves: Counter[str] = Counter()

    def move(
        self,
        queue: str,
        partner_id: str,
        before: TaskState | None,
        after: TaskState,
        count: int = 1,
        *,
        batch_id: str | None,
    ) -> None:
        """Note `count` tasks (of a batch, or of none) going from `before` (None: new) to `after`."""
        self.move_in_batch(batch_id, before, after, count)
        change = self._changes[queue, partner_id]
        if before is not None:
            change[_COLUMN_OF.get(before, _FINISHED)] -= count
        change[_COLUMN_OF.get(after, _FINISHED)] += count

    def move_in_batch(
        self, batch_id: str | None, before: TaskState | None, after: TaskState, count: int = 1
    ) -> None:
        """Note it for their batch only: where they are by queue and partner was noted before it was known."""
        if batch_id is None:
            return
        self._moves[batch_id] += count
        self._of_batches[batch_id][after] += count
        if before is not None:
            self._of_batches[batch_id][before] -= count

    def take_changes(self) -> list[tuple[str, str, list[int]]]:
        """Return queue, partner and what to add to scheduled, queued, running and finished, in order.

        They are noted no more.
        """
        taken = [(*key, change) for key, change in sorted(self._changes.items()) if any(change)]
        self._changes.clear()
        return taken

    def take_batches(self) -> list[tuple[str, int, dict[TaskState, int]]]:
        """Return batch, number of moves and what to add to each state, in order; they are noted no more."""
        taken = [
            (batch_id, self._moves[batch_id], dict(n)) for batch_id, n in sorted(self._of_batches.items())
        ]
        self._of_batches.clear()
        self._moves.clear()
        return taken


@dataclass(slots=True)
class Wakes:
    """Whom to wake after the COMMIT: queues with new work, and those who watch tasks that changed."""

    queues: set[str] = field(default_factory=set)
    tasks: list[TaskSignal] = field(default_factory=list)

    def ring(self, queue: str) -> None:
        """Note that a queue may have new work."""
        self.queues.add(queue)

    def changed(self, task_id: str, partner_id: str, version: int) -> None:
        """Note that a task has a new version."""
        self.tasks.append(TaskSignal(task_id=task_id, partner_id=partner_id, version=version))


@dataclass(slots=True)
class Known:
    """What this process has seen committed in its database and need not ask for again."""

    queues: set[str] = field(default_factory=set)
    """Queues that have their row; none ever loses it."""

    def learn(self, more: "Known") -> None:
        """Add what a transaction has made, now that it is committed."""
        self.queues |= more.queues


class _Later(NamedTuple):
    """A change that is to be sent. PostgreSQL runs one that `leads` before the others it goes with."""

    sent: door.Bound
    leads: bool


@dataclass(slots=True)
class Tx:
    """One transaction: the way to the database, its time, the store's policy, and what is to follow."""

    conn: Connection
    """For what is no operation of the store: migrations, looking at a server, tests."""
    now_ms: int
    policy: Policy
    depths: Depths = field(default_factory=Depths)
    wakes: Wakes = field(default_factory=Wakes)
    known: Known = field(default_factory=Known)
    made: Known = field(default_factory=Known)
    """What this transaction adds to `known` once it is committed."""
    told: bool = False
    """Somebody outside may hear of this one as soon as it is committed: it has made a message."""
    _later: list[_Later] = field(default_factory=list)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.conn.dialect.name

    @property
    def shard(self) -> str:
        """Which row of the counters this process writes (`counters`)."""
        return "" if self.dialect == "sqlite" else self.policy.session_id

    @overload
    def run(self, statement: Query[RowT], /, **given: Any) -> list[RowT]: ...
    @overload
    def run(self, statement: Change, /, **given: Any) -> int: ...
    def run(self, statement: Query[RowT] | Change, /, **given: Any) -> list[RowT] | int:
        """Send a statement with its parameters; return its rows, or how many rows it changed.

        A parameter that takes many (`rowset.rows`, `rowset.named`) is given any iterable of them.
        """
        self.flush()
        compiled = statement.fitting(self.conn.dialect, given)
        sent = door.bound(self.conn, compiled, given)
        if isinstance(statement, Change):
            return door.change(self.conn, sent)
        return list(map(statement.make, door.rows(self.conn, compiled, sent)))

    def later(self, statement: Change, /, *, name: str = "", leads: bool = False, **given: Any) -> None:
        """Send a change before the next statement, or the COMMIT, at the latest.

        PostgreSQL gets all that are to be sent then in one round trip, so they must need nothing of each
        other: new rows in different tables. What one with a `name` returns, the one that `leads` may read
        under that name: it is run first, and what it reads before it.
        """
        if any((leads and one.leads) or (name and one.sent.name == name) for one in self._later):
            self.flush()
        compiled = statement.fitting(self.conn.dialect, given)
        sent = door.bound(self.conn, compiled, given)
        self._later.append(_Later(sent._replace(name=name), leads))
        if self.dialect == "sqlite":  # there is nothing to be saved
            self.flush()

    def run_with_later(self, statement: Query[RowT], /, **given: Any) -> list[RowT]:
        """Run a query that needs nothing of what is to be sent later, in the same round trip."""
        if any(one.leads for one in self._later):
            self.flush()
        compiled = statement.fitting(self.conn.dialect, given)
        sent = door.together([*self._take_later(), door.bound(self.conn, compiled, given)])
        return list(map(statement.make, door.rows(self.conn, compiled, sent)))

    def flush(self) -> None:
        """Send what was to be sent later."""
        if self._later:
            door.change(self.conn, door.together(self._take_later()))

    def end(self) -> None:
        """Send what is left, just before COMMIT. A transaction of one statement commits with it."""
        if self._later:
            door.change_and_commit(self.conn, door.together(self._take_later()))

    def _take_later(self) -> list[door.Bound]:
        """Return what waits, the one that leads last: that is the statement, the others are its CTEs."""
        waiting, self._later = self._later, []
        return [one.sent for one in sorted(waiting, key=lambda one: one.leads)]

    def first(self, statement: Query[RowT], /, **given: Any) -> RowT | None:
        """Return the first row of a query, None where there is none."""
        found = self.run(statement, **given)
        return found[0] if found else None

    def one(self, statement: Query[RowT], /, **given: Any) -> RowT:
        """Return the row of a query that answers exactly one, as a count does."""
        [found] = self.run(statement, **given)
        return found

    def stream(self, statement: Query[RowT], /, **given: Any) -> Generator[RowT, None, None]:
        """Yield the rows of a query, read a few at a time: for `paging.take_page`, which closes it."""
        self.flush()
        compiled = statement.compiled(self.conn.dialect, given)
        yield from map(statement.make, door.stream(self.conn, compiled, given))
