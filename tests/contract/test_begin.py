"""BEGIN goes with the first statement of its transaction, and whatever that is, it is answered as ever."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from webhookd.adapters.store.drivers.server import _BeginsAlong


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(postgres_url, connection_class=_BeginsAlong)
    await opened.execute("CREATE TABLE seen (n integer PRIMARY KEY)")
    yield opened
    await opened.close()


async def _seen(connection: asyncpg.Connection) -> list[int]:
    assert not connection.is_in_transaction()
    return [row["n"] for row in await connection.fetch("SELECT n FROM seen ORDER BY n")]


async def test_begin_is_not_waited_for(connection: asyncpg.Connection) -> None:
    transaction = connection.transaction()
    with pytest.raises(StopIteration):
        transaction.start().send(None)  # it ends without having waited for anything

    assert await connection.fetch("INSERT INTO seen VALUES (1), (2) RETURNING n") == [(1,), (2,)]
    assert connection.is_in_transaction()
    await transaction.rollback()

    assert await _seen(connection) == []


async def test_a_first_statement_that_changes_is_told_how_much(connection: asyncpg.Connection) -> None:
    statement = await connection.prepare("INSERT INTO seen SELECT generate_series(1, $1)")
    async with connection.transaction():
        assert await statement.fetch(3) == []
        assert statement.get_statusmsg() == "INSERT 0 3"
    assert await _seen(connection) == [1, 2, 3]


async def test_a_transaction_may_begin_with_a_cursor(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        assert [row["n"] async for row in connection.cursor("SELECT 1 AS n", prefetch=1)] == [1]


@pytest.mark.parametrize(
    ("statement", "values"),
    [("INSERT INTO seen VALUES (1)", ()), ("SELEC", ()), ("SELECT $1::integer", ("none",))],
)
async def test_a_first_statement_that_fails_undoes_the_transaction(
    connection: asyncpg.Connection, statement: str, values: tuple[str, ...]
) -> None:
    await connection.execute("INSERT INTO seen VALUES (1)")
    with pytest.raises((asyncpg.PostgresError, asyncpg.DataError)):
        async with connection.transaction():
            await connection.fetch(statement, *values)

    async with connection.transaction():
        await connection.execute("INSERT INTO seen VALUES (2)")
    assert await _seen(connection) == [1, 2]


@pytest.mark.parametrize("committed", [True, False])
async def test_a_transaction_of_nothing_ends_as_well(connection: asyncpg.Connection, committed: bool) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await (transaction.commit() if committed else transaction.rollback())

    assert await _seen(connection) == []
