"""W3C Trace Context: what is continued, what is dropped."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core import trace
from webhookd.core.trace import TraceContext

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def state_of(tracestate: str | None) -> str:
    context = trace.parse(PARENT, tracestate)
    assert context is not None
    return context.state


def test_a_valid_traceparent_is_continued() -> None:
    context = trace.parse(PARENT, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert context == TraceContext(
        trace_id=TRACE, parent_id=SPAN, flags=1, state="congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    )
    assert context.header() == PARENT


def test_a_child_keeps_trace_flags_and_state() -> None:
    context = trace.parse(PARENT, "a=1")
    assert context is not None
    child = context.child("b" * 16)
    assert child.header() == f"00-{TRACE}-{'b' * 16}-01"
    assert child.state == "a=1"


@pytest.mark.parametrize(
    ("traceparent", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-ff", 1),
        (f"00-{TRACE}-{SPAN}-02", 0),
        (f" {PARENT}\t", 1),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"01-{TRACE}-{SPAN}-01-what-the-future-holds", 1),
        (f"01-{TRACE}-{SPAN}-01-", 1),
    ],
)
def test_unknown_flags_are_cleared_and_later_versions_written_as_ours(traceparent: str, flags: int) -> None:
    context = trace.parse(traceparent)
    assert context is not None
    assert context.header() == f"00-{TRACE}-{SPAN}-0{flags}"


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "00",
        PARENT.upper(),
        PARENT + "-more",
        PARENT + "-",
        PARENT + "\n",
        PARENT[:-1],
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"{PARENT},{PARENT}",
    ],
)
def test_an_invalid_traceparent_starts_over(traceparent: str | None) -> None:
    assert trace.parse(traceparent, "a=1") is None


@pytest.mark.parametrize(
    ("given_state", "kept"),
    [
        (None, ""),
        ("", ""),
        (" , ,", ""),
        ("a=1, b=2\t,,c=3 ", "a=1,b=2,c=3"),
        ("fw529a3039@dt=FfAAAA;x=y", ""),
        ("fw529a3039@dt=FfAAAA;x", "fw529a3039@dt=FfAAAA;x"),
        ("0tenant@sys=1", "0tenant@sys=1"),
        ("a_-*/=  leading", "a_-*/=  leading"),
        ("a" * 256 + "=1", "a" * 256 + "=1"),
        ("a=" + "v" * 256, "a=" + "v" * 256),
        ("a=" + "v" * 510, ""),
        (",".join(f"k{n}=1" for n in range(32)), ",".join(f"k{n}=1" for n in range(32))),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        (f"a={'v' * 250},b={'v' * 253},c=1", f"a={'v' * 250},b={'v' * 253},c=1"),
        (f"a={'v' * 250},b={'v' * 254},c=1", ""),
        ("a=1,a=2", ""),
        ("a=1,b", ""),
        ("A=1", ""),
        ("0a=1", ""),
        ("a=", ""),
        ("a=1\x00", ""),
        ("a=ü", ""),
        ("a@=1", ""),
        ("a@" + "b" * 15 + "=1", ""),
        ("a" * 257 + "=1", ""),
        ("a=" + "v" * 257, ""),
    ],
)
def test_a_valid_tracestate_is_kept_and_any_other_dropped_whole(given_state: str | None, kept: str) -> None:
    assert state_of(given_state) == kept


@given(st.binary(min_size=24, max_size=24).filter(lambda raw: any(raw[:16]) and any(raw[16:])))
def test_a_new_trace_is_sampled_and_reads_back(entropy: bytes) -> None:
    context = trace.new(entropy)
    assert context.flags == trace.SAMPLED
    assert trace.parse(context.header()) == context


def test_entropy_of_the_wrong_length_makes_no_trace() -> None:
    with pytest.raises(ValueError, match="entropy"):
        trace.new(b"x" * 23)


headers = st.text() | st.from_regex(r"\A(00|01|ff)-[0-9a-f]{31,33}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,3})?\Z")
states = st.text() | st.text("ab1=,@ \t", max_size=20)


@given(traceparent=headers, tracestate=states)
def test_whatever_comes_in_only_valid_headers_go_out(traceparent: str, tracestate: str) -> None:
    context = trace.parse(traceparent, tracestate)
    if context is not None:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", context.header())
    state = state_of(tracestate)
    assert len(state) <= 512
    assert state.isascii()
    assert state_of(state) == state
