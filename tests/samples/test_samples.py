"""The sample types do real work: their output is opened again and checked."""

import asyncio
import base64
import hashlib
import io
import re
import statistics
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from webhookd import Fail, File, TaskContext
from webhookd.samples import tasks, work
from webhookd.samples.csv_summary import Summary
from webhookd.samples.csv_totals import Totals, TotalsInput
from webhookd.samples.statement import Statement
from webhookd.samples.thumbnail import Thumbnail, ThumbnailInput

RESULT_LIMIT_BYTES = 256 * 1024


def run(type_name: str, raw_input: Any, ctx: TaskContext | None = None) -> Any:
    """What the runner does, without its threads."""
    definition = tasks[type_name]
    result = definition.function(ctx or TaskContext(), definition.parse_input(raw_input))
    return asyncio.run(result) if definition.is_async else result


def paths(type_name: str, raw_input: Any) -> list[str]:
    return [error.path for error in tasks[type_name].validate_input(raw_input)]


def png(width: int, height: int, mode: str = "RGB", colour: Any = "red") -> str:
    return encoded(Image.new(mode, (width, height), colour), "png")


def encoded(picture: Image.Image, file_format: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def reopened(thumbnail: Thumbnail) -> Image.Image:
    assert thumbnail.image_base64 is not None
    content = base64.b64decode(thumbnail.image_base64)
    assert thumbnail.size_bytes == len(content)
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert picture.size == (thumbnail.width, thumbnail.height)
    assert thumbnail.content_type == f"image/{(picture.format or '').lower()}"
    return picture


def pdf_texts(pdf: bytes) -> str:
    """All that is shown on the pages: the operands of Tj in the unpacked content streams."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    shown = [
        text
        for stream in streams
        for text in re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", zlib.decompress(stream))
    ]
    return b"\n".join(shown).decode("latin-1")


def page_count(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def test_all_types_of_the_contract_ship_on_their_queues() -> None:
    assert {definition.type: definition.queue for definition in tasks} == {
        "demo.echo": "default",
        "demo.sleep": "default",
        "demo.fail": "default",
        "report.statement": "reports",
        "image.thumbnail": "images",
        "csv.summary": "default",
        "csv.totals": "default",
    }
    assert all(definition.description for definition in tasks)


def test_work_is_all_that_ships_but_the_demos() -> None:
    left_out = {one.type for one in tasks} - {one.type for one in work}
    assert left_out == {"demo.echo", "demo.sleep", "demo.fail"}
    assert all(one.output_schema() for one in work)


def test_the_api_loads_no_heavy_library_for_the_schemas() -> None:
    script = (
        "import sys; from webhookd.samples import tasks; [d.input_schema() for d in tasks];"
        "print(sorted({'fpdf', 'PIL', 'dramatiq'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_echo_returns_its_input() -> None:
    raw = {"deep": [1, None, {"ä": "ö"}]}
    assert run("demo.echo", raw) == raw
    assert run("demo.echo", {}) == {}


def test_sleep_reports_progress_up_to_the_end() -> None:
    heard: list[float | None] = []
    ctx = TaskContext(on_progress=lambda percent, _message: heard.append(percent))
    assert run("demo.sleep", {"seconds": 0.12}, ctx) == {"slept_seconds": 0.12}
    assert heard[0] is not None
    assert heard[0] < 50
    assert heard[-1] == 100
    assert heard == sorted(heard, key=lambda percent: percent or 0)
    assert run("demo.sleep", {"seconds": 0}) == {"slept_seconds": 0}


async def test_sleep_ends_when_it_is_cancelled() -> None:
    definition = tasks["demo.sleep"]
    begun = asyncio.Event()
    ctx = TaskContext(on_progress=lambda _percent, _message: begun.set())
    sleeping = asyncio.ensure_future(definition.function(ctx, definition.parse_input({"seconds": 3600})))
    await begun.wait()
    sleeping.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await sleeping


@pytest.mark.parametrize("raw", [{}, {"seconds": -1}, {"seconds": 3601}, {"seconds": "long"}])
def test_sleep_takes_up_to_an_hour(raw: dict[str, Any]) -> None:
    assert paths("demo.sleep", raw) == ["$.input.seconds"]


def test_fail_fails_as_often_as_asked() -> None:
    for attempt in (1, 2):
        with pytest.raises(RuntimeError, match=f"attempt {attempt} fails"):
            run("demo.fail", {"times": 2}, TaskContext(attempt=attempt))
    assert run("demo.fail", {"times": 2}, TaskContext(attempt=3)) == {"attempt": 3}
    assert paths("demo.fail", {"times": -1}) == ["$.input.times"]


def test_a_statement_needs_only_an_account() -> None:
    statement = run("report.statement", {"account": "A-1"})
    assert isinstance(statement, Statement)
    assert statement.pdf_base64 is not None
    pdf = base64.b64decode(statement.pdf_base64)
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert (statement.pages, page_count(pdf)) == (1, 1)
    assert (statement.size_bytes, statement.sha256) == (len(pdf), hashlib.sha256(pdf).hexdigest())
    assert "Account A-1" in pdf_texts(pdf)
    assert f"{statement.balance:,.2f}" in pdf_texts(pdf)
    assert statement.lines == 12
    assert run("report.statement", {"account": "A-1"}).balance == statement.balance


def test_a_statement_shows_the_lines_it_was_given() -> None:
    lines = [
        {"on": "2026-10-01", "text": "Opening (balance)", "amount": "1234.50"},
        {"on": "2026-10-31", "text": "Miete \u6771\u4eac", "amount": -34.5},
    ]
    statement = run("report.statement", {"account": "Z\u00fcrich", "period": "2026-10", "lines": lines})
    shown = pdf_texts(base64.b64decode(statement.pdf_base64))
    for text in (
        "Account Z\u00fcrich",
        "Period 2026-10",
        "Opening \\(balance\\)",
        "Miete ??",
        "1,234.50",
        "-34.50",
    ):
        assert text in shown
    assert "1,200.00" in shown
    assert orjson.loads(statement.model_dump_json())["balance"] == "1200.00"


def test_the_longest_statement_fits_into_a_result() -> None:
    chance = [chr(33 + (7 * n * n + 3 * n) % 93) for n in range(100_000)]
    lines = [
        {"on": "2026-11-01", "text": "".join(chance[n * 100 : n * 100 + 100]), "amount": n}
        for n in range(1000)
    ]
    statement = run("report.statement", {"account": "W" * 100, "lines": lines})
    assert page_count(base64.b64decode(statement.pdf_base64)) == statement.pages > 10
    assert len(statement.model_dump_json()) < RESULT_LIMIT_BYTES
    assert paths("report.statement", {"account": "A", "lines": [*lines, lines[0]]}) == ["$.input.lines"]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, "$.input.account"),
        ({"account": ""}, "$.input.account"),
        ({"account": 7}, "$.input.account"),
        ({"account": "A", "period": "2026-13"}, "$.input.period"),
        ({"account": "A", "period": "0000-01"}, "$.input.period"),
        ({"account": "A", "lines": [{"on": "2026-02-30", "text": "", "amount": 1}]}, "$.input.lines[0].on"),
        (
            {"account": "A", "lines": [{"on": "2026-02-01", "text": "", "amount": "0.001"}]},
            "$.input.lines[0].amount",
        ),
    ],
)
def test_a_wrong_statement_is_refused_at_submission(raw: dict[str, Any], path: str) -> None:
    assert paths("report.statement", raw) == [path]


def test_a_thumbnail_fits_its_box_and_keeps_its_proportions() -> None:
    thumbnail = run("image.thumbnail", {"image": png(400, 200), "width": 100, "height": 100})
    picture = reopened(thumbnail)
    assert picture.size == (100, 50)
    assert (thumbnail.source_width, thumbnail.source_height) == (400, 200)
    assert picture.convert("RGB").getpixel((50, 25)) == (255, 0, 0)


def test_a_small_picture_is_not_enlarged() -> None:
    assert reopened(run("image.thumbnail", {"image": png(10, 20)})).size == (10, 20)


def test_without_a_picture_one_is_made_up() -> None:
    assert reopened(run("image.thumbnail", {})).size == (128, 96)


def test_the_largest_box_of_the_made_up_picture_fits_into_a_result() -> None:
    for file_format in ("png", "jpeg"):
        thumbnail = run("image.thumbnail", {"width": 1024, "height": 1024, "format": file_format})
        assert len(thumbnail.model_dump_json()) < RESULT_LIMIT_BYTES


@pytest.mark.parametrize(
    ("mode", "colour", "file_format", "seen"),
    [
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("LA", (0, 255), "png", (0, 0, 0)),
        ("P", 0, "png", (0, 0, 0)),
        ("1", 1, "png", (255, 255, 255)),
        ("L", 128, "jpeg", (128, 128, 128)),
        ("CMYK", (0, 0, 0, 0), "jpeg", (255, 255, 255)),
    ],
)
def test_pictures_of_every_kind_become_jpegs(mode: str, colour: Any, file_format: str, seen: Any) -> None:
    image = encoded(Image.new(mode, (50, 50), colour), file_format)
    picture = reopened(run("image.thumbnail", {"image": image, "width": 20, "format": "jpeg"}))
    assert picture.getpixel((10, 10)) == pytest.approx(seen, abs=2)
    assert reopened(run("image.thumbnail", {"image": image, "width": 20})).format == "PNG"


def test_a_photograph_is_turned_the_right_way_up() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF 2.3, Orientation: turn clockwise
    image = encoded(Image.new("RGB", (200, 100)), "jpeg", exif=exif)
    assert reopened(run("image.thumbnail", {"image": image, "width": 50, "height": 50})).size == (25, 50)


def png_without_pixels(width: int, height: int) -> bytes:
    """A PNG that claims a size, and whose pixels are missing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [6_400, 10_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    bomb = base64.b64encode(png_without_pixels(side, side)).decode()
    with pytest.raises(Fail) as caught:
        run("image.thumbnail", {"image": bomb})
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"not a picture", png_without_pixels(10, 10), base64.b64decode(png(50, 50))[:-30]],
    ids=["empty", "gif", "text", "no pixels", "cut off"],
)
def test_what_is_no_picture_fails_for_good(content: bytes) -> None:
    with pytest.raises(Fail) as caught:
        run("image.thumbnail", {"image": base64.b64encode(content).decode()})
    assert caught.value.code == "invalid_image"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"image": "not base64!"}, "$.input.image"),
        ({"image": "\u00e4"}, "$.input.image"),
        ({"width": 0}, "$.input.width"),
        ({"height": 1025}, "$.input.height"),
        ({"format": "gif"}, "$.input.format"),
    ],
)
def test_a_wrong_thumbnail_is_refused_at_submission(raw: dict[str, Any], path: str) -> None:
    assert set(paths("image.thumbnail", raw)) == {path}


