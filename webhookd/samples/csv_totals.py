"""`csv.totals`: a table of any length summed up while it streams by, with memory for one line."""

import csv
import io
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from webhookd.samples.csv_summary import BAD, NUMBER, header_of
from webhookd.taskset import Fail, File, TaskContext, TaskSet

tasks = TaskSet()

_LINES_A_REPORT = 20_000


class TotalsInput(BaseModel):
    """`table` has a header line; fields are quoted after RFC 4180, in UTF-8."""

    table: File
    delimiter: Annotated[str, StringConstraints(pattern=r"^[,;|\t]$")] = ","


class ColumnTotals(BaseModel):
    """`numbers` is how many fields are numbers; the rest is of those. `count` is of fields not empty."""

    name: str
    count: int
    empty: int
    numbers: int
    min: float | None = None
    max: float | None = None
    sum: float | None = None
    mean: float | None = None


class Totals(BaseModel):
    """One entry per column, in the order of the header."""

    rows: int
    columns: list[ColumnTotals] = Field(max_length=500)


@dataclass(slots=True)
class _Tally:
    count: int = 0
    empty: int = 0
    numbers: int = 0
    least: float = float("inf")
    most: float = float("-inf")
    total: float = 0.0

    def add(self, field: str) -> None:
        if not field:
            self.empty += 1
            return
        self.count += 1
        if NUMBER.fullmatch(field):
            number = float(field)
            self.numbers += 1
            self.total += number
            self.least, self.most = min(self.least, number), max(self.most, number)

    def totals(self, name: str) -> ColumnTotals:
        shown = ColumnTotals(name=name, count=self.count, empty=self.empty, numbers=self.numbers)
        if not self.numbers:
            return shown
        return shown.model_copy(
            update={
                "min": self.least,
                "max": self.most,
                "sum": self.total,
                "mean": self.total / self.numbers,
            }
        )


@tasks.task("csv.totals", timeout=900, output=Totals)
def totals(ctx: TaskContext, data: TotalsInput) -> Totals:
    """Sum up the columns of a CSV file of any length, reading it once."""
    rows = 0
    with data.table.open() as opened, io.TextIOWrapper(opened, "utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=data.delimiter, strict=True)
        try:
            names = header_of(next(reader, []))
            tallies = [_Tally() for _ in names]
            for record in reader:
                if not record:
                    continue
                if len(record) != len(names):
                    many = f"{len(record)} fields, but the header has {len(names)}"
                    raise Fail(BAD, f"line {reader.line_num} has {many}")
                for tally, field in zip(tallies, record, strict=True):
                    tally.add(field.strip())
                rows += 1
                if rows % _LINES_A_REPORT == 0:
                    ctx.raise_if_cancelled()
                    ctx.progress(100 * opened.tell() / max(1, data.table.size), f"{rows:,} rows")
        except csv.Error as error:
            raise Fail(BAD, f"line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise Fail(BAD, f"near line {reader.line_num}: this is not UTF-8") from error
    return Totals(rows=rows, columns=[one.totals(name) for name, one in zip(names, tallies, strict=True)])
