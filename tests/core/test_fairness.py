"""Start-time fair queueing: shares by weight, no saving up, limits passed over."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.fairness import Contender, Dealt, deal


def _line(name: str, count: int, *, vtime: float = 0.0, weight: float = 1.0) -> Contender[str]:
    return Contender(id=name, vtime=vtime, weight=weight, waiting=[f"{name}{n}" for n in range(count)])


def _all(_item: str) -> bool:
    return True


def _shares(dealt: Dealt[str]) -> Counter[str]:
    return Counter(item[0] for item in dealt.items)


def test_contenders_take_turns_each_in_its_own_order() -> None:
    dealt = deal([_line("a", 3), _line("b", 3)], slots=4, clock=0.0, admit=_all)

    assert dealt.items == ("a0", "b0", "a1", "b1")
    assert dealt.vtimes == {"a": 2.0, "b": 2.0}
    assert dealt.clock == 1.0


def test_shares_follow_weights() -> None:
    dealt = deal([_line("a", 100, weight=3), _line("b", 100)], slots=40, clock=0.0, admit=_all)

    assert _shares(dealt) == {"a": 30, "b": 10}


def test_who_was_idle_starts_at_the_clock() -> None:
    dealt = deal([_line("a", 10, vtime=50.0), _line("b", 10, vtime=3.0)], slots=10, clock=50.0, admit=_all)

    assert _shares(dealt) == {"a": 5, "b": 5}


def test_what_one_leaves_the_others_get() -> None:
    dealt = deal([_line("a", 1), _line("b", 9), _line("c", 0)], slots=6, clock=0.0, admit=_all)

    assert _shares(dealt) == {"a": 1, "b": 5}
    assert "c" not in dealt.vtimes


def test_a_refused_item_is_passed_over_and_costs_nothing() -> None:
    dealt = deal([_line("a", 3), _line("b", 1)], slots=9, clock=0.0, admit=lambda item: item != "a0")

    assert dealt.items == ("a1", "b0", "a2")
    assert dealt.vtimes["a"] == 2.0


def test_nobody_in_line_moves_no_clock() -> None:
    assert deal([], slots=5, clock=7.0, admit=_all) == Dealt(items=(), vtimes={}, clock=7.0)
    assert deal([_line("a", 1)], slots=0, clock=7.0, admit=_all).items == ()


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    slots=st.integers(0, 60),
    clock=st.floats(0, 100),
)
def test_nothing_is_lost_doubled_or_unfair(counts: list[int], slots: int, clock: float) -> None:
    lines = [_line(chr(97 + n), count) for n, count in enumerate(counts)]

    dealt = deal(lines, slots=slots, clock=clock, admit=_all)

    assert len(dealt.items) == min(slots, sum(counts))
    assert len(set(dealt.items)) == len(dealt.items)
    assert dealt.clock >= clock
    shares = _shares(dealt)
    most = max(shares.values(), default=0)
    for one, count in zip(lines, counts, strict=True):
        if shares[one.id] < count:
            assert most <= shares[one.id] + 1, "nobody is ahead of one who still waits"