def test_a_summary_counts_and_computes() -> None:
    table = 'name,age,score\r\nAnn,30,1.5\r\nBob,41,-2e1\r\n"Ann",35,\r\nCarl,28,.25\r\n'
    summary = run("csv.summary", {"csv": table})
    assert isinstance(summary, Summary)
    name, age, score = summary.columns
    assert summary.rows == 4
    assert (name.kind, name.count, name.empty, name.distinct, name.mean) == ("text", 4, 0, 3, None)
    assert (age.kind, age.min, age.max, age.mean, age.median) == ("number", 28, 41, 33.5, 32.5)
    assert (score.kind, score.count, score.empty, score.distinct) == ("number", 3, 1, 3)
    assert (score.min, score.max, score.median) == (-20, 1.5, 0.25)
    assert score.mean == pytest.approx(statistics.fmean([1.5, -20, 0.25]))


def test_a_summary_knows_quotes_delimiters_and_the_byte_order_mark() -> None:
    summary = run("csv.summary", {"csv": '\ufeffa;b\n"1;5\n";2\n\n', "delimiter": ";"})
    assert summary.rows == 1
    assert [(column.name, column.kind) for column in summary.columns] == [("a", "text"), ("b", "number")]


@pytest.mark.parametrize("field", ["nan", "inf", "1_000", "\u0661", "0x1", "1,5", "1e999", "--1"])
def test_what_only_looks_like_a_number_is_text(field: str) -> None:
    (column,) = run("csv.summary", {"csv": f"a\n{field}\n", "delimiter": ";"}).columns
    assert column.kind == "text"


