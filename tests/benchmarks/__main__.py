"""`make bench`: every figure the documentation quotes, with its ratio to a baseline of the same run.

`make bench ARGS=--quick` takes a minute or two, without it the sizes are those of the documentation
(50,000 deliveries, 1,000,000 rows of history). The machine may be busy: read the ratios, not the rates.

While working on what one task costs: `--only single --quick --store sqlite --rate 20 --threads`, and
`--beside ../other/.venv/bin/python` to have another version measured in turns with this one.
"""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.benchmarks import (
    baselines,
    batches,
    capacity,
    crowd,
    disk,
    drain,
    end_to_end,
    fresh,
    isolation,
    pages_at_size,
    sender,
    single_run,
    watchers,
)
from tests.benchmarks.installation import Store, sink

PARTS = (
    "single",
    "disk",
    "capacity",
    "end-to-end",
    "drain",
    "batches",
    "hanging",
    "crowd",
    "sender",
    "isolation",
    "watchers",
    "pages",
    "fresh",
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--full", action="store_true", help="fresh: as many tasks in every row")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), help="one database")
    parser.add_argument("--rate", type=int, action="append", help="single: this many a second, and no others")
    parser.add_argument("--seconds", type=float, help="single: how long each rate is kept up")
    parser.add_argument("--threads", action="store_true", help="single: show what each thread uses")
    parser.add_argument("--beside", action="append", default=[], help="single: the Python of another version")
    parser.add_argument("--write", action="store_true", help="capacity: into docs/explanation/capacity.md")
    chosen = parser.parse_args()
    stores: tuple[Store, ...] = (chosen.store,) if chosen.store else ("sqlite", "postgresql")
    parts = (chosen.only,) if chosen.only else PARTS
    console = Console(width=140)
    _of_up(console, parts, stores, chosen)
    if {"end-to-end", "drain"} & set(parts):
        aiohttp_rate, dramatiq_rate = _baselines(console, quick=chosen.quick)
    if "end-to-end" in parts:
        _end_to_end(console, stores, dramatiq_rate, quick=chosen.quick)
    if "drain" in parts:
        _drain(console, stores, aiohttp_rate, dramatiq_rate, quick=chosen.quick)
    if "batches" in parts:
        _batches(console, stores, quick=chosen.quick)
    if "hanging" in parts:
        _hanging(console, stores)
    if "crowd" in parts:
        _crowd(console, stores, quick=chosen.quick)
    _without_a_store(console, parts, quick=chosen.quick)
    _of_the_api(console, parts, stores, quick=chosen.quick)
    if "fresh" in parts and "postgresql" in stores:
        _fresh(console, quick=chosen.quick, full=chosen.full)


def _of_up(
    console: Console, parts: Sequence[str], stores: tuple[Store, ...], chosen: argparse.Namespace
) -> None:
    if "single" in parts:
        single_run.run(console, _single_plan(chosen, stores))
    if "disk" in parts:
        disk.run(console, stores, quick=chosen.quick)
    if "capacity" in parts and "postgresql" in stores:
        capacity.run(console, tasks=3_000 if chosen.quick else 15_000, write=chosen.write)


def _of_the_api(console: Console, parts: Sequence[str], stores: tuple[Store, ...], *, quick: bool) -> None:
    if "watchers" in parts:
        _watchers(console, stores, quick=quick)
    if "pages" in parts:
        _pages(console, stores, quick=quick)


def _pages(console: Console, stores: tuple[Store, ...], *, quick: bool) -> None:
    tasks = 20_000 if quick else 1_000_000
    for store in stores:
        title = f"pages, {tasks:,} tasks and {3 * tasks:,} attempts on {store}"
        table = Table("page", "median ms", "worst ms", "KB", title=title)
        for seen in pages_at_size.measure(store, tasks=tasks):
            table.add_row(
                seen.path, f"{seen.median_ms:.1f}", f"{seen.worst_ms:.1f}", f"{seen.size / 1000:.0f}"
            )
        console.print(table)


def _single_plan(chosen: argparse.Namespace, stores: tuple[Store, ...]) -> single_run.Plan:
    """A single rate is for a quick look: nothing else is measured then."""
    return single_run.Plan(
        stores=stores,
        rates=tuple(chosen.rate or single_run.RATES),
        seconds=chosen.seconds or (4.0 if chosen.quick else 10.0),
        flights=0 if chosen.rate else 500 if chosen.quick else 5_000,
        beside=tuple(chosen.beside),
        threads=chosen.threads,
        counts=not chosen.rate,
    )


def _baselines(console: Console, *, quick: bool) -> tuple[float, float]:
    """Print them all; return the bare client's and the strongest script's: the one that records."""
    many = 1_500 if quick else 5_000
    rates = {}
    with sink(core=1) as (url, _):
        aiohttp_rate = baselines.aiohttp_rate(url, 10_000 if quick else 40_000, core=0)
        console.print(f"bare aiohttp client loop, nothing recorded: {aiohttp_rate:,.0f} posts/s")
        posts = {"first": 300, "kept": many, "recording": many}
        for script, rate in baselines.dramatiq_rates(url, posts, core=0):
            rates[script] = rate
            console.print(f"plain Dramatiq, {baselines.DRAMATIQ[script]}: {rate:,.0f} tasks/s")
    return aiohttp_rate, rates["recording"]


def _end_to_end(console: Console, stores: tuple[Store, ...], dramatiq_rate: float, *, quick: bool) -> None:
    table = Table(
        "store", "tasks/s", "x Dramatiq", "accepts/s", "p50 ms", "p99 ms", "CPU µs a task", title="end to end"
    )
    for store in stores:
        seen = end_to_end.measure(
            store,
            tasks=3_000 if quick else 10_000,
            accepts=3_000 if quick else 10_000,
            samples=50 if quick else 200,
        )
        table.add_row(
            store,
            f"{seen.tasks_per_second:,.0f}",
            f"{seen.tasks_per_second / dramatiq_rate:.2f}",
            f"{seen.accepts_per_second:,.0f}",
            f"{seen.p50_ms:.1f}",
            f"{seen.p99_ms:.1f}",
            " ".join(f"{name} {used:.0f}" for name, used in seen.cpu_us.items()),
        )
    console.print(table)


def _batches(console: Console, stores: tuple[Store, ...], *, quick: bool) -> None:
    title = "ends in a batch beside ends without"
    table = Table("store", "ends a round", "ends/s", "in a batch", "ratio", "its quartiles", title=title)
    for store in stores:
        seen = batches.measure(store, tasks=400 if quick else 1_000, pairs=4 if quick else 24)
        table.add_row(
            store,
            f"{seen.tasks:,}",
            f"{seen.alone_per_second:,.0f}",
            f"{seen.in_batch_per_second:,.0f}",
            f"{seen.ratios[1]:.2f}",
            f"{seen.ratios[0]:.2f} to {seen.ratios[2]:.2f}",
        )
    console.print(table)


def _drain(
    console: Console, stores: tuple[Store, ...], aiohttp_rate: float, dramatiq_rate: float, *, quick: bool
) -> None:
    table = Table(
        "store",
        "endpoints",
        "history",
        "recorded/s",
        "of aiohttp",
        "x Dramatiq",
        "CPU µs",
        "MiB",
        title="drain",
    )
    count = 10_000 if quick else 50_000
    for store in stores:
        for lanes, history in ((1, 0), (1_000, 0), (1_000, 50_000 if quick else 1_000_000)):
            seen = drain.drain(store, lanes=lanes, count=count, history=history)
            table.add_row(
                store,
                f"{lanes:,}",
                f"{history:,}",
                f"{seen.per_second:,.0f}",
                f"{seen.per_second / aiohttp_rate:.2f}",
                f"{seen.per_second / dramatiq_rate:.1f}",
                f"{seen.cpu_us:.0f}",
                f"{seen.memory_mb:.0f}",
            )
    console.print(table)


def _hanging(console: Console, stores: tuple[Store, ...]) -> None:
    table = Table(
        "store", "hanging of 200", "healthy p50 ms", "healthy p99 ms", title="beside hanging endpoints"
    )
    for store in stores:
        for hanging in (0, 60):
            seen = drain.beside_hanging(store, lanes=200, hanging=hanging, rounds=20)
            table.add_row(store, f"{hanging}", f"{seen.p50_ms:.0f}", f"{seen.p99_ms:.0f}")
    console.print(table)


def _crowd(console: Console, stores: tuple[Store, ...], *, quick: bool) -> None:
    columns = ("store", "queued by one", "all depths ms", "another's task: median ms", "worst ms")
    table = Table(*columns, title="beside a crowd")
    for store in stores:
        for queued in (1_000, 20_000) if quick else (10_000, 100_000, 1_000_000):
            seen = crowd.behind_a_crowd(store, queued=queued)
            table.add_row(
                store,
                f"{queued:,}",
                f"{seen.depths_ms:.2f}",
                f"{seen.median_ms:.0f}",
                f"{seen.worst_ms:.0f}",
            )
    console.print(table)


def _sender(console: Console) -> None:
    table = Table(
        "who posts", "posts/s", "CPU µs", "of aiohttp", title="the guarded sender alone, nothing stored"
    )
    seen = sender.compared()
    for name, (rate, cpu_us) in seen.items():
        table.add_row(name, f"{rate:,.0f}", f"{cpu_us:.0f}", f"{rate / seen['bare aiohttp'][0]:.2f}")
    console.print(table)


def _without_a_store(console: Console, parts: Sequence[str], *, quick: bool) -> None:
    if "sender" in parts:
        _sender(console)
    if "isolation" in parts:
        _isolation(console, quick=quick)


def _isolation(console: Console, *, quick: bool) -> None:
    seen = isolation.measure(runs=200 if quick else 2_000, pictures=60 if quick else 400)
    table = Table("a run", "ms", title="isolation")
    table.add_row("in a thread", f"{seen.thread_ms:.2f}")
    table.add_row("in a warm child", f"{seen.child_ms:.2f}")
    table.add_row("the first, which starts a child", f"{seen.cold_ms:.0f}")
    console.print(table)
    alone = seen.thumbnails[1]
    table = Table("children", "image.thumbnail/s", "x one", title="isolation: cores")
    for children, rate in seen.thumbnails.items():
        table.add_row(f"{children}", f"{rate:,.1f}", f"{rate / alone:.2f}")
    console.print(table)


def _watchers(console: Console, stores: tuple[Store, ...], *, quick: bool) -> None:
    columns = (
        "store",
        "watchers",
        "kind",
        "KB each",
        "idle core",
        "µs to let in",
        "µs to tell",
        "half ms",
        "all ms",
    )
    table = Table(*columns, title="watching one change, on one API process")
    for store in stores:
        for kind in ("long poll", "websocket"):
            seen = watchers.watch(store, kind, 1_000 if quick else 10_000)
            table.add_row(
                store,
                f"{seen.watchers:,}",
                kind,
                f"{seen.kb_each:.1f}",
                f"{seen.idle_cpu:.1%}",
                f"{seen.begin_us_each:.0f}",
                f"{seen.tell_us_each:.0f}",
                f"{seen.median_ms:,.0f}",
                f"{seen.last_ms:,.0f}",
            )
    console.print(table)


def _fresh(console: Console, *, quick: bool, full: bool) -> None:
    """Without `full`, what plans as it likes gets few tasks: each costs it more than the one before."""
    columns = ("plans", "restored", "tasks", "tasks/s", "p50 ms", "p99 ms", "seq scans", "rows read by them")
    table = Table(*columns, title="PostgreSQL without statistics, autovacuum off")
    many = ((0, 5_000), (50_000, 2_000)) if quick else ((0, 50_000), (1_000_000, 5_000))
    for restored, tasks in many:
        few = tasks if full else tasks // 20
        loads = [
            fresh.Load(by_index=False, tasks=few),
            fresh.Load(by_index=True, tasks=few),
            *([] if full else [fresh.Load(by_index=True, tasks=tasks)]),
        ]
        # Where many rows are restored, what one load adds is nothing to the next.
        for some in [loads] if restored else [[load] for load in loads]:
            for seen in fresh.measure(some, restored=restored):
                row = (
                    "by index" if seen.load.by_index else "as it likes",
                    f"{restored:,}",
                    f"{seen.load.tasks:,}",
                    f"{seen.tasks_per_second:,.0f}",
                    f"{seen.p50_ms:,.0f}",
                    f"{seen.p99_ms:,.0f}",
                    f"{seen.scans:,}",
                    f"{seen.scanned_rows:,}",
                )
                console.print(*row, sep=" | ")
                table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
