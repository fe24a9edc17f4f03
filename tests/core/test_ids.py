"""Ids: their shape and their order."""

import re

from hypothesis import given
from hypothesis import strategies as st

from webhookd.adapters import entropy
from webhookd.core import ids

times = st.integers(0, 2**48 - 1)
randoms = st.binary(min_size=ids.ENTROPY_BYTES, max_size=ids.ENTROPY_BYTES)


def test_an_id_is_its_prefix_and_a_lower_case_ulid() -> None:
    # The time part of the ULID specification's own example, 01ARZ3NDEK for 1469922850259 ms.
    assert ids.make_id(ids.TASK, now_ms=1469922850259, entropy=bytes(10)) == "task_01arz3ndek0000000000000000"
    assert ids.make_id(ids.TASK, now_ms=0, entropy=b"\xff" * 10) == "task_0000000000zzzzzzzzzzzzzzzz"


@given(now_ms=times, random=randoms)
def test_every_id_has_twenty_six_characters_of_crockford_base32(now_ms: int, random: bytes) -> None:
    made = ids.make_id(ids.ENDPOINT, now_ms=now_ms, entropy=random)
    assert re.fullmatch(r"ep_[0-9a-hjkmnp-tv-z]{26}", made)


@given(earlier=times, later=times, first=randoms, second=randoms)
def test_ids_sort_by_time_then_entropy(earlier: int, later: int, first: bytes, second: bytes) -> None:
    one = ids.make_id(ids.MESSAGE, now_ms=earlier, entropy=first)
    two = ids.make_id(ids.MESSAGE, now_ms=later, entropy=second)
    assert (one < two) == ((earlier, first) < (later, second))


def test_ids_of_one_millisecond_differ() -> None:
    made = {entropy.new_id(ids.DELIVERY, 1_795_500_000_000) for _ in range(1000)}
    assert len(made) == 1000
    assert len({one[: len("dlv_") + 10] for one in made}) == 1


def test_prefixes_are_distinct() -> None:
    prefixes = [
        value
        for name, value in vars(ids).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    ]
    assert len(prefixes) >= 10
    assert len(set(prefixes)) == len(prefixes)


def test_chance_is_a_fraction_that_varies() -> None:
    chances = {entropy.chance() for _ in range(100)}
    assert len(chances) > 90
    assert all(0 <= chance < 1 for chance in chances)


def test_traces_and_spans_from_entropy_are_fresh_and_well_formed() -> None:
    one, two = entropy.new_trace(), entropy.new_trace()
    assert one.trace_id != two.trace_id
    assert re.fullmatch(r"[0-9a-f]{16}", entropy.new_span_id())
    assert one.child(entropy.new_span_id()).trace_id == one.trace_id
