"""A statement that fails tells its place and never its values: not in logs, answers or tracebacks."""

import asyncio
import io
import logging
import traceback
from collections.abc import Callable, Sequence

import pytest
import structlog
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select, text

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.rowset import insert_rows, pack
from webhookd.adapters.store.tx import Tx
from webhookd.api.problems import problem_answer
from webhookd.core.errors import StoreFault

SECRET = "s3cr3t-of-a-partner"

unique = Table(
    "once", MetaData(), Column("key", Text, primary_key=True), Column("size", Integer, nullable=False)
)


def _twice(tx: Tx) -> None:
    tx.conn.execute(insert(unique), {"key": SECRET, "size": 1})
    tx.conn.execute(insert(unique), {"key": SECRET, "size": 1})


def _null(tx: Tx) -> None:
    tx.conn.execute(insert(unique), {"key": SECRET, "size": None})


def _packed(tx: Tx) -> None:
    rows = pack([(SECRET, None)])
    tx.conn.execute(insert_rows(tx.dialect, unique, "rows", ("key", "size")), {"rows": rows})


def _wrong_type(tx: Tx) -> None:
    kind = "int8" if tx.dialect == "postgresql" else "no_such_type('"
    tx.conn.execute(text(f"SELECT CAST(CAST(:value AS text) AS {kind})"), {"value": SECRET})


def _not_json(tx: Tx) -> None:
    json = "CAST(:value AS json)" if tx.dialect == "postgresql" else "json(:value)"
    tx.conn.execute(text(f"SELECT {json}"), {"value": f'{{"a": {SECRET}'})


def _wrong_value(tx: Tx) -> None:
    tx.conn.execute(select(unique).where(unique.c.size == text(":size")), {"size": [SECRET]})


def _no_such_table(tx: Tx) -> None:
    tx.conn.execute(text("SELECT :value FROM no_such_table"), {"value": SECRET})


@pytest.fixture
async def table(database: Database) -> Database:
    await database.write(lambda tx: unique.create(tx.conn))
    return database


@pytest.mark.parametrize(
    "work", [_twice, _null, _packed, _wrong_type, _not_json, _wrong_value, _no_such_table]
)
async def test_failing_statement_tells_no_value_anywhere(
    table: Database, work: Callable[[Tx], None], caplog: pytest.LogCaptureFixture
) -> None:
    def in_a_group(tx: Tx, payloads: Sequence[int]) -> list[int | Exception]:
        work(tx)
        return list(payloads)

    caplog.set_level(logging.DEBUG)
    errors = await asyncio.gather(
        table.write(work),
        table.read(work),
        table.grouped(in_a_group, 1),
        return_exceptions=True,
    )
    lines = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(lines),
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    )
    for error in errors:
        assert isinstance(error, Exception)
        assert isinstance(error, StoreFault) or table.dialect == "sqlite"
        log.error("request_failed", exc_info=error)
        lines.write("".join(traceback.format_exception(error)))
        lines.write(problem_answer(error, trace_id="0").body.decode())
    assert SECRET not in lines.getvalue()
    assert SECRET not in caplog.text
    if errors[0].__class__ is StoreFault:
        assert "SELECT" in lines.getvalue() or "INSERT" in lines.getvalue(), "it tells which statement"
