"""`report.statement`: an account statement as a PDF."""

import base64
import hashlib
import random
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from webhookd.taskset import TaskContext, TaskSet

if TYPE_CHECKING:
    from fpdf import FPDF

tasks = TaskSet()

INLINE_BYTES = 65_536
_COLUMNS = (
    (28, "L"),
    (122, "L"),
    (40, "R"),
)  # width in mm, alignment; together an A4 page within its margins
_EXAMPLE_TEXTS = ("Card payment", "Standing order", "Transfer received", "Direct debit", "Cash withdrawal")


class Line(BaseModel):
    """One booking. `amount` is negative for money that left the account."""

    on: date
    text: Annotated[str, StringConstraints(max_length=100)]
    amount: Decimal = Field(max_digits=15, decimal_places=2)


class StatementInput(BaseModel):
    """Only `account` is required: without `lines`, the statement shows made-up ones for its period."""

    account: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    period: Annotated[str, StringConstraints(pattern=r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])$")] = "2026-11"
    lines: list[Line] | None = Field(default=None, max_length=1_000)


class Statement(BaseModel):
    """What is true of the PDF, which is attached; while it is small, it is here in base64 too."""

    account: str
    period: str
    lines: int
    balance: Decimal
    pages: int
    size_bytes: int
    sha256: str
    content_type: str = "application/pdf"
    pdf_base64: str | None


@tasks.task("report.statement", queue="reports", timeout=300, max_attempts=3, output=Statement)
def statement(ctx: TaskContext, data: StatementInput) -> Statement:
    """Write an account statement as a PDF."""
    lines = _example_lines(data) if data.lines is None else data.lines
    balance = sum((line.amount for line in lines), Decimal("0.00"))
    pdf, pages = _pdf(ctx, data, lines, balance)
    ctx.attach("statement.pdf", pdf, content_type="application/pdf")
    return Statement(
        account=data.account,
        period=data.period,
        lines=len(lines),
        balance=balance,
        pages=pages,
        size_bytes=len(pdf),
        sha256=hashlib.sha256(pdf).hexdigest(),
        pdf_base64=base64.b64encode(pdf).decode("ascii") if len(pdf) <= INLINE_BYTES else None,
    )


def _example_lines(data: StatementInput) -> list[Line]:
    """The same account and period always give the same bookings."""
    chance = random.Random(f"{data.account} {data.period}")  # noqa: S311 -- made-up bookings, no secret
    first = date.fromisoformat(f"{data.period}-01")
    days = sorted(chance.randrange(28) for _ in range(12))
    return [
        Line(
            on=first + timedelta(days=day),
            text=chance.choice(_EXAMPLE_TEXTS),
            amount=Decimal(chance.randint(-20_000, 25_000)).scaleb(-2),
        )
        for day in days
    ]


def _pdf(ctx: TaskContext, data: StatementInput, lines: list[Line], balance: Decimal) -> tuple[bytes, int]:
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_title(_printable(f"Statement {data.account} {data.period}"))
    pdf.add_page()
    pdf.set_font("Helvetica", style="B", size=16)
    pdf.cell(0, 10, "Account statement", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=10)
    pdf.multi_cell(0, 6, _printable(f"Account {data.account}\nPeriod {data.period}"))
    pdf.ln(4)
    _row(pdf, ("Date", "Text", "Amount"), style="B")
    for number, line in enumerate(lines):
        if number % 100 == 0:
            ctx.raise_if_cancelled()
            ctx.progress(100 * number / len(lines), f"{len(lines):,} lines")
        _row(pdf, (line.on.isoformat(), line.text, f"{line.amount:,.2f}"))
    _row(pdf, ("", "Balance", f"{balance:,.2f}"), style="B")
    return bytes(pdf.output()), pdf.pages_count


def _row(pdf: "FPDF", texts: tuple[str, str, str], *, style: Literal["", "B"] = "") -> None:
    pdf.set_font("Helvetica", style=style, size=10)
    for (width_mm, align), text in zip(_COLUMNS, texts, strict=True):
        shown = _printable(text)
        while pdf.get_string_width(shown) > width_mm - 2:
            shown = shown[:-1]
        pdf.cell(width_mm, 6, shown, border="B", align=align)
    pdf.ln()


def _printable(text: str) -> str:
    """What the built-in fonts of PDF can show (Latin-1); the rest becomes question marks."""
    return text.encode("latin-1", "replace").decode("latin-1")
