"""What `webhookd doctor` finds on real services that are made ill. Processes: `tests/cli/test_doctor`."""

import asyncio
import functools
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.conftest import missing
from tests.support.pooler import PgBouncer
from tests.support.seeds import EXHAUSTED, answered, dead_delivery, due, endpoint, message_to, partner
from tests.support.services import Databases, PostgresServer, ServiceMissing, ValkeyServer, free_port
from tests.support.work import ended_task, submit, task_of
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.schema import deliveries, endpoints, queues, tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core import ids
from webhookd.core.diagnosis import Finding, Level, ok
from webhookd.core.execution import End
from webhookd.settings import Settings, load_settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.doctor import CHECKS, Diagnosis, diagnose, installation, services

OLD, NEW = generate_key(), generate_key()
OLD_ID, NEW_ID = Vault([OLD]).newest_id, Vault([NEW]).newest_id
KEY = "a-long-admin-key-0123456789"
SHIPPED: str = Settings.model_fields["tasks"].default


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test in a folder of its own, without settings of this shell."""
    for name in list(os.environ):
        if name.startswith("WEBHOOKD_") and name != "WEBHOOKD_TEST_POSTGRES_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # A busy machine may take longer than a person would wait.
    monkeypatch.setattr("webhookd.wiring.doctor.installation.IMPORT_SECONDS", 60.0)
    monkeypatch.setattr("webhookd.wiring.doctor.examination.CHECK_SECONDS", 90.0)
    return tmp_path


@pytest.fixture(autouse=True)
def shipped_types_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The types that ship are not imported in a process for each look: `tests/cli/test_doctor` does."""

    async def types(spec: str) -> frozenset[str]:
        return shipped_types() if spec == SHIPPED else await imported_types(spec)

    imported_types = installation._imported_types
    monkeypatch.setattr(installation, "_imported_types", types)


@functools.cache
def shipped_types() -> frozenset[str]:
    return frozenset(definition.type for definition in load_task_sets(SHIPPED))


@pytest.fixture
def sqlite_url(folder: Path, migrated_sqlite_url: str) -> str:
    """A migrated database, where an installation in `folder` has it."""
    return migrated_sqlite_url


async def examine(**settings: object) -> Diagnosis:
    """Run every check with these settings; those that are left out are good ones."""
    good = {"encryption_keys": OLD, "admin_key": KEY, "data_dir": Path.cwd()}
    return await diagnose(load_settings(**{**good, **settings}))


async def found(check: str, **settings: object) -> list[Finding]:
    """The findings of one check."""
    diagnosis = await examine(**settings)
    return [one.finding for one in diagnosis.examined if one.check == check]


async def only(check: str, **settings: object) -> Finding:
    """The only finding of a check."""
    (finding,) = await found(check, **settings)
    return finding


def says(finding: Finding, level: Level, *words: str) -> None:
    """Assert that it is of this level, mentions the words, and says how to mend what is wrong."""
    assert finding.level is level, finding
    for word in words:
        assert word in f"{finding.what} {finding.mend}", finding
    assert bool(finding.mend) == (level is not Level.OK), finding


@asynccontextmanager
async def store_on(url: str, *, session_id: str = "ses_test") -> AsyncIterator[Store]:
    store = await Store.open(url, Vault([OLD]), Policy(session_id=session_id))
    try:
        yield store
    finally:
        await store.close()


