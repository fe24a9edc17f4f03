"""Query plans of the hot statements: with a long history none of them may read a big table through.

The plans are taken from what the store really executes, as the engine sends it, on both databases, and by
its own connections: on PostgreSQL they are told to go by indexes, whatever statistics say or do not say.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    event,
    insert,
    literal_column,
    select,
    text,
)

from tests.support.seeds import NOW, SESSION, due, endpoint, message_to, partner
from tests.support.sending import answer, turn
from tests.support.work import TYPE, cancel, claim, claim_one, finish, submission_of, submit, task_of
from webhookd.adapters.store.deliveries.dead_letters import list_dead_letters
from webhookd.adapters.store.deliveries.delivery_listings import list_deliveries
from webhookd.adapters.store.deliveries.letter_groups import group_dead_letters
from webhookd.adapters.store.known_values import unknown_values
from webhookd.adapters.store.schema import metadata
from webhookd.adapters.store.statement import SqlStatement
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import Progress
from webhookd.core.listing import DeliveryFilter, TaskFilter
from webhookd.core.model import DeliveryState, TaskState
from webhookd.core.records import Bounds
from webhookd.core.replay import DeadLetterFilter

HISTORY = 20_000
BIG = ("tasks", "task_bodies", "deliveries", "messages", "runs", "attempts")

WHOLE_INDEXES = (
    {
        index.name
        for name in BIG
        for index in metadata.tables[name].indexes
        if index.dialect_options["postgresql"]["where"] is None
    }
    | {f"pk_{name}" for name in BIG}
    | {f"{name}_pkey" for name in BIG}
)

Statements = list[tuple[str, Any]]


@pytest.fixture(params=["alone", "many"])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements as they are sent with a row alone, and as with many though there is one."""
    if request.param == "many":
        monkeypatch.setattr(SqlStatement, "fitting", SqlStatement.compiled)


async def _history(store: Store) -> str:
    """A partner with a past: an ended task, its message and delivery; to be multiplied."""
    owner = await partner(store.db)
    await endpoint(store, owner)
    await submit(store, task_of(owner))
    task = await claim_one(store)
    await finish(store, task)
    (delivery,) = await due(store, NOW)
    await answer(store, delivery, 200, now_ms=NOW)
    return owner


def _multiply(tx: Tx) -> None:
    """Copy the one row of each big table HISTORY times."""
    numbers = Table("numbers", MetaData(), Column("i", Integer, primary_key=True))
    numbers.create(tx.conn)
    tx.conn.execute(insert(numbers), [{"i": i} for i in range(1, HISTORY + 1)])
    changes: dict[str, dict[str, str]] = {
        "tasks": {"id": "'task_0' || i", "created_ms": "created_ms + i"},
        "task_bodies": {"task_id": "'task_0' || i"},
        "runs": {"task_id": "'task_0' || i"},
        "messages": {"id": "'msg_0' || i", "task_id": "'task_0' || i", "seq": "i + 1"},
        "deliveries": {"id": "'dlv_0' || i", "task_id": "'task_0' || i", "message_id": "'msg_0' || i"},
        "attempts": {"delivery_id": "'dlv_0' || i"},
    }
    for name, changed in changes.items():
        table = metadata.tables[name]
        copied = [literal_column(changed[c.name]) if c.name in changed else c for c in table.columns]
        rows = select(*copied).select_from(table.join(numbers, text("true")))
        tx.conn.execute(insert(table).from_select([c.name for c in table.columns], rows))
    tx.conn.execute(text("UPDATE deliveries SET state = 'dead' WHERE id LIKE 'dlv_0%7'"))
    tx.conn.execute(text("UPDATE feeds SET last_seq = last_seq + 100000"))


