"""The `Prefer` header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.api.prefer import preferred_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("respond-async;foo;bar=1 , wait=10;strict", 10),
        ('handling="a, wait=3", wait=4', 4),
        ("wait=1, wait=2", 1),
        (", ,wait=5,", 5),
        ("wait=0", 0),
        ("wait=99999999999999999999", 99_999_999_999_999_999_999),
    ],
)
def test_wait_is_read(header: str, seconds: int) -> None:
    assert preferred_wait(header) == seconds


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "respond-async",
        "wait",
        "wait=",
        "wait=soon",
        "wait=1.5",
        "wait=-1",
        "wait=1e3",
        "wait=٣",
        "wait 5",
        "wait=5 6",
        "=,wait=5",
        'wait=5, x="',
        "wait=5" + " " * 2_000,
    ],
)
def test_what_is_malformed_or_something_else_is_no_wish(header: str | None) -> None:
    assert preferred_wait(header) is None


@given(st.text(alphabet='wait=", ;\\1x\t', max_size=60))
def test_no_header_breaks_the_parser(header: str) -> None:
    seconds = preferred_wait(header)
    assert seconds is None or seconds >= 0