async def change(store: Store, statement: Any) -> None:
    await store.db.write(lambda tx: tx.conn.execute(statement))


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_installation_that_is_well_has_no_finding_but_that_nothing_runs(
    crashable_postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    url = crashable_postgres.create_migrated_database()

    diagnosis = await examine(database_url=url, broker_url=valkey.url)

    assert [one.check for one in diagnosis.examined if one.finding.level is not Level.OK] == ["processes"]
    assert {one.check for one in diagnosis.examined} == {name for name, _ in CHECKS}
    assert not diagnosis.hung
    assert diagnosis.skipped == ()


async def test_database_that_hangs_is_said_in_bounded_time_and_hides_nothing_else(
    crashable_postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    url = crashable_postgres.create_migrated_database()
    assert crashable_postgres.pid is not None
    os.kill(crashable_postgres.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        diagnosis = await examine(database_url=url, broker_url=valkey.url, egress_allow="10.0.0.0/8")
    finally:
        os.kill(crashable_postgres.pid, signal.SIGCONT)
    # Far more than it takes, far less than the minute a driver would wait by itself.
    assert time.monotonic() - began < 40
    (database,) = [one.finding for one in diagnosis.examined if one.check == "database"]
    says(database, Level.PROBLEM)
    levels = {one.check: one.finding.level for one in diagnosis.examined}
    assert (levels["egress"], levels["broker"]) == (Level.WARNING, Level.OK)


async def test_check_that_fails_is_a_warning_and_the_others_go_on(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_installation: object) -> list[Finding]:
        raise ZeroDivisionError("a defect")

    table = tuple((name, broken if name == "files" else look) for name, look in CHECKS)
    monkeypatch.setattr("webhookd.wiring.doctor.examination.CHECKS", table)
    diagnosis = await examine()
    levels = {one.check: one.finding for one in diagnosis.examined}
    says(levels["files"], Level.WARNING, "ZeroDivisionError: a defect")
    assert levels["database"].level is Level.OK


async def test_check_that_hangs_is_given_up(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_installation: object) -> list[Finding]:
        await asyncio.sleep(3600)
        return []

    async def answers(_installation: object) -> list[Finding]:
        return [ok("all is well")]

    table = (("files", hangs), ("egress", answers))
    monkeypatch.setattr("webhookd.wiring.doctor.examination.CHECKS", table)
    monkeypatch.setattr("webhookd.wiring.doctor.examination.CHECK_SECONDS", 0.1)
    diagnosis = await examine()
    says(diagnosis.examined[0].finding, Level.PROBLEM, "No answer")
    assert diagnosis.examined[1].finding.level is Level.OK
    assert diagnosis.hung


# ── what is set ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_misspelt_settings_of_the_environment_and_of_the_file_are_found(
    sqlite_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(await only("settings"), Level.OK)
    monkeypatch.setenv("WEBHOOKD_DATBASE_URL", "x")
    (folder / ".env").write_text("WEBHOOKD_ADMINKEY=x\nWEBHOOKD_PORT=8080\nOTHER=1\n")
    first, second = await found("settings")
    says(first, Level.WARNING, "WEBHOOKD_ADMINKEY", "Did you mean WEBHOOKD_ADMIN_KEY?")
    says(second, Level.WARNING, "WEBHOOKD_DATBASE_URL", "Did you mean WEBHOOKD_DATABASE_URL?")


async def test_weak_and_missing_admin_keys_are_found(sqlite_url: str) -> None:
    says(await only("admin key", admin_key="short"), Level.PROBLEM, "WEBHOOKD_ADMIN_KEY")
    says(await only("admin key", admin_key="aaaaaaaaaaaaaaaaaaaaaaaaaaaa"), Level.WARNING, "guessed")
    says(await only("admin key", admin_key=""), Level.WARNING, "no admin key")
    async with store_on(sqlite_url) as store:
        from webhookd.cli.first_keys import first_admin_key

        assert await first_admin_key(store)
    says(await only("admin key", admin_key=""), Level.OK)


async def test_keys_that_are_missing_wrong_or_half_rotated_are_found(sqlite_url: str) -> None:
    says(await only("encryption keys"), Level.OK)
    says(await only("encryption keys", encryption_keys=""), Level.PROBLEM, "not set", "Bring the keys back")
    says(await only("encryption keys", encryption_keys="c2hvcnQ="), Level.PROBLEM, "key 1 is 5 bytes")
    async with store_on(sqlite_url) as store:
        owner = await partner(store.db)
        sealed = Vault([OLD]).seal(b"whsec_x", partner=owner, endpoint=None, field="secret")
        from webhookd.adapters.store.endpoints import secrets

        await store.db.write(
            lambda tx: secrets.add(tx, owner, None, scheme="v1", sealed=sealed, created_ms=1)
        )
    says(
        await only("encryption keys", encryption_keys=NEW), Level.PROBLEM, OLD_ID, "Put the missing key back"
    )
    both = f"{NEW},{OLD}"
    unfinished = await only("encryption keys", encryption_keys=both)
    says(unfinished, Level.WARNING, "sealed: 1.", "rotate-encryption-key")


async def test_task_sets_that_do_not_import_are_found_whatever_they_do(
    sqlite_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "raise ImportError('no GPU here')"
    (folder / "broken.py").write_text(broken)
    says(await only("task sets", tasks="broken:tasks"), Level.PROBLEM, "no GPU here")
    says(await only("task sets", tasks="nowhere:tasks"), Level.PROBLEM, "nowhere")
    (folder / "ends.py").write_text("import os\nos._exit(3)\n")
    says(await only("task sets", tasks="ends:tasks"), Level.PROBLEM, "ends:tasks")
    (folder / "loud.py").write_text(
        "print('hello')\nfrom webhookd import TaskSet\ntasks = TaskSet()\n"
        "@tasks.task('a.b')\ndef work(ctx, data: dict): return {}\nprint('there', end='')\n"
    )
    says(await only("task sets", tasks="loud:tasks"), Level.OK, "1 task types")
    monkeypatch.setattr("webhookd.wiring.doctor.installation.IMPORT_SECONDS", 1.0)
    (folder / "hangs.py").write_text("import time\ntime.sleep(3600)\n")
    says(await only("task sets", tasks="hangs:tasks"), Level.WARNING, "hangs:tasks")


@pytest.mark.parametrize(
    ("allow", "level", "word"),
    [
        ("", Level.OK, "public addresses only"),
        ("*.corp.example", Level.OK, "*.corp.example"),
        ("10.0.0.0/8", Level.WARNING, "10.0.0.0/8"),
        ("127.0.0.1:8443", Level.WARNING, "port 8443"),
        ("[fd00::/8]:443", Level.PROBLEM, "metadata"),
        ("fc00:1::/32", Level.WARNING, "fc00:1::/32"),
        ("169.254.0.0/16", Level.PROBLEM, "metadata"),
        ("0.0.0.0/0", Level.PROBLEM, "metadata"),
        ("10.0.0.1/8", Level.PROBLEM, "WEBHOOKD_EGRESS_ALLOW"),
    ],
)
async def test_egress_that_opens_what_is_not_public_is_found(
    allow: str, level: Level, word: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (("egress", dict(CHECKS)["egress"]),)
    monkeypatch.setattr("webhookd.wiring.doctor.examination.CHECKS", table)
    says(await only("egress", egress_allow=allow), level, word)


@pytest.mark.parametrize(
    ("set_here", "runs", "level", "word"),
    [
        ("", "127.0.0.0/8,::1/128", Level.WARNING, "up --dev"),
        ("10.1.2.3:8443", "10.1.2.3:8443,127.0.0.0/8,::1/128", Level.WARNING, "up --dev"),
        ("10.1.2.3", "10.1.2.3", Level.WARNING, "10.1.2.3"),
        ("", "", Level.OK, "public addresses only"),
    ],
)
async def test_egress_is_judged_by_what_runs(
    set_here: str, runs: str, level: Level, word: str, sqlite_url: str
) -> None:
    async with store_on(sqlite_url) as store:
        await running(store, egress_allow=runs)
    says(await only("egress", egress_allow=set_here), level, word)


async def test_process_with_another_egress_than_is_set_is_named(sqlite_url: str) -> None:
    async with store_on(sqlite_url) as store:
        await running(store, egress_allow="192.168.0.0/16")
    other, opened = await found("egress", egress_allow="*.corp.example")
    says(other, Level.WARNING, "deliver process 1 on elsewhere", "192.168.0.0/16")
    says(opened, Level.WARNING, "192.168.0.0/16")


async def running(store: Store, **detail: object) -> None:
    """A deliver worker, as its session tells of it."""
    await store.sessions.begin(
        session_id=new_id(ids.SESSION, now()),
        kind="deliver",
        host="elsewhere",
        pid=1,
        detail={"queues": [], "keys": [OLD_ID], **detail},
        now_ms=now(),
        lease_until_ms=now() + 600_000,
    )


# ── this machine ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A data dir every account could get to; pytest's own folders are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if not all(parent.stat().st_mode & 0o001 for parent in folder.parents):
            pytest.skip("no folder here is open to all")
        yield folder


async def test_keys_and_data_others_may_read_are_found(reachable: Path) -> None:
    await migrate(f"sqlite:///{reachable / 'webhookd.db'}")
    keys = reachable / "encryption.keys"
    keys.write_text(f"{OLD}\n")
    for path in (keys, reachable / "webhookd.db"):
        path.chmod(0o600)
    settings = {"data_dir": reachable, "encryption_keys": ""}
    says(await only("files", **settings), Level.WARNING, str(reachable), "chmod go-rwx")
    keys.chmod(0o644)
    says(await only("files", **settings), Level.PROBLEM, str(keys), "chmod -R o-rwx")
    keys.chmod(0o600)
    (reachable / "webhookd.db").chmod(0o604)
    says(await only("files", **settings), Level.PROBLEM, "webhookd.db")
    await asyncio.to_thread(reachable.chmod, 0o700)
    says(await only("files", **settings), Level.WARNING, "webhookd.db", "chmod go-rwx")
    (reachable / "webhookd.db").chmod(0o600)
    says(await only("files", **settings), Level.OK)
    await asyncio.to_thread(reachable.chmod, 0o777)
    says(await only("files", **settings), Level.PROBLEM, "put files into")


async def test_disk_nearly_full_is_found(sqlite_url: str, folder: Path) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    says(await only("disk", min_free_disk_bytes=0), Level.OK)
    says(await only("disk", min_free_disk_bytes=free // 2), Level.WARNING, "submissions get 503")
    says(await only("disk", min_free_disk_bytes=free * 2), Level.PROBLEM, "WEBHOOKD_MIN_FREE_DISK_BYTES")


# ── the services ────────────────────────────────────────────────────────────────────────────────────────────


async def test_database_that_is_not_there_or_not_ours_is_found(folder: Path, valkey: ValkeyServer) -> None:
    diagnosis = await examine(broker_url=valkey.url)
    (finding,) = [one.finding for one in diagnosis.examined if one.check == "database"]
    says(finding, Level.PROBLEM, "no installation here")
    assert ("queues", "the database") in diagnosis.skipped
    assert not (folder / "webhookd.db").exists(), "looking must not make one"
    closed = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x"
    finding = await only("database", database_url=closed)
    says(finding, Level.PROBLEM, "WEBHOOKD_DATABASE_URL")
    assert "hunter2" not in finding.what
    (folder / "webhookd.db").write_bytes(b"no database at all" * 100)
    says(await only("database"), Level.PROBLEM, "not a database")


async def test_schema_that_is_missing_or_newer_is_found(postgres_url: str) -> None:
    says(await only("database", database_url=postgres_url), Level.PROBLEM, "not there", "webhookd migrate")
    await migrate(postgres_url)
    says(await only("database", database_url=postgres_url), Level.OK)
    async with store_on(postgres_url) as store:
        await change(store, text("UPDATE alembic_version SET version_num = '9999'"))
    diagnosis = await examine(database_url=postgres_url)
    levels = {one.check: one.finding for one in diagnosis.examined}
    says(levels["database"], Level.PROBLEM, "9999", "newer release")
    assert ("queues", "the database's schema") in diagnosis.skipped
    assert "clocks" in levels


async def test_database_in_another_encoding_and_pooler_are_found(postgres: Databases) -> None:
    url = postgres.create_database()
    await migrate(url)
    try:
        with PgBouncer(url) as pooler:
            says(await only("database", database_url=pooler.url(url)), Level.OK, "pooler")
    except ServiceMissing as error:
        missing(error)
    finally:
        postgres.drop_database(url)
    name = new_id(ids.SESSION, 0)
    postgres.execute(
        f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    url = f"{postgres.admin_url.rpartition('/')[0]}/{name}"
    says(await only("database", database_url=url), Level.PROBLEM, "LATIN1", "UTF8")
    postgres.drop_database(url)


async def test_postgresql_that_does_not_keep_its_commits_is_found(crashable_postgres: PostgresServer) -> None:
    url = crashable_postgres.create_database()
    says(await only("durability", database_url=url), Level.OK, "18")
    name = url.rpartition("/")[2]
    crashable_postgres.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    says(await only("durability", database_url=url), Level.PROBLEM, "synchronous_commit=off")
    crashable_postgres.execute("ALTER SYSTEM SET fsync = off")
    crashable_postgres.stop()
    crashable_postgres._fsync = False
    crashable_postgres.start()
    first, second = await found("durability", database_url=url)
    says(first, Level.PROBLEM, "fsync=off", "although it was answered with 202")
    says(second, Level.PROBLEM, "synchronous_commit=off")


async def test_sqlite_without_write_ahead_log_or_on_a_network_is_found(
    sqlite_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(await only("durability"), Level.OK)
    with closing(sqlite3.connect(folder / "webhookd.db")) as opened:
        assert opened.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    says(await only("durability"), Level.WARNING, "journal mode", "delete")
    says(await only("durability"), Level.OK)  # the look itself has opened it as webhookd does
    mounts = folder / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {folder} nfs4 rw 0 0\n")
    monkeypatch.setattr(services, "_MOUNTS", mounts)
    says(await only("durability"), Level.PROBLEM, "nfs4", "WEBHOOKD_DATABASE_URL")


async def test_broker_that_is_away_hangs_or_is_locked_is_found(sqlite_url: str, valkey: ValkeyServer) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    says(await only("broker", broker_url=url), Level.PROBLEM, "cannot connect", "No work is lost")
    says(await only("broker", broker_url="http://x"), Level.PROBLEM, "WEBHOOKD_BROKER_URL")
    valkey.freeze()
    try:
        says(await only("broker", broker_url=valkey.url), Level.PROBLEM, "no answer in time")
    finally:
        valkey.thaw()
    with valkey.client() as client:
        client.config_set("requirepass", "hunter2")
    says(await only("broker", broker_url=valkey.url), Level.PROBLEM, "access denied")


async def test_broker_short_of_memory_evicting_or_without_a_file_is_found(
    sqlite_url: str, valkey: ValkeyServer
) -> None:
    async def look() -> list[Finding]:
        return await found("broker", broker_url=valkey.url)

    assert [one.level for one in await look()] == [Level.OK, Level.OK]
    with valkey.client() as client:
        used = int(client.info("memory")["used_memory"])
        valkey.limit_memory(int(used * 1.15))
        says((await look())[1], Level.WARNING, "maxmemory")
        valkey.limit_memory(1024 * 1024)
        says((await look())[1], Level.PROBLEM, "it refuses writes")
        valkey.limit_memory(0)
        says((await look())[1], Level.OK, "without a limit")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        eviction, file = (await look())[2:]
        says(eviction, Level.WARNING, "allkeys-lru", "maxmemory-policy noeviction")
        says(file, Level.OK, "harmless")


# ── the work ────────────────────────────────────────────────────────────────────────────────────────────────


def now() -> int:
    return int(time.time() * 1000)


async def test_queue_that_is_paused_late_or_over_the_limit_is_found(sqlite_url: str) -> None:
    async with store_on(sqlite_url) as store:
        owner = await partner(store.db)
        await submit(store, task_of(owner, due_ms=now()))
        says(await only("queues"), Level.OK, "1 tasks wait")
        await change(store, tasks.update().values(due_ms=now() - 3_600_000))
        late, total = await found("queues")
        says(late, Level.WARNING, "60 min", "webhookd queues")
        await change(store, queues.update().values(paused_ms=1))
        paused, _ = await found("queues", max_queued=2)
        says(paused, Level.WARNING, "it is paused", "webhookd queues resume default")
        says((await found("queues", max_queued=1))[-1], Level.PROBLEM, "submissions get 503")
        assert total.level is Level.OK


async def test_queue_nobody_listens_to_is_found_once_somebody_works(sqlite_url: str) -> None:
    async with store_on(sqlite_url) as store:
        owner = await partner(store.db)
        await submit(store, task_of(owner))
        says(await only("processes"), Level.PROBLEM, "Nothing runs", "while tasks or deliveries wait")
        await store.sessions.begin(
            session_id=new_id(ids.SESSION, now()),
            kind="tasks",
            host="elsewhere",
            pid=1,
            detail={"queues": ["reports"], "keys": [OLD_ID]},
            now_ms=now(),
            lease_until_ms=now() + 60_000,
        )
        unheard, _ = await found("queues")
        says(unheard, Level.PROBLEM, "no worker takes from it", "webhookd worker --queues default")


async def test_tasks_of_types_nobody_has_are_found(sqlite_url: str, folder: Path) -> None:
    (folder / "others.py").write_text(
        "from webhookd import TaskSet\ntasks = TaskSet()\n"
        "@tasks.task('a.b')\ndef work(ctx, data: dict): return {}\n"
    )
    async with store_on(sqlite_url) as store:
        owner = await partner(store.db)
        await submit(store, task_of(owner, type="demo.echo"))
        scheduled = task_of(owner, type="demo.sleep", scheduled=True, due_ms=now() + 3_600_000)
        await submit(store, scheduled)
    says(await only("task types"), Level.OK)
    finding = await only("task types", tasks="others:tasks")
    says(finding, Level.PROBLEM, "1 of demo.echo, 1 of demo.sleep", "WEBHOOKD_TASKS")
    diagnosis = await examine(tasks="nowhere:tasks")
    assert ("task types", "the task sets") in diagnosis.skipped


async def test_endpoints_that_hold_back_or_fail_are_found(sqlite_url: str) -> None:
    async with store_on(sqlite_url) as store:
        owner = await partner(store.db)
        says(await only("endpoints"), Level.OK)
        disabled = await endpoint(
            store, owner, state="disabled", disabled_reason="gone", url="https://one.example/x?token=hunter2"
        )
        await message_to(store, disabled)
        await message_to(store, disabled)
        failing = await endpoint(store, owner)
        for _ in range(10):
            await dead_delivery(store, failing, now_ms=now())
        old = endpoints.update().where(endpoints.c.id == failing.id)
        await change(store, old.values(failing_since_ms=now() - 7_200_000))
    parked, fails, breaker = await found("endpoints")
    says(parked, Level.WARNING, f"{disabled.id} at one.example (gone): 2", "webhookd endpoints enable")
    assert "hunter2" not in parked.what
    says(fails, Level.WARNING, failing.id, "WEBHOOKD_DISABLE_AFTER_SECONDS")
    says(breaker, Level.WARNING, failing.id, "Circuit breakers")


async def test_dead_letters_that_pile_up_are_found(sqlite_url: str) -> None:
    async with store_on(sqlite_url) as store:
        owner = await partner(store.db)
        says(await only("dead letters"), Level.OK, "No dead letters")
        await ended_task(store, owner, End.FAILED, now_ms=now())
        target = await endpoint(store, owner)
        await message_to(store, target)
        (delivery,) = await due(store, now())
        assert await answered(store, delivery, EXHAUSTED, now_ms=now())
        says(await only("dead letters"), Level.OK, "2 dead letters wait")
        copies = [
            {**dict(row._mapping), "id": f"dlv_{number}"}
            for number in range(120)
            for row in await store.db.read(lambda tx: tx.conn.execute(deliveries.select()).all())
        ]
        await store.db.write(lambda tx: tx.conn.execute(deliveries.insert(), copies))
    says(await only("dead letters"), Level.WARNING, "122 dead letters", "webhookd replay --endpoint")