async def _statements(store: Store, work: Callable[[], Awaitable[object]]) -> Statements:
    """What the store sends to the database while `work` runs."""
    seen: Statements = []

    def note(_conn: Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            seen.append((statement, parameters))

    driver: Any = store.db._driver
    engines = (
        [driver._readers.sync_engine, driver._writers.sync_engine]
        if store.db.dialect == "postgresql"
        else [driver._writer, driver._readers]
    )
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        await work()
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
    assert seen
    return seen


def _plan(tx: Tx, statement: str, parameters: Any) -> dict[str, Any]:
    """PostgreSQL's plan."""
    explained = tx.conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    plan: dict[str, Any] = (orjson.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]
    return plan


def _scans(tx: Tx, statements: Statements) -> list[str]:
    """The plan lines that read a whole big table, with their statements."""
    found = []
    if tx.dialect == "postgresql":
        for statement, parameters in statements:
            whole_reads = _whole_reads(_plan(tx, statement, parameters))
            found += [f"{whole}\n   in {statement}" for whole in whole_reads]
        return found
    for statement, parameters in statements:
        for row in tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
            line = str(row[3])
            words = line.replace("(", " ").split()
            # SCAN t USING a *partial* index reads only the rows under way; that is what they are for.
            whole = words[0] == "SCAN" and words[1] in BIG and "INDEX" not in words
            whole |= words[0] == "SCAN" and words[1] in BIG and _is_whole_index(words)
            if whole:
                found.append(f"{line}\n   in {statement}")
    return found


def _whole_reads(node: dict[str, Any]) -> Iterator[str]:
    """PostgreSQL's: whole tables, whole indexes (partial ones are short), joins that read both sides."""
    kind, relation, index = node["Node Type"], node.get("Relation Name"), node.get("Index Name")
    if kind == "Seq Scan" and relation in BIG:
        yield f"{kind} on {relation}"
    if index in WHOLE_INDEXES and "Index Cond" not in node:
        yield f"{kind} of all of {index}"
    if kind in ("Hash Join", "Merge Join"):
        yield kind
    for below in node.get("Plans", ()):
        yield from _whole_reads(below)


def _indexes(node: dict[str, Any]) -> Iterator[str]:
    """The indexes that a plan of PostgreSQL's goes by to rows of big tables."""
    if node.get("Relation Name") in BIG and "Index Name" in node:
        yield node["Index Name"]
    for below in node.get("Plans", ()):
        yield from _indexes(below)


def _is_whole_index(words: list[str]) -> bool:
    named = words[words.index("INDEX") + 1] if "INDEX" in words else ""
    return named.startswith(
        ("sqlite_autoindex", "ix_tasks_partner", "ix_tasks_trace", "ix_messages")
    ) or named in (
        "ix_deliveries_task",
        "ix_deliveries_partner",
        "ix_deliveries_endpoint",
        "ix_deliveries_message_id",
    )


@pytest.mark.slow
@pytest.mark.usefixtures("rows")
async def test_no_hot_statement_reads_a_long_history_through(store: Store) -> None:
    owner = await _history(store)
    await store.db.write(_multiply)
    await store.db.write(lambda tx: tx.conn.execute(text("ANALYZE")))
    await _reads_nothing_through(store, owner)


@pytest.mark.slow
@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("grown", [False, True], ids=["empty", "grown"])
@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_without_statistics_no_hot_statement_reads_a_table_through(store: Store, grown: bool) -> None:
    """While the tables are empty, when plans are made and kept; and grown or restored, before any ANALYZE."""
    await _let_nobody_analyze(store)
    owner = await _history(store)
    if grown:
        await store.db.write(_multiply)
    await _reads_nothing_through(store, owner)
    known = "SELECT count(*) FROM pg_stats WHERE tablename = 'tasks'"
    assert await store.db.read(lambda tx: tx.conn.execute(text(known)).scalar_one()) == 0


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_what_is_named_by_id_is_looked_up_by_id_however_many_wait(store: Store) -> None:
    await _let_nobody_analyze(store)
    owner = await _history(store)
    await submit(store, *(task_of(owner) for _ in range(200)))

    async def work() -> None:
        for task in (await claim(store, 100)).tasks:
            await finish(store, task)
        for delivery in await due(store, NOW):
            await answer(store, delivery, 200, now_ms=NOW)

    changes = ("UPDATE tasks", "UPDATE deliveries", "WITH ended")
    sent = [one for one in await _statements(store, work) if one[0].startswith(changes)]
    found = await store.db.read(lambda tx: {index for one in sent for index in _indexes(_plan(tx, *one))})

    assert found == {f"pk_{name}" for name in ("tasks", "task_bodies", "deliveries", "messages")}


async def _let_nobody_analyze(store: Store) -> None:
    """Keep PostgreSQL from looking at the tables by itself, at a moment of its own."""
    for name in BIG:
        await store.db.write(_execute, f"ALTER TABLE {name} SET (autovacuum_enabled = off)")


def _execute(tx: Tx, statement: str) -> None:
    tx.conn.execute(text(statement))


async def _reads_nothing_through(store: Store, owner: str) -> None:
    target = await endpoint(store, owner)
    found: dict[str, list[str]] = {}

    async def check(name: str, work: Callable[[], Awaitable[object]]) -> None:
        statements = await _statements(store, work)
        if scans := await store.db.read(_scans, statements):
            found[name] = scans

    new = [task_of(owner, now_ms=NOW + n) for n in range(4)]
    await store.tasks.submit(submission_of(*new, key="k"))
    await check("submit again", lambda: store.tasks.submit(submission_of(*new, key="k")))
    await check("sweep.waiting", store.sweeps.waiting)
    await check("claim", lambda: claim(store, 2))
    await check("claim, idle", lambda: claim(store, 2, idle=True))
    await check("cancel", lambda: cancel(store, new[0].id, owner))
    await check("get", lambda: store.tasks.get(new[0].id, owner))
    await submit(store, task_of(owner, now_ms=NOW + 9))
    claimed = await claim_one(store)
    await check("cancel_requests", lambda: store.tasks.cancel_requests(SESSION))
    await check("record", lambda: finish(store, claimed))
    await message_to(store, target)
    await check("lane claim", lambda: turn(store, NOW, free=1))
    await message_to(store, target)
    (delivery, *_) = (await turn(store, NOW)).deliveries
    await check("lane record", lambda: answer(store, delivery, 500, now_ms=NOW))
    await check("heal", lambda: store.sweeps.heal(NOW))
    await check("overdue", lambda: store.sweeps.overdue(NOW))
    await check("fall_due", lambda: store.sweeps.fall_due(NOW))
    await check("expire", lambda: store.sweeps.expire(NOW))
    await store.sessions.end(SESSION)
    await check("rescue", lambda: store.sweeps.rescue(NOW))
    await check("depths", store.queues.depths)
    await check("dead letters", lambda: store.read(list_dead_letters, owner, DeadLetterFilter(), Bounds()))
    await check("all dead letters", lambda: store.read(list_dead_letters, None, DeadLetterFilter(), Bounds()))
    groups = ("endpoint", "error", "type", "reason", "hour")
    for whose in (owner, None):
        await check(
            "summary",
            lambda: store.read(group_dead_letters, whose, DeadLetterFilter(), groups),  # noqa: B023 - run at once
        )
        known = {"type": "x", "error": "x", "code": "x"}
        await check("known values", lambda: store.read(unknown_values, whose, known))  # noqa: B023 - run at once
        await check(
            "deliveries by error",
            lambda: store.read(list_deliveries, whose, DeliveryFilter(error="timeout"), Bounds()),  # noqa: B023 - run at once
        )
    await check("settle strays", lambda: store.endpoints.settle_strays(NOW))

    assert not found, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)


