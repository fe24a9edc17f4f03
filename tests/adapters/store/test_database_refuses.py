"""What a database refuses for reasons of its own is an outage, and over as soon as they are.

PostgreSQL's states are made with a role of the test's own, whose sessions are cut as a failover does.
"""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, text
from structlog.testing import capture_logs

from tests.support.seeds import NOW, SESSION, partner
from tests.support.services import Databases, until
from tests.support.work import claim_one, submit, task_of
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import SettingsError, StoreFault, Unavailable
from webhookd.core.execution import End, TaskEnd
from webhookd.flows.alarm import Alarm
from webhookd.flows.execute.run import ActiveRun
from webhookd.flows.execute.run_writer import NOT_RECORDED, RunWriter

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("note", Text))

STATES = (
    *("25006", "25P03", "40001", "40P01", "42501", "53100", "53200", "53300", "53400", "55000", "55P03"),
    *("57014", "57P01", "57P03", "57P05", "58000", "58030", "58P01", "72000", "XX000", "XX001", "08006"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role that owns a database, to be changed as an operator or a failover changes it."""

    server: Databases
    name: str
    url: str

    def set(self, setting: str) -> None:
        """`ALTER ROLE … SET`, and its sessions are cut."""
        self.server.execute(f"ALTER ROLE {self.name} SET {setting}")
        self.cut()

    def reset(self) -> None:
        """Put it back; the sessions begun meanwhile stay as they are."""
        self.server.execute(f"ALTER ROLE {self.name} RESET ALL")

    def cut(self) -> None:
        theirs = f"pg_stat_activity WHERE usename = '{self.name}'"
        self.server.execute(f"SELECT pg_terminate_backend(pid) FROM {theirs}")  # noqa: S608 - a name of ours

    async def in_its_database(self, statement: str) -> None:
        """As superuser."""
        url = urlsplit(self.server.admin_url)._replace(path=urlsplit(self.url).path)
        connection = await asyncpg.connect(urlunsplit(url))
        await connection.execute(statement)
        await connection.close()


@pytest.fixture
def role(postgres: Databases) -> Iterator[Role]:
    name = f"role_{uuid.uuid4().hex[:12]}"
    postgres.execute(f"CREATE ROLE {name} LOGIN")
    url = postgres.create_database()
    database = urlsplit(url).path[1:]
    postgres.execute(f'ALTER DATABASE "{database}" OWNER TO {name}')
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    yield Role(server=postgres, name=name, url=urlunsplit(parts._replace(netloc=f"{name}@{address}")))
    postgres.drop_database(url)
    postgres.execute(f"DROP ROLE {name}")


def _write(tx: Tx) -> None:
    tx.conn.execute(insert(notes), {"note": "x"})


def _write_many(tx: Tx, payloads: Any) -> list[Exception | None]:
    for _ in payloads:
        _write(tx)
    return [None for _ in payloads]


def _look_slowly(tx: Tx) -> None:
    """Long enough that readers beside it need sessions of their own."""
    tx.conn.execute(text("SELECT pg_sleep(0.2)"))


async def _all_writes(database: Database) -> None:
    await asyncio.gather(*(database.grouped(_write_many, n) for n in range(4)))
    await asyncio.gather(*(database.write(_write) for _ in range(4)))


async def _all_work(database: Database) -> None:
    await _all_writes(database)
    await database.read(lambda tx: tx.conn.execute(text("SELECT count(*) FROM notes")).scalar_one())


async def _healed(database: Database) -> None:
    """The sessions of the time before are found out once each, and never called a defect."""
    for _ in range(40):
        try:
            return await _all_work(database)
        except Unavailable:
            await asyncio.sleep(0.05)
    pytest.fail("it does not heal")


@pytest.mark.parametrize("writes_apart", [False, True], ids=["together", "apart"])
async def test_a_database_that_turned_read_only_is_an_outage_that_heals(
    role: Role, writes_apart: bool
) -> None:
    database = await Database.open(role.url, writes_apart=writes_apart)
    await database.write(lambda tx: notes.create(tx.conn))
    await _all_work(database)

    role.set("default_transaction_read_only = on")
    for _ in range(3):
        answers = await asyncio.gather(
            *(database.grouped(_write_many, n) for n in range(3)),
            *(database.write(_write) for _ in range(3)),
            return_exceptions=True,
        )
        assert {type(answer) for answer in answers} == {Unavailable}
        assert all(one.retry_after_seconds for one in answers if isinstance(one, Unavailable))
    assert "read-only" in str(database.write_error)
    # What only reads goes on, and begins sessions that refuse writes for as long as they live.
    await asyncio.gather(*(database.read(_look_slowly) for _ in range(6)))
    role.reset()

    await _all_writes(database)  # at once: none of those sessions costs anybody an answer
    assert database.write_error is None
    await _healed(database)
    await database.close()


@pytest.mark.parametrize(
    ("setting", "lock"),
    [
        ("lock_timeout = '50ms'", True),
        ("statement_timeout = '50ms'", True),
        ("transaction_timeout = '50ms'", True),
    ],
    ids=["lock_timeout", "statement_timeout", "transaction_timeout"],
)
async def test_time_outs_of_the_role_are_outages(role: Role, setting: str, lock: bool) -> None:
    database = await Database.open(role.url)
    await database.write(lambda tx: notes.create(tx.conn))
    role.set(setting)
    holder = await asyncpg.connect(role.server.admin_url.rpartition("/")[0] + urlsplit(role.url).path)
    async with holder.transaction():
        await holder.execute("LOCK TABLE notes")
        for work in (database.write(_write), database.grouped(_write_many, 1)):
            with pytest.raises(Unavailable):
                await work
    await holder.close()
    role.reset()

    await _healed(database)
    await database.close()


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
@pytest.mark.parametrize("writes_apart", [False, True], ids=["together", "apart"])
async def test_session_begun_with_a_time_out_is_let_go_once_it_has_struck(
    role: Role, setting: str, writes_apart: bool
) -> None:
    database = await Database.open(role.url, writes_apart=writes_apart)
    await database.write(lambda tx: notes.create(tx.conn))
    role.set(f"{setting} = '400ms'")
    await _healed(database)
    role.reset()  # which reaches new sessions only
    struck: list[tuple[int, str]] = []

    def write(tx: Tx) -> None:
        asked = tx.conn.execute(
            text(f"SELECT pg_backend_pid() AS pid, current_setting('{setting}') AS value")
        )
        row = asked.one()
        struck.append((row.pid, row.value))
        _write(tx)

    holder = await asyncpg.connect(role.server.admin_url.rpartition("/")[0] + urlsplit(role.url).path)
    async with holder.transaction():
        await holder.execute("LOCK TABLE notes")
        with pytest.raises(Unavailable):
            await database.write(write)
    [(pid, value)] = struck
    assert value == "400ms"
    open_still = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"  # noqa: S608 - a number

    async def gone() -> bool:
        return not await holder.fetchval(open_still)

    await until(gone, what="the end of the session")
    await database.write(write)
    assert struck[-1][0] != pid
    await holder.close()
    await database.close()


async def test_rights_taken_away_are_an_outage(role: Role) -> None:
    database = await Database.open(role.url)
    await database.write(lambda tx: notes.create(tx.conn))
    await role.in_its_database(f"ALTER TABLE notes OWNER TO postgres; REVOKE ALL ON notes FROM {role.name}")
    for work in (database.write(_write), database.grouped(_write_many, 1), _all_work(database)):
        with pytest.raises(Unavailable):
            await work
    await role.in_its_database(
        f"GRANT ALL ON notes TO {role.name}; GRANT ALL ON SEQUENCE notes_id_seq TO {role.name}"
    )
    await _healed(database)
    await database.close()


async def test_a_role_without_connections_left_is_an_outage(role: Role) -> None:
    database = await Database.open(role.url)
    await database.write(lambda tx: notes.create(tx.conn))
    role.server.execute(f"ALTER ROLE {role.name} CONNECTION LIMIT 0")
    role.cut()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await database.write(_write)
    role.server.execute(f"ALTER ROLE {role.name} CONNECTION LIMIT -1")
    await _healed(database)
    await database.close()


async def test_every_state_that_is_not_a_wrong_statement_is_an_outage(postgres_url: str) -> None:
    """As the server says it, through the whole driver."""
    database = await Database.open(postgres_url)

    def fail(tx: Tx, state: str) -> None:
        tx.conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

    for state in STATES:
        with pytest.raises(Unavailable):
            await database.write(fail, state)
    assert await database.read(lambda tx: tx.conn.execute(text("SELECT 1")).scalar_one()) == 1
    await database.close()


def _execute(tx: Tx, statement: str) -> None:
    tx.conn.execute(text(statement))


async def test_what_a_statement_is_to_blame_for_is_no_outage(database: Database) -> None:
    for wrong in ("SELECT no_such_column", "SELEKT 1", "INSERT INTO queues (name) VALUES (NULL)"):
        with pytest.raises(StoreFault) as caught:
            await database.write(_execute, wrong)
        assert wrong in caught.value.reason


async def test_a_statement_that_a_migration_outdated_is_made_again(postgres_url: str) -> None:
    database = await Database.open(postgres_url)
    await database.write(lambda tx: notes.create(tx.conn))
    read: Callable[[Tx], Any] = lambda tx: tx.conn.execute(text("SELECT * FROM notes")).all()  # noqa: E731
    await database.write(read)
    other = await Database.open(postgres_url)
    await other.write(lambda tx: tx.conn.execute(text("ALTER TABLE notes ADD COLUMN more text")))
    await database.write(read)
    await database.close()
    await other.close()


# ── what cannot be written ──────────────────────────────────────────────────────────────────────────────────


async def test_a_database_in_another_encoding_is_refused_in_one_line(postgres: Databases) -> None:
    name = f"latin_{uuid.uuid4().hex[:12]}"
    postgres.execute(
        f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    url = urlunsplit(urlsplit(postgres.admin_url)._replace(path=f"/{name}"))
    for refused in (migrate(url), Database.open(url)):
        with pytest.raises(SettingsError, match="LATIN1") as caught:
            await refused
        assert "WEBHOOKD_DATABASE_URL" in caught.value.detail
        assert "UTF8" in caught.value.detail
    postgres.drop_database(url)


class _Lease:
    id = SESSION


@pytest.mark.parametrize(
    ("end", "wrong"),
    [
        (End.SUCCEEDED, {"result_json": '"\ud800"'}),
        (End.RETRY, {"error_message": "\udfff"}),
        (End.CANCELLED, {"progress_message": "\ud800"}),
    ],
    ids=["result", "error", "progress"],
)
async def test_an_end_the_database_cannot_hold_is_a_failure_with_a_code(
    store: Store, end: End, wrong: dict[str, str]
) -> None:
    owner = await partner(store.db)
    good, bad = [await _running(store, owner) for _ in range(2)]
    writer = _writer(store)

    with capture_logs() as logs:
        await asyncio.gather(
            writer.end(good, _end_of(good, End.SUCCEEDED, result_json="1")),
            writer.end(bad, _end_of(bad, end, due_ms=NOW, **wrong)),
        )

    [refused] = [line for line in logs if line["event"] == "task_end_refused"]
    assert re.match(r"\w+\.pyx?:\d+ \w+ < \w+\.py:\d+ ", refused["raised_at"]), refused
    ended = await store.tasks.get(bad.task.id, owner)
    assert ended is not None
    assert (ended.state.value, ended.error_code, ended.result_json) == ("failed", NOT_RECORDED, None)
    other = await store.tasks.get(good.task.id, owner)
    assert other is not None
    assert other.state.value == "succeeded"


async def test_progress_the_database_cannot_hold_is_dropped_and_the_next_is_written(store: Store) -> None:
    owner = await partner(store.db)
    run = await _running(store, owner)
    writer = _writer(store)

    writer.progress(run, 10, "\ud800")
    await _written(run)
    writer.progress(run, 20, "good")
    await _written(run)

    task = await store.tasks.get(run.task.id, owner)
    assert task is not None
    assert (task.progress_percent, task.progress_message) == (20, "good")


async def _written(run: ActiveRun) -> None:
    await until(lambda: not run.writing, what="the progress written")


async def _running(store: Store, owner: str) -> ActiveRun:
    await submit(store, task_of(owner))
    task = await claim_one(store)
    return ActiveRun(task=task, session_id=SESSION, host="test", pid=1, started_ms=NOW, deadline=0)


def _end_of(run: ActiveRun, end: End, **more: Any) -> TaskEnd:
    return TaskEnd(task=run.task, session_id=SESSION, end=end, started_ms=NOW, now_ms=NOW, **more)


def _writer(store: Store) -> RunWriter:
    lease: Any = _Lease()
    return RunWriter(
        tasks=store.tasks,
        lease=lease,
        alarm=Alarm(lambda _queue: None, lambda: NOW),
        now_ms=lambda: NOW,
        listeners=(),
    )
