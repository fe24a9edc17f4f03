"""The rows of runs, the runs they stand for, and adding them to a task's history."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson

from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.rowset import insert_rows
from webhookd.adapters.store.schema import runs
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tx import Tx
from webhookd.core.outcome import Raised
from webhookd.core.records import Run


class RunRow(NamedTuple):
    """A row of `runs`."""

    task_id: str
    token: int
    attempt: int
    started_ms: int
    finished_ms: int
    outcome: str
    error_code: str | None
    error_message: str | None
    host: str | None
    pid: int | None
    log: str | None
    raised: str | None


class ShortRunRow(NamedTuple):
    """What a timeline reads of a run; the rest may be large."""

    task_id: str
    token: int
    attempt: int
    started_ms: int
    finished_ms: int
    outcome: str
    error_code: str | None
    error_message: str | None


def run_from(row: RunRow | ShortRunRow) -> Run:
    """Return the run of a row."""
    if isinstance(row, ShortRunRow):
        return filled(Run, row)
    log = () if row.log is None else tuple(orjson.loads(row.log))
    raised = None if row.raised is None else Raised(**orjson.loads(row.raised))
    return filled(Run, row, log=log, raised=raised)


_ADD: Final = Change(lambda dialect: insert_rows(dialect, runs, "runs_in", RunRow))


def write_runs(tx: Tx, finished: Iterable[Run]) -> None:
    """Add runs to the tasks' histories."""
    tx.later(_ADD, runs_in=map(_row, finished))


def _row(run: Run) -> RunRow:
    return filled(
        RunRow,
        run,
        log=orjson.dumps(run.log).decode() if run.log else None,
        raised=None if run.raised is None else orjson.dumps(run.raised).decode(),
    )
