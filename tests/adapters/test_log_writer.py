"""The writer of log lines: nobody waits for its reader, and what is lost is counted."""

import fcntl
import io
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from webhookd.adapters import log_writer
from webhookd.adapters.log_writer import MAX_WAITING_BYTES, LogWriter

ROOT = Path(__file__).parents[2]
LINE = b"x" * 1023 + b"\n"
TALKATIVE = """
import structlog
from webhookd.adapters.telemetry import configure_logging, dropped_lines

configure_logging(log_format="json", level="info", process="api")
log = structlog.get_logger()
for number in range(8_000):
    log.info("said", number=number, text="x" * 1_000)
assert dropped_lines() > 0
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds as little as it can."""
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    os.close(reader)


def test_lines_nobody_reads_wait_up_to_a_bound_and_later_ones_are_counted(pipe: tuple[int, int]) -> None:
    reader, out = pipe
    with os.fdopen(out, "wb") as stream:
        writer = LogWriter(stream)
        for _ in range(2 * MAX_WAITING_BYTES // len(LINE)):
            writer.put(LINE)
        lost = writer.dropped
        assert lost >= MAX_WAITING_BYTES // len(LINE)
        began = time.monotonic()
        writer.flush(0.05)
        assert time.monotonic() - began < 5, "it waits for a reader that never comes"
        heard = bytearray()
        reading = threading.Thread(target=lambda: _read(reader, heard, MAX_WAITING_BYTES))
        reading.start()
        writer.flush(30)
        reading.join(30)
        assert heard.count(LINE) + lost >= 2 * MAX_WAITING_BYTES // len(LINE) - 1
        writer.put(LINE)
        assert writer.dropped == lost, "there is room again"
        # A line written after the stream is closed would go to whatever file has its number then.
        _read(reader, heard, len(heard) + len(LINE))
        writer.flush(30)


def test_lines_keep_their_order_whoever_waits(pipe: tuple[int, int]) -> None:
    reader, out = pipe
    with os.fdopen(out, "wb") as stream:
        writer = LogWriter(stream)
        said = b"".join(b"%d\n" % number for number in range(5_000))
        for line in said.splitlines(keepends=True):
            writer.put(line)
        heard = bytearray()
        _read(reader, heard, len(said))
        assert bytes(heard) == said


def test_line_after_a_silence_is_written_at_once_and_what_follows_it_gathers(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "_GATHER_SECONDS", 3600)
    monkeypatch.setattr(log_writer, "_BUSY_SECONDS", 3600)
    reader, out = pipe
    with os.fdopen(out, "wb") as stream:
        writer = LogWriter(stream)
        writer.put(b"first\n")
        assert os.read(reader, 100) == b"first\n"
        writer.put(b"second\n")
        assert os.read(reader, 100) == b"second\n", "the one before it is not that recent"
        for number in range(100):
            writer.put(b"%d\n" % number)
        assert not select.select([reader], [], [], 0.2)[0], "they gather"
        writer.flush(30)
        assert os.read(reader, 4096).count(b"\n") == 100, "a process that ends waits for no more to come"
        writer.flush(30)


def test_stream_that_is_only_in_memory_is_written_to() -> None:
    stream = io.StringIO()
    writer = LogWriter(stream)
    writer.put("möglich\n".encode())
    writer.flush()
    assert stream.getvalue() == "möglich\n"


def test_writing_end_that_others_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, out = pipe
    os.set_blocking(out, False)
    with os.fdopen(out, "wb") as stream:
        writer = LogWriter(stream)
        for _ in range(64):
            writer.put(LINE)
        heard = bytearray()
        _read(reader, heard, 64 * len(LINE))
        assert bytes(heard) == 64 * LINE


def test_process_whose_lines_nobody_reads_ends_and_one_that_is_read_late_tells_of_the_lost_ones(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(TALKATIVE)
    with _script(script) as process:
        assert process.wait(60) == 0
    said = tmp_path / "said"
    script.write_text(
        f"{TALKATIVE}\nimport pathlib, time\npathlib.Path({str(said)!r}).touch()\n"
        "while True:\n    time.sleep(0.1)\n    log.info('more')\n"
    )
    with _script(script) as process:
        assert process.stdout is not None
        while not said.exists():
            time.sleep(0.02)
        for line in process.stdout:
            if json.loads(line)["event"] == "log_lines_dropped":
                assert json.loads(line)["lines"] > 0
                break
        process.kill()


def test_forked_child_writes_its_lines_itself(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, structlog, warnings\n"
        "from webhookd.adapters.telemetry import configure_logging\n"
        "configure_logging(log_format='json', level='info', process='tasks')\n"
        "log = structlog.get_logger()\n"
        "log.info('parent')\n"
        "warnings.simplefilter('ignore')\n"  # Python 3.12 and newer warn who forks beside threads
        "if os.fork() == 0:\n"
        "    log.info('child')\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    with _script(script) as process:
        assert process.stdout is not None
        assert {json.loads(line)["event"] for line in process.stdout} == {"parent", "child"}
        assert process.wait(30) == 0


def _script(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(path)],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _read(reader: int, heard: bytearray, least: int) -> None:
    while len(heard) < least:
        heard += os.read(reader, 65536)
