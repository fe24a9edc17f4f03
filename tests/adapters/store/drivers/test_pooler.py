"""Through a real PgBouncer in transaction mode, where the next transaction may be in another session."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.conftest import missing
from tests.support.pooler import PgBouncer
from tests.support.seeds import NOW, SESSION, due, endpoint, partner
from tests.support.sending import answer
from tests.support.services import Databases, ServiceMissing
from tests.support.work import claim, finish, submission_of, submit, task_of
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.drivers.server import IDLE_TRANSACTION, PLANNER
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault, generate_key


@pytest.fixture(scope="module")
def bouncer(postgres: Databases) -> Iterator[PgBouncer]:
    try:
        pooler = PgBouncer(postgres.admin_url)
    except ServiceMissing as error:
        missing(error)
    with pooler:
        yield pooler


@pytest.fixture
def pooled_url(bouncer: PgBouncer, postgres: Databases) -> Iterator[str]:
    url = postgres.create_database()
    yield bouncer.url(url)
    postgres.drop_database(url)


@pytest.fixture
async def pooled(pooled_url: str) -> AsyncIterator[Store]:
    await migrate(pooled_url)
    database = await Database.open(pooled_url, writes_apart=True)
    store = Store(database, Vault([generate_key()]))
    await store.sessions.begin(
        session_id=SESSION, kind="tasks", host="test", pid=1, detail={}, now_ms=NOW, lease_until_ms=10 * NOW
    )
    yield store
    await store.close()


async def test_a_pooler_is_known_and_a_server_is_not_taken_for_one(
    pooled_url: str, postgres_url: str
) -> None:
    for url, is_pooled in ((pooled_url, True), (postgres_url, False)):
        database = await Database.open(url)
        assert database.pooled is is_pooled
        await database.close()


async def test_many_migrate_at_once_through_it(pooled_url: str) -> None:
    before = await asyncio.gather(*(migrate(pooled_url) for _ in range(4)))
    assert Counter(one is None for one, _ in before) == {True: 1, False: 3}


async def test_work_goes_its_whole_way_through_it(pooled: Store, pooled_url: str) -> None:
    """Several processes' worth of transactions at once, in fewer sessions than there are connections."""
    owner = await partner(pooled.db)
    await endpoint(pooled, owner)
    other = await Database.open(pooled_url)

    async def one(number: int) -> None:
        await pooled.tasks.submit(submission_of(task_of(owner, now_ms=NOW + number), key=f"k{number}"))
        await other.read(lambda tx: tx.conn.execute(text("SELECT count(*) FROM tasks")).scalar_one())
        await pooled.tasks.get("task_0", owner)

    await asyncio.gather(*(one(number) for number in range(60)))
    ended = 0
    while claimed := (await claim(pooled, 20)).tasks:
        await asyncio.gather(*(finish(pooled, task) for task in claimed))
        ended += len(claimed)
    assert ended == 60
    delivered = 0
    while sent := await due(pooled, NOW + 1000):
        await asyncio.gather(*(answer(pooled, delivery, 200, now_ms=NOW + 1000) for delivery in sent))
        delivered += len(sent)
    assert delivered == 60
    await other.close()


async def test_every_transaction_plans_as_it_should_and_leaves_nothing_behind(
    pooled: Store,
) -> None:
    expected = {**PLANNER, IDLE_TRANSACTION: "15s"}
    names = ", ".join(f"current_setting('{name}')" for name in expected)

    def settings(tx: Tx) -> list[str]:
        return list(tx.conn.execute(text(f"SELECT {names}")).one())

    for work in (pooled.db.read(settings), pooled.db.write(settings)):
        assert await work == list(expected.values())

    def prepared(tx: Tx) -> Any:
        return tx.conn.execute(text("SELECT name FROM pg_prepared_statements")).all()

    owner = await partner(pooled.db)
    await asyncio.gather(*(submit(pooled, task_of(owner)) for _ in range(5)))
    for _ in range(10):
        assert await pooled.db.read(prepared) == []


async def test_a_role_that_plans_so_by_itself_is_not_told_again(pooled_url: str, postgres: Databases) -> None:
    name = pooled_url.rpartition("/")[2]
    for setting, value in PLANNER.items():
        postgres.execute(f'ALTER DATABASE "{name}" SET {setting} = {value}')
    database = await Database.open(pooled_url)
    await database.read(lambda tx: tx.conn.execute(text("SELECT 1")))
    driver: Any = database._driver
    assert not driver._readers.sync_engine.dispatch.begin
    await database.close()