def test_a_header_alone_is_a_table_of_no_rows() -> None:
    (column,) = run("csv.summary", {"csv": "a"}).columns
    assert (column.kind, column.count, column.distinct) == ("text", 0, 0)


def test_the_largest_numbers_still_have_a_mean() -> None:
    (column,) = run("csv.summary", {"csv": "a\n" + "9e99\n" * 100}).columns
    assert column.mean == column.median == 9e99


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "there is no header line"),
        ("\n\n", "there is no header line"),
        ("a,,b\n", "column 2 has no name"),
        ("a,b,a\n", "two columns named 'a'"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, but the header has 2"),
        ("a,b\n1,2,3\n", "line 2 has 3 fields, but the header has 2"),
        ('a\n"open', "line 2: unexpected end of data"),
        ('a\n"b"c\n', "line 2: "),
        (",".join(f"c{n}" for n in range(501)), "501 columns, at most 500"),
    ],
)
def test_a_bad_table_fails_for_good_and_says_where(table: str, message: str) -> None:
    with pytest.raises(Fail) as caught:
        run("csv.summary", {"csv": table})
    assert caught.value.code == "bad_csv"
    assert message in caught.value.message


def test_a_thumbnail_takes_a_file_and_attaches_one(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(base64.b64decode(png(300, 200)))
    ctx = TaskContext()

    made = tasks["image.thumbnail"].function(
        ctx, ThumbnailInput(image=File.local(tmp_path / "photo.png"), width=30, height=30)
    )

    (attached,) = ctx.attached
    assert (attached.name, attached.content_type) == ("thumbnail.png", "image/png")
    with Image.open(attached.path) as picture:
        assert picture.size == (made.width, made.height) == (30, 20)


def test_a_statement_attaches_its_pdf() -> None:
    ctx = TaskContext()
    run("report.statement", {"account": "A-1"}, ctx)

    (attached,) = ctx.attached
    assert (attached.name, attached.content_type) == ("statement.pdf", "application/pdf")
    assert page_count(Path(attached.path).read_bytes()) == 1


def totals_of(path: Path, text: str, **options: Any) -> Totals:
    path.write_text(text, encoding="utf-8-sig", newline="")
    totals: Totals = tasks["csv.totals"].function(
        TaskContext(), TotalsInput(table=File.local(path), **options)
    )
    return totals


def test_a_file_s_columns_are_summed_up(tmp_path: Path) -> None:
    totals = totals_of(tmp_path / "a.csv", 'n;t\r\n1;"x;y"\r\n\r\n2.5;\r\n-4;z\r\n', delimiter=";")

    numbers, texts = totals.columns
    assert totals.rows == 3
    assert (numbers.count, numbers.numbers, numbers.min, numbers.max, numbers.sum) == (3, 3, -4, 2.5, -0.5)
    assert (texts.name, texts.count, texts.empty, texts.numbers, texts.mean) == ("t", 2, 1, 0, None)


@pytest.mark.parametrize("text", ["", "a,b\n1", 'a\n"x', "a,a\n", "a,\n"])
def test_what_is_no_table_fails_with_a_reason(tmp_path: Path, text: str) -> None:
    with pytest.raises(Fail) as caught:
        totals_of(tmp_path / "a.csv", text)
    assert caught.value.code == "bad_csv"


def test_a_long_table_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    with (tmp_path / "long.csv").open("w") as out:
        out.write("id,amount\n")
        out.writelines(f"{number},{number}.25\n" for number in range(100_000))
    given = TotalsInput(table=File.local(tmp_path / "long.csv"))
    tracemalloc.start()
    try:
        totals = tasks["csv.totals"].function(TaskContext(), given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert totals.rows == 100_000
    assert peak < 500_000