async def test_filters_of_listings_go_by_an_index_of_theirs(store: Store) -> None:
    """Not through the whole history of the partner, which is what its own index holds."""
    owner = await _history(store)
    looks: list[Callable[[], Awaitable[object]]] = [
        lambda: store.tasks.page(owner, TaskFilter(state=TaskState.CANCELLED), Bounds()),
        lambda: store.tasks.page(owner, TaskFilter(type="no.such"), Bounds()),
        lambda: store.read(list_deliveries, owner, DeliveryFilter(state=DeliveryState.CANCELLED), Bounds()),
        lambda: store.read(list_deliveries, owner, DeliveryFilter(error="timeout"), Bounds()),
        lambda: store.read(list_deliveries, owner, DeliveryFilter(status="503"), Bounds()),
    ]
    for look in looks:
        plans = await store.db.read(_plans, await _statements(store, look))
        assert not any(re.search(r"ix_(tasks|deliveries)_partner\b", plan) for plan in plans), plans


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (TaskFilter(state=TaskState.RUNNING), "ix_tasks_partner_state"),
        (TaskFilter(state=TaskState.RUNNING, type=TYPE), "ix_tasks_partner_state"),
        (TaskFilter(type="no.such"), "ix_tasks_partner_type"),
    ],
)
async def test_an_admins_filter_goes_by_the_index_of_each_partner(
    store: Store, wanted: TaskFilter, index: str
) -> None:
    await _history(store)
    await store.db.write(_multiply)

    plans = await store.db.read(
        _plans, await _statements(store, lambda: store.tasks.page(None, wanted, Bounds()))
    )

    assert any(index in plan for plan in plans), plans


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (TaskFilter(tags=("a", "b")), "task_tags"),
        (TaskFilter(idempotency_key="a"), "ix_task_bodies_key"),
        (TaskFilter(rerun_of="task_1"), "ix_task_bodies_rerun"),
    ],
)
async def test_a_search_begins_with_what_is_searched_for(
    store: Store, wanted: TaskFilter, index: str
) -> None:
    owner = await _history(store)

    plans = await store.db.read(
        _plans, await _statements(store, lambda: store.tasks.page(owner, wanted, Bounds()))
    )

    assert any(index in plan for plan in plans), plans


