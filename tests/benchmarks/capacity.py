"""The part `capacity`: measures one installation on PostgreSQL at two loads and works out what more need.

`--write` puts the tables into docs/explanation/capacity.md, between its two marks.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.end_to_end import submit_batches
from tests.benchmarks.installation import ADMIN_KEY, ask_api, sink, sink_counts, wait_for
from tests.benchmarks.simulate import KINDS, Machine, Model, Need, Seen, learn, need
from tests.benchmarks.single import in_flight, steady
from tests.benchmarks.usage import Usage
from tests.benchmarks.whole import Whole, whole

PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "capacity.md"
RATES: Final = (1_000, 10_000, 100_000)
_TRANSACTIONS: Final = {"api": 1.0, "tasks": 2.0, "deliver": 2.0}
_MARKS: Final = ("<!-- written by make bench -->\n", "<!-- end -->\n")
_CALM_RATE: Final = 100
_CALM_TASKS: Final = 500
_TOLD_SECONDS: Final = 2.5  # processes tell their metrics every 2 s
_FIGURE: Final = re.compile(
    r'^webhookd_store_(commits|commit_seconds)_total\{role="(\w+)"\} (\S+)$', re.MULTILINE
)


def run(console: Console, *, tasks: int, write: bool) -> None:
    """Measure and print; `write`: into the page as well."""
    with whole("postgresql") as subject, sink() as (url, _):
        in_flight(subject, url, tasks=200)
        seen = {
            f"{_CALM_RATE} a second": _seen(subject, lambda: _steadily(subject, url), _CALM_TASKS),
            "32 in flight": _seen(subject, lambda: _singles(subject, url, tasks // 3), tasks // 3),
            "batches of 500": _seen(subject, lambda: _batches(subject, url, tasks), tasks),
        }
    calm, singles, batches = seen.values()
    model = learn(calm, singles, batches, _TRANSACTIONS)
    text = _page(model, [need(model, rate, Machine()) for rate in RATES], seen)
    console.print(Markdown(text))
    if write:
        begin, end = _MARKS
        before, _, rest = PAGE.read_text().partition(begin)
        PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


class _Figures:
    """What an installation has used so far."""

    def __init__(self, subject: Whole) -> None:
        time.sleep(_TOLD_SECONDS)
        answer = httpx.get(
            f"{subject.url}/metrics", headers={"Authorization": f"Bearer {ADMIN_KEY}"}, trust_env=False
        )
        found = {(name, role): float(value) for name, role, value in _FIGURE.findall(answer.text)}
        self.commits = {kind: found["commits", kind] for kind in KINDS}
        self.seconds = {kind: found["commit_seconds", kind] for kind in KINDS}
        assert subject.server is not None
        self.wal = asyncio.run(_wal(subject.server.admin_url))
        self.used: Usage = subject.usage()


def _seen(subject: Whole, load: Callable[[], None], tasks: int) -> Seen:
    before = _Figures(subject)
    load()
    wait_for(lambda: _recorded(subject), 120, "the records")
    after = _Figures(subject)
    commits = {kind: after.commits[kind] - before.commits[kind] for kind in KINDS}
    used = (after.used - before.used).by_role()
    return Seen(
        cpu_us={role: ms / tasks * 1e3 for role, ms in used.items()},
        commits={kind: commits[kind] / tasks for kind in KINDS},
        commit_us={
            kind: (after.seconds[kind] - before.seconds[kind]) / commits[kind] * 1e6 for kind in KINDS
        },
        wal_bytes=(after.wal - before.wal) / tasks,
    )


def _steadily(subject: Whole, url: str) -> None:
    steady(subject, url, rate=_CALM_RATE, seconds=_CALM_TASKS / _CALM_RATE)


def _singles(subject: Whole, url: str, tasks: int) -> None:
    in_flight(subject, url, tasks=tasks)


def _batches(subject: Whole, url: str, tasks: int) -> None:
    already = sink_counts(url)["posts"]
    submit_batches(subject.url, subject.key, url, tasks)
    wait_for(lambda: sink_counts(url)["posts"] - already >= tasks, 300, "the deliveries", every=0.2)


def _recorded(subject: Whole) -> bool:
    return not ask_api(subject.url, subject.key, "/v1/deliveries?state=pending&limit=1")["data"]


async def _wal(url: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(url)
    bytes_written: int = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    await connection.close()
    return int(bytes_written)


def _page(model: Model, needs: list[Need], seen: Mapping[str, Seen]) -> str:
    """Return the tables as Markdown."""
    costs = {"postgresql": model.database, **model.cpu}
    loads = " | ".join(seen)
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, webhookd on PostgreSQL, everything on one machine.",
        "",
        f"| µs of processor time | a transaction | a task in it | a task at {loads} |",
        "|---|---|---|" + "---|" * len(seen),
        *(
            f"| {role} | {cost.fixed:,.0f} | {cost.each:,.0f} "
            f"| {_each(one.cpu_us[role] for one in seen.values())}"
            for role, cost in costs.items()
        ),
        f"| Valkey | | | {_each(one.cpu_us.get('broker', 0.0) for one in seen.values())}",
        "",
        f"| | {loads} |",
        "|---|" + "---|" * len(seen),
        *(
            f"| tasks to a transaction, {kind} "
            f"| {_each(_TRANSACTIONS[kind] / one.commits[kind] for one in seen.values())}"
            for kind in KINDS
        ),
        f"| bytes of PostgreSQL's log a task | {_each(one.wal_bytes for one in seen.values())}",
        "",
        "| tasks a second | " + " | ".join(f"{one.rate:,}" for one in needs) + " |",
        "|---|" + "---|" * len(needs),
        *(f"| {name} | " + " | ".join(show(one) for one in needs) + " |" for name, show in _ROWS),
    ]
    return "\n".join(lines) + "\n"


def _each(figures: Iterable[float]) -> str:
    return "".join(f"{one:,.0f} | " for one in figures).rstrip()


_ROWS: Final[tuple[tuple[str, Callable[[Need], str]], ...]] = (
    ("API processes", lambda one: f"{one.processes['api']:,}"),
    ("task workers, beside what their functions need", lambda one: f"{one.processes['tasks']:,}"),
    ("deliver workers", lambda one: f"{one.processes['deliver']:,}"),
    ("cores that PostgreSQL keeps busy", lambda one: f"{one.database_cores:,.1f}"),
    ("PostgreSQL's log, MB a second", lambda one: f"{one.wal_mb_per_second:,.0f}"),
    (f"PostgreSQL servers of {Machine().cores} cores", lambda one: f"{one.databases:,}"),
    ("cores that Valkey keeps busy", lambda one: f"{one.broker_core:,.2f}"),
    ("queues, and partners, at least", lambda one: f"{one.queues:,}"),
    ("which limit comes first", lambda one: one.first_limit),
    ("waiting for writers adds, p50 / p99 ms", lambda one: f"{one.p50_ms:,.0f} / {one.p99_ms:,.0f}"),
)
