"""Everything under one id, on both databases."""

import pytest

from tests.support import seeds
from tests.support.work import ended_task
from webhookd.adapters.store import traces as traces_module
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.store import Store
from webhookd.core.execution import End
from webhookd.core.timeline import timeline

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_history_has_runs_messages_deliveries_and_attempts(database: Database, store: Store) -> None:
    partner_id = await seeds.partner(database)
    await seeds.endpoint(store, partner_id)
    task_id = await ended_task(store, partner_id, End.SUCCEEDED)
    [delivery] = await seeds.due(store, seeds.NOW)
    assert await seeds.answered(store, delivery, seeds.EXHAUSTED, now_ms=seeds.NOW)
    history = await store.traces.of_task(task_id, partner_id)
    assert history is not None
    assert history.task.id == task_id
    assert [entry.kind for entry in timeline(history)] == [
        "received",
        "queued",
        "run.started",
        "run.finished",
        "succeeded",
        "message",
        "delivery.created",
        "delivery.attempt",
        "delivery.dead",
    ]
    assert history.sendings.attempts[0].status == 500


async def test_every_id_of_a_trace_finds_it(database: Database, store: Store) -> None:
    partner_id = await seeds.partner(database)
    await seeds.endpoint(store, partner_id)
    task_ids = sorted([await ended_task(store, partner_id, End.SUCCEEDED) for _ in range(2)])
    history = await store.traces.of_task(task_ids[1], None)
    assert history is not None
    [message], [delivery] = history.sendings.messages, history.sendings.deliveries
    for any_id in (TRACE, task_ids[0], message.id, delivery.id):
        trace = await store.traces.find(any_id, partner_id)
        assert trace is not None, any_id
        assert trace.trace_id == TRACE
        first = task_ids[1] if any_id in (message.id, delivery.id) else task_ids[0]
        assert [one.task.id for one in trace.histories] == [first, *(one for one in task_ids if one != first)]
        assert [len(one.sendings.deliveries) for one in trace.histories] == [1, 1]
        assert trace.complete
        assert not trace.apart.messages


async def test_message_without_a_task_is_shown_apart(database: Database, store: Store) -> None:
    partner_id = await seeds.partner(database)
    endpoint = await seeds.endpoint(store, partner_id)
    delivery_id = await seeds.message_to(store, endpoint, event="webhookd.test")
    trace = await store.traces.find(delivery_id, partner_id)
    assert trace is not None
    assert trace.histories == ()
    assert [one.event for one in trace.apart.messages] == ["webhookd.test"]
    assert [one.id for one in trace.apart.deliveries] == [delivery_id]


async def test_what_is_foreign_or_unknown_is_not_found(database: Database, store: Store) -> None:
    partner_id = await seeds.partner(database)
    other_id = await seeds.partner(database, "other")
    endpoint = await seeds.endpoint(store, partner_id)
    task_id = await ended_task(store, partner_id, End.SUCCEEDED)
    delivery_id = await seeds.message_to(store, endpoint)
    assert await store.traces.of_task(task_id, other_id) is None
    assert await store.traces.of_task("task_unknown", None) is None
    for any_id in (TRACE, task_id, delivery_id):
        assert await store.traces.find(any_id, other_id) is None, any_id
    for any_id in ("f" * 32, "task_x", "msg_x", "dlv_x", "ep_x", "", TRACE.upper(), TRACE[:31]):
        assert await store.traces.find(any_id, None) is None, any_id


async def test_long_trace_is_cut_and_says_so(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces_module, "MOST_TASKS", 2)
    partner_id = await seeds.partner(database)
    task_ids = sorted([await ended_task(store, partner_id, End.SUCCEEDED) for _ in range(4)])
    for any_id, shown in ((TRACE, [0, 1]), (task_ids[3], [3, 0]), (task_ids[1], [1, 0])):
        trace = await store.traces.find(any_id, partner_id)
        assert trace is not None
        assert [one.task.id for one in trace.histories] == [task_ids[at] for at in shown]
        assert not trace.complete


async def test_places_in_the_feeds_and_the_tasks_announced_since(database: Database, store: Store) -> None:
    partner_id = await seeds.partner(database)
    quiet_id = await seeds.partner(database, "quiet")
    assert await store.changes.positions(None) == {}
    task_ids = [await ended_task(store, partner_id, End.SUCCEEDED) for _ in range(3)]
    positions = await store.changes.positions([partner_id, quiet_id])
    assert set(positions) == {partner_id}
    assert positions == await store.changes.positions(None)
    first, place = await store.changes.announced(partner_id, after=0, limit=2)
    rest, last = await store.changes.announced(partner_id, after=place, limit=2)
    assert [*first, *rest] == task_ids
    assert last == positions[partner_id]
    assert await store.changes.announced(partner_id, after=last, limit=2) == ([], last)
