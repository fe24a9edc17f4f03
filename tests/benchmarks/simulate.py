"""What so many tasks a second would need, worked out from what a run measured. No process is started here.

Two things are modelled, and no more. *Cost*: a process, and PostgreSQL, use so much for each transaction
and so much for each task in it; two measured loads, one with few tasks to a transaction and one with many,
give both. The calm one pays for cold caches, so a transaction is rather too dear here. *Waiting*: a process
has one writer, which takes whatever waits into its next transaction; that takes as long as in the calm, and
the processor time of each task in it. Poisson arrivals go through the writers of the three kinds of
processes, one after the other, event by event.
Not in it: the tasks' own work, receivers that are slow, the network, caches that a larger load keeps warm.
"""

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Final

KINDS: Final = ("api", "tasks", "deliver")
BUSY_MOST: Final = 0.7
"""A core, or a writer, is not planned to be busier: what comes in bursts needs the rest."""
BATCH_MOST: Final = 500
_SAMPLE: Final = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One measured load: processor time a task by role; commits a task, and how long each took."""

    cpu_us: Mapping[str, float]
    commits: Mapping[str, float]
    commit_us: Mapping[str, float]
    wal_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds for a transaction, and for each task in it."""

    fixed: float
    each: float

    def of(self, tasks: float) -> float:
        """Return what so many tasks in one transaction cost."""
        return self.fixed + self.each * tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What was learnt. By kind of process: its processor time, how long a transaction takes, and how many a
    group of tasks needs. Of PostgreSQL: its processor time. `broker_us` and `wal_bytes` are a task's."""

    cpu: Mapping[str, Cost]
    wall: Mapping[str, Cost]
    transactions: Mapping[str, float]
    database: Cost
    broker_us: float
    wal_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one PostgreSQL server has; figures to be replaced by one's own."""

    cores: int = 32
    wal_mb_per_second: float = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a rate needs, and the milliseconds that waiting for writers adds."""

    rate: int
    processes: Mapping[str, int]
    batch: Mapping[str, float]
    database_cores: float
    wal_mb_per_second: float
    broker_core: float
    databases: int
    queues: int
    partners: int
    first_limit: str
    p50_ms: float
    p99_ms: float


def learn(calm: Seen, singles: Seen, batches: Seen, transactions: Mapping[str, float]) -> Model:
    """Work the costs out of three loads: a calm one with small transactions, single submissions, batches.

    `transactions`: how many a task alone needs, by kind of process.
    """
    database = solved(
        sum(calm.commits.values()),
        calm.cpu_us["postgresql"],
        sum(batches.commits.values()),
        batches.cpu_us["postgresql"],
    )
    cpu = {
        kind: solved(calm.commits[kind], calm.cpu_us[kind], batches.commits[kind], batches.cpu_us[kind])
        for kind in KINDS
    }
    # A task is a request here, and its price is that of the request, whoever shares its transaction.
    cpu["api"] = Cost(fixed=0.0, each=singles.cpu_us["api"])
    part = database.each / sum(transactions.values())
    return Model(
        cpu=cpu,
        wall={
            kind: Cost(fixed=calm.commit_us[kind], each=cpu[kind].each / transactions[kind] + part)
            for kind in KINDS
        },
        transactions=transactions,
        database=database,
        broker_us=singles.cpu_us.get("broker", 0.0),
        wal_bytes=singles.wal_bytes,
    )


def solved(few_commits: float, few_us: float, many_commits: float, many_us: float) -> Cost:
    """Return the cost of a transaction and of a task from two loads: us = fixed x commits + each, a task."""
    fixed = max(0.0, (few_us - many_us) / (few_commits - many_commits)) if few_commits > many_commits else 0.0
    fixed = min(fixed, many_us / many_commits)
    return Cost(fixed=fixed, each=many_us - fixed * many_commits)


def need(model: Model, rate: int, machine: Machine) -> Need:
    """Work out what a rate needs."""
    processes = {kind: _processes(model, kind, rate) for kind in KINDS}
    waits, batches = _through(model, rate, processes)
    commits = sum(rate / batches[kind] * model.transactions[kind] for kind in KINDS)
    cores = (rate * model.database.each + commits * model.database.fixed) / 1e6
    wal = rate * model.wal_bytes / 1e6
    broker = rate * model.broker_us / 1e6
    line = _line(model.wall["tasks"])
    shares = {
        "PostgreSQL's processors": cores / (machine.cores * BUSY_MOST),
        "PostgreSQL's log": wal / machine.wal_mb_per_second,
        "Valkey's one core": broker / BUSY_MOST,
        "one queue's line, and one partner's feed": rate / line,
    }
    databases = max(1, ceil(max(shares["PostgreSQL's processors"], shares["PostgreSQL's log"])))
    lines = max(1, ceil(rate / line))
    return Need(
        rate=rate,
        processes=processes,
        batch=batches,
        database_cores=cores,
        wal_mb_per_second=wal,
        broker_core=broker,
        databases=databases,
        queues=lines,
        partners=lines,
        first_limit=max(shares, key=lambda name: shares[name]),
        p50_ms=waits[len(waits) // 2] * 1e3,
        p99_ms=waits[int(len(waits) * 0.99)] * 1e3,
    )


def _line(wall: Cost) -> float:
    """Return the tasks a second that pass where one transaction waits for the one before: full batches."""
    return BUSY_MOST * BATCH_MOST / wall.of(BATCH_MOST) * 1e6


def _processes(model: Model, kind: str, rate: int) -> int:
    """Return the fewest processes whose core and whose writer are no busier than BUSY_MOST."""
    for processes in count(1):
        each = rate / processes
        batch = _batch(model, kind, each)
        transactions = each / batch * model.transactions[kind]
        core = (transactions * model.cpu[kind].fixed + each * model.cpu[kind].each) / 1e6
        writer = transactions * model.wall[kind].of(batch) / 1e6
        # A writer is busy at any rate, since it takes what waits; what counts is that its batches have room.
        if core <= BUSY_MOST and (batch <= BUSY_MOST * BATCH_MOST or writer <= BUSY_MOST):
            return processes
    raise AssertionError("count has no end")


def _batch(model: Model, kind: str, rate: float) -> float:
    """Return how many tasks a transaction has where each takes what came during the one before."""
    taken, wall = model.transactions[kind], model.wall[kind]
    share = rate * taken * wall.each / 1e6
    waiting = rate * taken * wall.fixed / 1e6
    return float(BATCH_MOST) if share >= 1 else min(BATCH_MOST, max(1.0, waiting / (1 - share)))


def _through(model: Model, rate: int, processes: Mapping[str, int]) -> tuple[list[float], dict[str, float]]:
    """Send arrivals through every kind of process; return the waits in order, and the sizes of batches."""
    chance = random.Random(rate)
    at = 0.0
    flow: list[tuple[float, float]] = []
    for _ in range(_SAMPLE):
        at += chance.expovariate(rate)
        flow.append((at, at))
    batches = {}
    for kind in KINDS:
        shares: list[list[tuple[float, float]]] = [[] for _ in range(processes[kind])]
        for one in flow:
            chance.choice(shares).append(one)
        written = [write(share, model.wall[kind], model.transactions[kind]) for share in shares if share]
        batches[kind] = sum(map(len, shares)) / max(1, sum(groups for _, groups in written))
        flow = sorted(one for ended, _ in written for one in ended)
    return sorted(ended - began for ended, began in flow), batches


def write(
    arrivals: Sequence[tuple[float, float]], wall: Cost, transactions: float
) -> tuple[list[tuple[float, float]], int]:
    """Be one writer: take what waits, `transactions` for each group. Arrivals are (now, first arrival).

    Return them with the time at which their group was through, and how many groups there were.
    """
    times = [at for at, _ in arrivals]
    ended: list[tuple[float, float]] = []
    free_at, first, groups = 0.0, 0, 0
    while first < len(arrivals):
        begins = max(free_at, times[first])
        last = min(bisect_right(times, begins, lo=first), first + BATCH_MOST)
        free_at = begins + transactions * wall.of(last - first) / 1e6
        ended += [(free_at, began) for _, began in arrivals[first:last]]
        first, groups = last, groups + 1
    return ended, groups
