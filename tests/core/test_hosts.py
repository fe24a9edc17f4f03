"""What one host gets over all partners: a rate, and a brake after failures in a row."""

import pytest

from webhookd.core.hosts import (
    BRAKE_FAILURES,
    SLACK_MS,
    HostFailures,
    HostGate,
    Hosts,
    HostState,
    host_of,
)

NOW_MS = 1_795_500_000_000
HOST = "hooks.partner.example"


def gate(hosts: Hosts | None = None, *, at: int = 0, rate: float = 500.0) -> HostGate:
    return HostGate(hosts or Hosts(), rate_per_second=rate, now_ms=NOW_MS + at)


def admitted(door: HostGate, wanted: int, *, partner: str = "par_1", proven: bool = True) -> int:
    return sum(door.admits(HOST, partner_id=partner, proven=proven) for _ in range(wanted))


def test_in_any_second_a_host_gets_its_rate_and_what_the_slack_allows() -> None:
    states: dict[str, HostState] = {}
    sent = []
    for at in range(0, 3_000, 7):
        door = gate(Hosts(states=states), at=at)
        sent += [at] * admitted(door, 1_000)
        states = door.states
    for begin in range(0, 2_000, 50):
        in_second = sum(begin <= at < begin + 1_000 for at in sent)
        assert 490 <= in_second <= 500 * (1 + SLACK_MS / 1_000) + 1


def test_below_its_rate_a_host_is_never_held_back() -> None:
    states: dict[str, HostState] = {}
    for at in range(0, 3_000, 50):  # 400 a second, by turns that come seldom
        door = gate(Hosts(states=states), at=at)
        assert admitted(door, 20) == 20
        states = door.states


def test_hosts_have_rates_of_their_own() -> None:
    door = gate()
    admitted(door, 1_000)
    assert door.admits("other.example", partner_id="par_1", proven=True)


def test_refused_lanes_come_back_one_after_the_other_over_as_long_as_the_host_needs() -> None:
    door = gate()
    admitted(door, 1_000)
    holds = [door.hold_ms(HOST, proven=True) for _ in range(1_000)]
    assert holds == sorted(holds)
    assert NOW_MS < holds[0] <= NOW_MS + 200
    assert holds[-1] - holds[0] == pytest.approx(2_000, abs=50)


def braked(states: dict[str, HostState] | None = None) -> Hosts:
    return Hosts(states=states or {}, braked=frozenset({HOST}))


def test_while_the_brake_is_on_each_partner_probes_once_a_window() -> None:
    door = gate(braked())
    assert admitted(door, 9, partner="par_1", proven=False) == 1
    assert admitted(door, 9, partner="par_2", proven=False) == 1
    within = gate(braked(door.states), at=4_999)
    assert admitted(within, 9, partner="par_1", proven=False) == 0
    assert within.hold_ms(HOST, proven=False) == NOW_MS + 5_000
    after = gate(braked(within.states), at=5_000)
    assert admitted(after, 9, partner="par_1", proven=False) == 1


def test_windows_grow_up_to_half_a_minute() -> None:
    states: dict[str, HostState] = {}
    at, lengths = 0, []
    for _ in range(5):
        door = gate(braked(states), at=at)
        assert admitted(door, 1, proven=False) == 1
        states = door.states
        lengths.append(states[HOST].window_ends_ms - NOW_MS - at)
        at += lengths[-1]
    assert lengths == [5_000, 10_000, 20_000, 30_000, 30_000]


def test_a_lane_whose_last_answer_was_a_success_is_not_braked() -> None:
    door = gate(braked())
    admitted(door, 9, proven=False)
    assert admitted(door, 9, proven=True) == 9


def test_the_brake_is_on_after_failures_in_a_row_and_off_after_one_success() -> None:
    failures = HostFailures()
    for _ in range(BRAKE_FAILURES - 1):
        failures.failed(HOST)
    failures.succeeded(HOST)
    for _ in range(BRAKE_FAILURES - 1):
        failures.failed(HOST)
    assert failures.braked == frozenset()
    failures.failed(HOST)
    assert failures.braked == {HOST}
    failures.succeeded(HOST)
    assert failures.braked == frozenset()


def test_hosts_whose_time_is_over_are_forgotten() -> None:
    door = gate()
    door.admits(HOST, partner_id="par_1", proven=True)
    assert HOST in door.states
    assert gate(Hosts(states=door.states), at=60_000).states == {}


def test_another_port_is_another_host() -> None:
    assert host_of("https://a.example/hooks?x=/y") == "a.example"
    assert host_of("https://a.example:8443/hooks") == "a.example:8443"
    assert host_of("https://a.example") == "a.example"
