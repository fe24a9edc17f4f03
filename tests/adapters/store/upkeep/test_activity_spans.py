"""What the service's runs and attempts came to, as the store keeps and reads it."""

import pytest

from tests.support.seeds import NOW, at
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.store.upkeep.activity_spans import drop_activity, keep_activity, read_activity
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.activity import FIVE_MINUTES_MS, WINDOWS, ActivityKind
from webhookd.core.endpoint_stats import HOUR_MS, MINUTE_MS, Span, summed

BEGIN = NOW - NOW % HOUR_MS


def spans(at_ms: int, attempts: int, delivered: int) -> list[Span]:
    return [
        Span(
            at_ms=at_ms - at_ms % length_ms,
            length_ms=length_ms,
            attempts=attempts,
            delivered=delivered,
            times={40: attempts},
        )
        for length_ms in (MINUTE_MS, FIVE_MINUTES_MS)
    ]


async def seen(store: Store, window: str, kind: ActivityKind) -> list[Span]:
    return (await store.read(read_activity, WINDOWS[window]))[kind]


@pytest.mark.parametrize("window", WINDOWS)
async def test_processes_are_added_up_and_each_replaces_its_own(
    store: Store, migrated_url: str, window: str
) -> None:
    other = await Store.open(migrated_url, Vault([generate_key()]), Policy(session_id="ses_other"))
    try:
        await store.write(keep_activity, ActivityKind.RUNS, spans(BEGIN, 1, 1))
        await store.write(keep_activity, ActivityKind.RUNS, spans(BEGIN, 5, 4))
        await other.write(keep_activity, ActivityKind.RUNS, spans(BEGIN, 2, 2))
        await other.write(keep_activity, ActivityKind.ATTEMPTS, spans(BEGIN + 30 * MINUTE_MS, 7, 0))
    finally:
        await other.close()
    at(store, BEGIN + 59 * MINUTE_MS)

    runs, attempts = (
        await seen(store, window, ActivityKind.RUNS),
        await seen(store, window, ActivityKind.ATTEMPTS),
    )

    assert len(runs) == len(attempts) == WINDOWS[window].length_ms // WINDOWS[window].step_ms
    busy = [(step.at_ms, step.attempts, step.delivered) for step in runs if step.attempts]
    assert busy == [(BEGIN, 7, 6)]
    assert [step.at_ms for step in attempts if step.attempts] == [BEGIN + 30 * MINUTE_MS]
    assert summed(runs, at_ms=0, length_ms=0).times == {40: 7}


async def test_nothing_done_is_a_window_of_empty_steps(store: Store) -> None:
    assert {step.attempts for step in await seen(store, "6h", ActivityKind.RUNS)} == {0}
    await store.write(keep_activity, ActivityKind.RUNS, [])


async def test_spans_that_no_window_needs_are_dropped_and_the_others_stay(store: Store) -> None:
    for hour in (0, 2, 26):
        await store.write(keep_activity, ActivityKind.RUNS, spans(BEGIN + hour * HOUR_MS, 1, 1))
    now_ms = BEGIN + 26 * HOUR_MS + 1
    at(store, now_ms)
    assert await store.write(drop_activity, 500, now_ms) is False
    assert sum(step.attempts for step in await seen(store, "24h", ActivityKind.RUNS)) == 1
    at(store, BEGIN + 3 * HOUR_MS)
    assert [step.at_ms for step in await seen(store, "24h", ActivityKind.RUNS) if step.attempts] == [
        BEGIN + 2 * HOUR_MS
    ]
    assert await store.write(drop_activity, 1, now_ms + 1_000 * HOUR_MS) is True
