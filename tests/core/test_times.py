"""RFC 3339 out and in."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.times import parse_rfc3339, to_rfc3339

FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_500_000_000, "2026-11-24T06:00:00.000Z"),
        (1_795_500_000_007, "2026-11-24T06:00:00.007Z"),
        (1_795_500_000_500, "2026-11-24T06:00:00.500Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (FIRST_MS, "0001-01-01T00:00:00.000Z"),
        (LAST_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_milliseconds_become_utc_text_and_back(ms: int, text: str) -> None:
    assert to_rfc3339(ms) == text
    assert parse_rfc3339(text) == ms


@given(st.integers(FIRST_MS, LAST_MS))
def test_any_millisecond_survives_the_round_trip(ms: int) -> None:
    assert parse_rfc3339(to_rfc3339(ms)) == ms


@given(st.datetimes(timezones=st.timezones()).filter(lambda at: at.utcoffset() is not None))
def test_any_offset_means_the_same_instant(at: datetime) -> None:
    offset = at.utcoffset()
    if offset is None or offset.total_seconds() % 60 or not 2 <= at.year <= 9998:
        return  # local mean times of the nineteenth century have offsets RFC 3339 cannot write
    expected = (at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert parse_rfc3339(at.isoformat()) == pytest.approx(expected * 1000, abs=1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T06:00:00Z",
        "2026-11-24t06:00:00z",
        "2026-11-24T06:00:00.0Z",
        "2026-11-24T06:00:00.00000000000Z",
        "2026-11-24T05:59:59.999000001Z",
        "2026-11-24T05:59:59.9999Z",
        "2026-11-24T06:00:00-00:00",
        "2026-11-24T07:30:00+01:30",
        "2026-11-23T23:00:00.000-07:00",
    ],
)
def test_every_form_of_one_instant_is_accepted(text: str) -> None:
    assert parse_rfc3339(text) == 1_795_500_000_000


@given(st.integers(FIRST_MS, LAST_MS - 2), st.integers(0, 10**9 - 1))
def test_a_time_between_two_milliseconds_parts_rows_as_it_would_itself(ms: int, nanoseconds: int) -> None:
    text = f"{to_rfc3339(ms)[:-4]}{nanoseconds:09}Z"
    exact = (ms // 1000) * 10**9 + nanoseconds
    parsed = parse_rfc3339(text)
    for row_ms in (parsed - 1, parsed, parsed + 1):
        assert (row_ms >= parsed) == (row_ms * 10**6 >= exact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "1795500000",
        "2026-11-24",
        "2026-11-24T06:00:00",
        "2026-11-24 06:00:00Z",
        "2026-11-24T06:00Z",
        "2026-11-24T06:00:00.Z",
        "2026-11-24T06:00:00,5Z",
        "2026-11-24T06:00:00+0100",
        "2026-11-24T06:00:00+24:00",
        "2026-11-24T06:00:00+01:60",
        "2026-11-24T24:00:00Z",
        "2026-11-24T06:00:60Z",
        "2026-02-29T06:00:00Z",
        "2026-13-01T06:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "9999-12-31T23:59:59.9991Z",
        "\uff12026-11-24T06:00:00Z",
        "2026-11-24T06:00:00Z\n",
        " 2026-11-24T06:00:00Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is not"):
        parse_rfc3339(text)


@given(st.text())
def test_no_text_fails_otherwise_than_by_refusal(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_rfc3339(text + "?")


@pytest.mark.parametrize(("fraction", "ms"), [("5", 500), ("05", 50), ("0019", 2), ("999999999999", 1_000)])
def test_a_fraction_of_any_length_is_rounded_up_to_milliseconds(fraction: str, ms: int) -> None:
    assert parse_rfc3339(f"2026-11-24T06:00:00.{fraction}Z") == 1_795_500_000_000 + ms


def test_a_time_outside_the_calendar_cannot_be_written() -> None:
    with pytest.raises(OverflowError):
        to_rfc3339(LAST_MS + 1)
