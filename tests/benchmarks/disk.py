"""What one task leaves on disk, by table and index: how they grow between two sizes, a task between them.

So what an empty installation takes is in no figure. The tasks are those of the part `single`, a few in
flight. On PostgreSQL rows that updates have left behind count, as far as no vacuum has made room of them.
"""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.benchmarks.installation import Store, sink
from tests.benchmarks.single import in_flight
from tests.benchmarks.whole import Whole, whole

_SIZES = """
SELECT c.relname, COALESCE(i.indrelid::regclass::text, c.relname) AS of,
    pg_relation_size(c.oid) + COALESCE(pg_relation_size(NULLIF(c.reltoastrelid, 0)), 0) AS size
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A table or an index of it, and its bytes a task."""

    table: str
    name: str
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What a task leaves. `log`: bytes of PostgreSQL's log a task."""

    kept: tuple[Kept, ...]
    log: float | None

    @property
    def size(self) -> float:
        """Bytes a task."""
        return sum(one.size for one in self.kept)


def measure(store: Store, *, first: int, more: int) -> Grown:
    """Deliver `first` tasks, look, deliver `more` and look again."""
    with whole(store) as subject, sink() as (url, _):
        in_flight(subject, url, tasks=first)
        before, log_before = sizes(subject), _log_place(subject)
        in_flight(subject, url, tasks=more)
        after, log_after = sizes(subject), _log_place(subject)
    kept = (
        Kept(table=table, name=name, size=(size - before.get((table, name), 0)) / more)
        for (table, name), size in after.items()
    )
    return Grown(
        kept=tuple(sorted((one for one in kept if one.size >= 1), key=lambda one: -one.size)),
        log=None if log_before is None or log_after is None else (log_after - log_before) / more,
    )


def run(console: Console, stores: tuple[Store, ...], *, quick: bool) -> None:
    """Measure and print."""
    for store in stores:
        grown = measure(store, first=1_000, more=3_000 if quick else 10_000)
        log = "" if grown.log is None else f", {grown.log:,.0f} of the log"
        table = Table(
            "table", "in all", "rows", "indexes", title=f"{store}: {grown.size:,.0f} bytes a task{log}"
        )
        for name in dict.fromkeys(one.table for one in grown.kept):
            of_it = [one for one in grown.kept if one.table == name]
            rows = sum(one.size for one in of_it if one.name == name)
            indexes = ", ".join(f"{one.name} {one.size:.0f}" for one in of_it if one.name != name)
            table.add_row(name, f"{sum(one.size for one in of_it):.0f}", f"{rows:.0f}", indexes)
        console.print(table)


def sizes(subject: Whole) -> dict[tuple[str, str], int]:
    """Return the bytes of each table and index, by the table and its own name."""
    if subject.server is not None:
        assert subject.database_url is not None
        return asyncio.run(_sizes_of_server(subject.database_url))
    assert subject.folder is not None
    with closing(sqlite3.connect(subject.folder / "data" / "webhookd.db")) as connection:
        rows = connection.execute(
            "SELECT s.tbl_name, s.name, sum(d.pgsize) FROM dbstat d JOIN sqlite_schema s ON s.name = d.name "
            "GROUP BY s.tbl_name, s.name"
        )
        return {(table, name): size for table, name, size in rows}


async def _sizes_of_server(url: str) -> dict[tuple[str, str], int]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return {(row["of"], row["relname"]): row["size"] for row in await connection.fetch(_SIZES)}
    finally:
        await connection.close()


def _log_place(subject: Whole) -> int | None:
    return None if subject.server is None else asyncio.run(_place(subject.server.admin_url))


async def _place(url: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        place: int = await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8")
        return place
    finally:
        await connection.close()
