"""Log lines: their shape, and that nothing in them can pass for another line."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from webhookd.adapters.telemetry import Stamp, json_line, text_line

SCRIPT = """
import logging, sys
import structlog
from webhookd.adapters.log_facts import log_attempt
from webhookd.adapters.telemetry import configure_logging
from webhookd.core.facts import AttemptEnded

log = structlog.get_logger("made.before")
configure_logging(log_format=sys.argv[1], level="info", process="deliver")
log.debug("not shown")
log.info("ready", queues="a,b", nothing=None)
log_attempt()(AttemptEnded(
    delivery_id="dlv_1", message_id="msg_1", endpoint_id=None, number=2, status=503, error="http_503",
    verdict="retry", duration_us=12_345, since_message_ms=40, trace_id="0af7651916cd43dd8448eb211c80319c",
))
try:
    raise ValueError("wrong")
except ValueError:
    log.exception("failed")
logging.getLogger("a.library").warning("odd %s", "thing")
logging.getLogger("uvicorn.access").info("GET /?key=secret")
"""


def lines(log_format: str, tmp_path: Path) -> list[str]:
    """What a process of its own writes to stderr; stdout stays clean."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), log_format],
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_line_that_cannot_be_written_is_lost_and_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + "print('it goes on')")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, str(script), "json"],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    assert done.stdout.splitlines() == [b"it goes on"]


def test_json_lines_are_whole_objects_from_us_and_from_libraries(tmp_path: Path) -> None:
    ready, attempt, failed, library = map(json.loads, lines("json", tmp_path))
    assert (ready["event"], ready["queues"], ready["level"]) == ("ready", "a,b", "info")
    assert attempt["event"] == "attempt"
    assert (attempt["verdict"], attempt["status"], attempt["ms"]) == ("retry", 503, 12)
    assert failed["level"] == "error"
    assert "ValueError: wrong" in failed["exception"]
    assert (library["event"], library["level"]) == ("odd thing", "warning")
    assert {line["process"] for line in (ready, attempt, failed, library)} == {"deliver"}


def test_text_lines_are_readable_without_a_terminal(tmp_path: Path) -> None:
    ready, attempt, *rest = lines("text", tmp_path)
    assert ready.endswith("[info] ready queues=a,b process=deliver")
    assert "[info] attempt delivery=dlv_1 message=msg_1 number=2 status=503 error=http_503" in attempt
    assert any(line == "ValueError: wrong" for line in rest)
    assert rest[-1].endswith("[warning] odd thing process=deliver")
    assert not any("\x1b" in line for line in [ready, attempt, *rest])


@pytest.mark.parametrize(
    "value", ["two words", "a\nb [info] fake", "\x1b[31mred", "tab\there", "line\u2028separator", "del\x7f"]
)
def test_value_stays_one_word_of_one_line(value: str) -> None:
    event = {"timestamp": "t", "level": "info", "event": "e", "before": 1, "value": value, "after": 2}
    rendered = text_line(None, "info", dict(event)).decode()
    assert rendered == f"t [info] e before=1 value={value!r} after=2"
    assert rendered.isprintable()
    assert json.loads(json_line(None, "info", dict(event))) == event
    assert b"\n" not in json_line(None, "info", dict(event))


def test_event_of_a_library_cannot_break_the_line() -> None:
    rendered = text_line(None, "info", {"timestamp": "t", "level": "info", "event": "a\nb"}).decode()
    assert rendered == "t [info] 'a\\nb'"


def test_what_json_does_not_know_is_still_a_line() -> None:
    rendered = json.loads(json_line(None, "info", {"event": "e", "path": Path("/x"), "set": {1}}))
    assert rendered == {"event": "e", "path": repr(Path("/x")), "set": "{1}"}


@pytest.mark.parametrize(("method", "level"), [("info", "info"), ("exception", "error")])
def test_stamp_has_utc_milliseconds_and_the_level(method: str, level: str) -> None:
    event: Any = Stamp("api")(None, method, {"event": "e"})
    assert (event["level"], event["process"]) == (level, "api")
    assert len(event["timestamp"]) == len("2026-11-24T09:21:13.221Z")
    assert logging.getLevelNamesMapping()[level.upper()]
