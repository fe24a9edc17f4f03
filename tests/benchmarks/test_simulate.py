"""The arithmetic of the capacity page."""

import pytest

from tests.benchmarks.simulate import BUSY_MOST, Cost, Machine, Model, Seen, learn, need, solved, write

MODEL = Model(
    cpu={
        "api": Cost(fixed=100, each=80),
        "tasks": Cost(fixed=200, each=200),
        "deliver": Cost(fixed=200, each=150),
    },
    wall={kind: Cost(fixed=1_500, each=20) for kind in ("api", "tasks", "deliver")},
    transactions={"api": 1.0, "tasks": 2.0, "deliver": 2.0},
    database=Cost(fixed=300, each=250),
    broker_us=10,
    wal_bytes=5_000,
)


def test_costs_that_made_two_loads_are_found_again() -> None:
    true = Cost(fixed=120.0, each=40.0)
    found = solved(0.5, 0.5 * true.fixed + true.each, 0.02, 0.02 * true.fixed + true.each)
    assert (found.fixed, found.each) == pytest.approx((120.0, 40.0))


def test_no_cost_is_below_nothing() -> None:
    for few_us, many_us in ((10.0, 50.0), (500.0, 1.0)):
        found = solved(0.5, few_us, 0.02, many_us)
        assert found.fixed >= 0
        assert found.each >= -1e-9


def test_a_writer_takes_what_came_during_its_last_transaction() -> None:
    ended, groups = write([(0.0, 0.0), (0.001, 0.001), (0.002, 0.002)], Cost(fixed=10_000, each=0), 1.0)
    assert groups == 2
    assert [at for at, _ in ended] == pytest.approx([0.01, 0.02, 0.02])


def test_three_loads_make_a_model() -> None:
    roles = {"api": 100.0, "tasks": 300.0, "deliver": 200.0, "postgresql": 400.0, "broker": 20.0}
    calm, singles, batches = (
        Seen(
            cpu_us={role: us * times for role, us in roles.items()},
            commits={"api": 1 / tasks, "tasks": 2 / tasks, "deliver": 2 / tasks},
            commit_us={"api": 2_000.0 * tasks, "tasks": 3_000.0 * tasks, "deliver": 4_000.0 * tasks},
            wal_bytes=6_000 * times,
        )
        for times, tasks in ((3.0, 1), (2.0, 10), (1.0, 50))
    )
    model = learn(calm, singles, batches, MODEL.transactions)
    for kind in ("tasks", "deliver"):
        for seen in (calm, batches):
            cost = model.cpu[kind]
            assert cost.fixed * seen.commits[kind] + cost.each == pytest.approx(seen.cpu_us[kind])
    assert model.cpu["api"] == Cost(fixed=0.0, each=200.0), "a task is a request"
    assert [cost.fixed for cost in model.wall.values()] == [2_000.0, 3_000.0, 4_000.0]
    assert model.wal_bytes == 12_000


@pytest.mark.parametrize("rate", [100, 1_000, 10_000, 100_000])
def test_no_process_is_planned_to_be_busier_than_it_may(rate: int) -> None:
    found = need(MODEL, rate, Machine())
    for kind, processes in found.processes.items():
        batch = found.batch[kind]
        cost = MODEL.cpu[kind]
        core = rate / processes * (cost.each + cost.fixed * MODEL.transactions[kind] / batch) / 1e6
        assert core <= BUSY_MOST * 1.1  # the arrivals are dealt by chance
    assert 0 < found.p50_ms <= found.p99_ms


def test_more_tasks_need_more_of_everything() -> None:
    small, large = (need(MODEL, rate, Machine()) for rate in (1_000, 100_000))
    assert all(large.processes[kind] > small.processes[kind] for kind in small.processes)
    assert large.database_cores > small.database_cores
    assert large.databases > small.databases == 1
