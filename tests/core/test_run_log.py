"""What a run leaves behind: bounded lines, and its exception as text."""

import pytest

from webhookd.core.run_log import (
    MAX_BYTES,
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_TRACEBACK_CHARS,
    RunLog,
    raised_from,
)


def test_the_last_lines_are_kept() -> None:
    log = RunLog()
    for number in range(MAX_LINES + 50):
        log.add(f"line {number}")
    assert log.lines == tuple(f"line {number}" for number in range(50, MAX_LINES + 50))


@pytest.mark.parametrize("letter", ["a", "ä", "🦔"])
def test_lines_are_bounded_in_bytes_too(letter: str) -> None:
    log = RunLog()
    for _ in range(100):
        log.add(letter * 1_000)
    size = sum(len(line.encode()) + 1 for line in log.lines)
    assert MAX_BYTES - 4_001 <= size <= MAX_BYTES


def test_a_line_no_database_can_hold_is_made_fit() -> None:
    log = RunLog()
    log.add("nul \0, lone \ud800")
    log.add("x" * 100_000)
    first, second = log.lines
    assert (first, len(second)) == ("nul \ufffd, lone ?", MAX_LINE_CHARS)


def test_of_a_long_traceback_the_end_is_kept() -> None:
    error = ValueError("x" * 3_000)
    error.__cause__ = ExceptionGroup("many", [ValueError("y" * 3_000)] * 8)
    raised = raised_from(error)
    assert (raised.type, raised.message) == ("ValueError", "x" * 3_000)
    assert len(raised.traceback) == MAX_TRACEBACK_CHARS
    assert raised.traceback.endswith("x" * 3_000 + "\n")


def test_an_exception_without_a_text_has_its_type_at_least() -> None:
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text either")

    raised = raised_from(Unreadable())
    assert (raised.type, raised.message) == ("Unreadable", "")
