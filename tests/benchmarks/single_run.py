"""The part `single`: measures `up` on each store, and others beside it in turns, and prints the tables."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.benchmarks.installation import Store, sink
from tests.benchmarks.single import (
    IN_FLIGHT,
    Load,
    Measured,
    count_statements,
    disk_bytes,
    in_flight,
    rest,
    steady,
)
from tests.benchmarks.whole import bare, whole

RATES = (20, 100, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure. `beside`: Pythons of other installations; `threads`: print who uses what."""

    stores: tuple[Store, ...]
    rates: tuple[int, ...]
    seconds: float
    flights: int
    beside: tuple[str, ...] = ()
    threads: bool = False
    counts: bool = True


def run(console: Console, plan: Plan) -> None:
    """Measure and print."""
    for store in plan.stores:
        found = _measure(store, plan)
        _print_loads(console, store, found)
        _print_rest(console, store, found[1:])
        if plan.threads:
            for one in found[1:]:
                _print_threads(console, one)


def _measure(store: Store, plan: Plan) -> list[Measured]:
    """Let bare and each installation have every load in turn, all of them up at once."""
    pythons = (sys.executable, *plan.beside)
    found = [Measured(name="bare"), *(Measured(name=_name(one)) for one in pythons)]
    with ExitStack() as stack, sink() as (url, _):
        subjects = [stack.enter_context(bare(url))]
        for python, one in zip(pythons, found[1:], strict=True):
            subject = stack.enter_context(whole(store, python=python, named=plan.threads))
            one.start_seconds = subject.start_seconds
            one.start_cpu_seconds = subject.start_cpu_seconds
            subjects.append(subject)
        for one, subject in zip(found[1:], subjects[1:], strict=True):
            one.rest = rest(subject, plan.seconds)
        for rate in plan.rates:
            for one, subject in zip(found, subjects, strict=True):
                one.loads.append(steady(subject, url, rate=rate, seconds=plan.seconds))
        for one, subject in zip(found, subjects, strict=True):
            if plan.flights:
                size = disk_bytes(subject) if subject.key else 0
                one.loads.append(in_flight(subject, url, tasks=plan.flights))
                one.disk_kb = (disk_bytes(subject) - size) / plan.flights / 1024 if subject.key else 0.0
    if plan.counts:
        for python, one in zip(pythons, found[1:], strict=True):
            with whole(store, python=python, counted=True) as subject, sink() as (url, _):
                one.counted = count_statements(subject, url, rate=plan.rates[0], seconds=4.0)
    return found


def _name(python: str) -> str:
    return "webhookd" if python == sys.executable else python.rpartition("/.venv/")[0].rpartition("/")[2]


def _print_loads(console: Console, store: Store, found: Sequence[Measured]) -> None:
    columns = (
        "tasks",
        "who",
        "tasks/s",
        "CPU ms a task",
        "x bare",
        "switches",
        "p50 ms",
        "p99 ms",
        "by process",
    )
    table = Table(*columns, title=f"one task at a time, {store}")
    for floor, *loads in zip(*(one.loads for one in found), strict=True):
        for one, load in zip(found, (floor, *loads), strict=True):
            table.add_row(
                f"{IN_FLIGHT} in flight" if load.rate is None else f"{load.rate}/s",
                one.name,
                f"{load.per_second:,.0f}",
                f"{load.cpu_ms:.2f}",
                f"{load.cpu_ms / floor.cpu_ms:.1f}",
                f"{load.switches:.0f}",
                f"{load.p50_ms:.1f}",
                f"{load.p99_ms:.1f}",
                _by_role(load),
            )
    console.print(table)


def _by_role(load: Load) -> str:
    return " ".join(f"{role} {ms / load.tasks:.2f}" for role, ms in load.used.by_role().items())


def _print_rest(console: Console, store: Store, found: Sequence[Measured]) -> None:
    columns = (
        "who",
        "start s",
        "CPU s",
        "idle: % of a core",
        "switches/s",
        "statements/s",
        "PSS MB",
        "a task: disk KB",
        "statements",
        "commits",
    )
    table = Table(*columns, title=f"`up` at rest, {store}")
    for one in found:
        assert one.rest is not None
        memory = " ".join(f"{role} {mb:.0f}" for role, mb in one.rest.memory_mb.items())
        counted = one.counted
        table.add_row(
            one.name,
            f"{one.start_seconds:.1f}",
            f"{one.start_cpu_seconds:.1f}",
            f"{one.rest.used.cpu_ms / one.rest.seconds / 10:.2f}",
            f"{one.rest.used.switches.total() / one.rest.seconds:.0f}",
            "" if counted is None else f"{counted.idle_statements:.1f}",
            f"{sum(one.rest.memory_mb.values()):.0f}: {memory}",
            f"{one.disk_kb:.1f}",
            "" if counted is None else f"{counted.statements:.1f}",
            "" if counted is None else f"{counted.commits:.1f}",
        )
    console.print(table)


def _print_threads(console: Console, one: Measured) -> None:
    assert one.rest is not None
    title = f"threads of {one.name}: ms and switches a task"
    table = Table("role", "thread", "idle: ms/s", "switches/s", title=title)
    for load in one.loads:
        table.add_column(f"{IN_FLIGHT} in flight" if load.rate is None else f"{load.rate}/s")
    idle, busiest = one.rest.used, one.loads[0].used.cpu_ns
    places = {place for load in one.loads for place in load.used.cpu_ns} | set(idle.cpu_ns)
    for place in sorted(places, key=lambda place: -busiest[place]):
        table.add_row(
            *place,
            f"{idle.cpu_ns[place] / one.rest.seconds / 1e6:.2f}",
            f"{idle.switches[place] / one.rest.seconds:.0f}",
            *(_of_a_task(load, place) for load in one.loads),
        )
    console.print(table)


def _of_a_task(load: Load, place: tuple[str, str]) -> str:
    ms, switches = load.used.cpu_ns[place] / load.tasks / 1e6, load.used.switches[place] / load.tasks
    return f"{ms:.2f} {switches:.0f}"
