"""`csv.summary`: what is in the columns of a table."""

import csv
import io
import re
import statistics
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from webhookd.taskset import Fail, TaskContext, TaskSet

tasks = TaskSet()

BAD = "bad_csv"
_MAX_COLUMNS = 500
# Decimal numbers as spreadsheets write them; float() would take `nan`, `1_000` and Arabic digits too.
# Two digits of exponent keep every sum finite.
NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")


class CsvInput(BaseModel):
    """`csv` has a header line; fields are quoted after RFC 4180."""

    csv: str
    delimiter: Annotated[str, StringConstraints(pattern=r"^[,;|\t]$")] = ","


class Column(BaseModel):
    """`count` is of the fields that are not empty. `min` to `median` are set for columns of numbers."""

    name: str
    kind: str = Field(description="`number` where every field that is not empty is one, else `text`")
    count: int
    empty: int
    distinct: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    median: float | None = None


class Summary(BaseModel):
    """One entry per column, in the order of the header."""

    rows: int
    columns: list[Column]


@tasks.task("csv.summary", timeout=60, output=Summary)
def summary(ctx: TaskContext, data: CsvInput) -> Summary:
    """Count, and for numbers compute, what is in each column of a CSV table."""
    lines = _records(data)
    header = header_of(next(lines, (0, []))[1])
    fields: list[list[str]] = [[] for _ in header]
    rows = 0
    for line_number, record in lines:
        if len(record) != len(header):
            raise Fail(BAD, f"line {line_number} has {len(record)} fields, but the header has {len(header)}")
        for column, field in zip(fields, record, strict=True):
            column.append(field.strip())
        rows += 1
    columns = []
    for number, (name, column) in enumerate(zip(header, fields, strict=True)):
        ctx.raise_if_cancelled()
        ctx.progress(100 * number / len(header), f"column {name}")
        columns.append(_summed_up(name, column))
    return Summary(rows=rows, columns=columns)


def _records(data: CsvInput) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of the line it ends on; empty lines are no records."""
    text = data.csv.removeprefix("\ufeff")  # spreadsheets put a byte order mark in front
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=data.delimiter, strict=True)
    try:
        for record in reader:
            if record:
                yield reader.line_num, record
    except csv.Error as error:
        raise Fail(BAD, f"line {reader.line_num}: {error}") from error


def header_of(record: list[str]) -> list[str]:
    names = [name.strip() for name in record]
    if not names:
        raise Fail(BAD, "there is no header line")
    if len(names) > _MAX_COLUMNS:
        raise Fail(BAD, f"there are {len(names)} columns, at most {_MAX_COLUMNS} are summed up")
    if not all(names):
        raise Fail(BAD, f"column {names.index('') + 1} has no name")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Fail(BAD, f"there are two columns named {twice!r}")
    return names


def _summed_up(name: str, fields: list[str]) -> Column:
    present = [field for field in fields if field]
    column = Column(
        name=name,
        kind="text",
        count=len(present),
        empty=len(fields) - len(present),
        distinct=len(set(present)),
    )
    if not present or not all(NUMBER.fullmatch(field) for field in present):
        return column
    numbers = [float(field) for field in present]
    return column.model_copy(
        update={
            "kind": "number",
            "min": min(numbers),
            "max": max(numbers),
            "mean": statistics.fmean(numbers),
            "median": statistics.median(numbers),
        }
    )