async def test_batches_find_their_rows_by_id_and_not_by_the_session_that_holds_them(store: Store) -> None:
    """By the session each of n rows would be sought among all n, as long as statistics say n is small."""
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    for number in range(200):
        await submit(store, task_of(owner, now_ms=NOW + number))
    await store.db.write(lambda tx: tx.conn.execute(text("ANALYZE")))
    claimed = await claim_one(store)
    await message_to(store, target)
    (delivery, *_) = (await turn(store, NOW)).deliveries

    async def ends() -> None:
        report = Progress(
            task_id=claimed.id, session_id=SESSION, token=claimed.token, percent=5, message=None, now_ms=NOW
        )
        await store.tasks.progress(report)
        await finish(store, claimed)
        await answer(store, delivery, 200, now_ms=NOW)

    plans = await store.db.read(_plans, await _statements(store, ends))
    assert any("deliveries" in plan for plan in plans)
    assert [plan for plan in plans if "_held" in plan] == []


async def test_claimed_tasks_are_found_by_id_and_not_among_all_that_wait(store: Store) -> None:
    """By the state each claim would go through the whole backlog, as long as statistics are older than it."""
    owner = await partner(store.db)
    for number in range(200):
        await submit(store, task_of(owner, now_ms=NOW + number))

    def end_all(tx: Tx) -> None:
        tx.conn.execute(text("UPDATE tasks SET state = 'cancelled'"))
        tx.conn.execute(text("ANALYZE"))

    await store.db.write(end_all)
    await submit(store, task_of(owner, now_ms=NOW))
    ran = await _statements(store, lambda: claim_one(store))
    takes = [(statement, parameters) for statement, parameters in ran if statement.startswith("UPDATE tasks")]
    plans = await store.db.read(_plans, takes)
    assert len(plans) == 1
    assert "ix_tasks_age" not in plans[0], plans


def _plans(tx: Tx, statements: Statements) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
    return [
        "\n".join(str(row) for row in tx.conn.exec_driver_sql(f"{explain}{statement}", parameters))
        for statement, parameters in statements
    ]
